"""Probes of a failover: whom it can make the writer, and when it is over."""

from __future__ import annotations

from typing import Any

from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities
from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws, AwsError, go_on_after
from chaosaws_kms_ext.aws.statuses import AVAILABLE
from chaosaws_kms_ext.loadgen import loads
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.waiting import Wait

__all__ = ["cluster_members", "wait_until_writer"]


def cluster_members(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """The instances of a cluster by their roles, for actions that name one.

    Returns `cluster`, `writer`, `readers` (ids) and `reader`: the first that is available, or the
    first of all. Raises ActivityFailed where there is no reader. IAM: rds:DescribeDBClusters,
    rds:DescribeDBInstances.
    """
    with activities.plainly(configuration) as run:
        cluster = rds.describe_cluster(Aws.of(run), cluster_id or activities.cluster_id(run))
        readers = sorted(cluster.readers, key=lambda each: cluster.instances.get(each) != AVAILABLE)
        if not readers:
            raise Refused(
                f"the cluster {cluster.id} has no reader: on the lab CHAOS_LAB_READERS=1 gives it "
                "one"
            )
        return {
            "cluster": cluster.id,
            "writer": cluster.writer,
            "readers": readers,
            "reader": readers[0],
        }


def wait_until_writer(
    instance_id: str,
    cluster_id: str = "",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> bool:
    """Wait until an instance is the writer and the cluster available: a failover is over then.

    The loads on the cluster have to be steady again, too, so that what comes next is told from the
    failover. At most `recovery_timeout` AWS seconds. Raises ActivityFailed. IAM:
    rds:DescribeDBClusters, rds:DescribeDBInstances.
    """
    with activities.plainly(configuration) as run:
        name = cluster_id or activities.cluster_id(run)

        def is_writer() -> bool:
            try:
                cluster = rds.describe_cluster(Aws.of(run), name)
            except AwsError as problem:
                go_on_after(run, problem)
                return False
            there = cluster.available and cluster.writer == instance_id
            return there and loads.are_answered(run, loads.of_target(run))

        Wait(
            f"{instance_id} to be the writer of {name}",
            run.settings.real(run.settings.recovery_timeout),
            run.settings.status_poll,
            run.observer,
        ).until(is_writer)
        for load in loads.of_target(run):
            if not load.ended:
                loads.steady(run, load)
        return True
