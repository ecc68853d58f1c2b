"""Actions on clusters: without their key, back again; made, copied, restored and removed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities
from chaosaws_kms_ext.aurora.described import described
from chaosaws_kms_ext.aws import kms, rds
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.names import TAG
from chaosaws_kms_ext.guard.guard import Target
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.inject.key_away import KeyStaysAway, time_left
from chaosaws_kms_ext.inject.recovery import call_start
from chaosaws_kms_ext.recoveries import recover
from chaosaws_kms_ext.resources import create, delete
from chaosaws_kms_ext.resources.ledger import Ledger, Resource
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.waiting import TimedOut, Wait
from chaosaws_kms_ext.watcher import watch

__all__ = [
    "clean_up",
    "copy_cluster_snapshot",
    "create_cluster_snapshot",
    "create_encrypted_cluster",
    "create_is_refused",
    "delete_cluster",
    "delete_cluster_snapshot",
    "failover_is_refused",
    "hold",
    "restore_cluster",
    "restore_is_refused",
    "start_cluster",
    "wait_for_recovery",
]


NO_STATE_FOR_IT = "InvalidDBClusterStateFault"


def hold(configuration: Configuration = None, secrets: Secrets = None) -> dict[str, Any]:
    """Keep the key away for `hold` AWS seconds, so that the outage is seen at length.

    Not longer than `max_key_unusable` after DisableKey. Raises ActivityFailed when this run has
    taken no key away, or somebody puts it back meanwhile.
    """
    with activities.plainly(configuration) as run:
        wanted = run.settings.real(run.settings.hold)
        seconds = max(0.0, min(wanted, time_left(run)))
        observer = run.observer
        stays = KeyStaysAway(run)

        def held() -> bool:
            stays.look()
            return False

        with contextlib.suppress(TimedOut):
            Wait("the outage to last", seconds, run.settings.status_poll, observer).until(held)
        return {"seconds": seconds, "shortened": seconds < wanted}


def start_cluster(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """Start a database that is stopped or recoverable: StartDBCluster, or StartDBInstance.

    Tried again for some minutes (and no longer than `recovery_timeout`) while AWS answers that the
    key is not accessible or the state is not right: both can pass. Raises ActivityFailed. IAM:
    rds:StartDBCluster, or rds:StartDBInstance.
    """
    with activities.plainly(configuration) as run:
        name = cluster_id or activities.cluster_id(run)
        call_start(run, name)
        return {"cluster": name}


def wait_for_recovery(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """Wait until the cluster is back after its key was put back, and start it if need be.

    So are the other clusters that lost the key with it: each by the same rule, side by side.

    `recovery_strategy` says how: `wait-then-start` (default) waits `self_restart_within` AWS
    seconds for it to come back by itself and then calls StartDBCluster; `start` calls it as soon
    as it is legal; `self-only` never does. Back means: cluster and instances available, and 99 %
    of the load answered. At most `recovery_timeout` AWS seconds. A run that was interrupted does
    not wait for the lab's cluster, which goes with it. Then the load goes on until its answers come
    as fast as before, at most `normal_latency_within` AWS seconds.

    Returns `{"recovered": …, "path": "self-restart" | "start-db-cluster" | "start-db-instance" |
    null, "as_fast_as_before": …}`, and with other clusters `"others": {cluster: path}`. Without a
    fault of this run nothing is waited for or called. Raises ActivityFailed: not in time, or lost
    for good (`inaccessible-encryption-credentials`: only a restore from a backup helps).
    """
    with activities.plainly(configuration) as run:
        back = run.last(EventName.PUT_BACK)
        if back is None:
            if run.open_faults.key_away:
                raise Refused("the key has not been put back, so nothing can recover")
            return {"recovered": False, "path": None, "why": "nothing to wait for"}
        if run.interrupted and run.settings.target == "lab":
            return {"recovered": False, "path": None, "why": "interrupted: the lab goes with us"}
        return recover(run, cluster_id or activities.cluster_id(run), back)


def failover_is_refused(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """See that RDS refuses to fail over a cluster that has lost its key.

    A reader is under the same key as the writer, so a failover is no way out. Its error
    InvalidDBClusterStateFault says that the cluster is in no state for it (API reference,
    FailoverDBCluster). What a failover does between the loss of the key and the moment at which
    Aurora notices it, no document says: so a cluster that is still available is not failed over.

    Returns `refused` (true), `code` and `why`. Raises ActivityFailed where the cluster has not lost
    its key or has no reader, where RDS accepts the failover, and where it refuses for another
    reason. IAM: rds:FailoverDBCluster, rds:DescribeDBClusters, rds:DescribeDBInstances.
    """
    with activities.plainly(configuration) as run:
        cluster = rds.describe(Aws.of(run), cluster_id or activities.cluster_id(run))
        if cluster.meaning not in ("recoverable", "terminal"):
            raise Refused(f"the cluster {cluster.id} is {cluster.status}: it has not lost its key")
        if not cluster.readers:
            raise Refused(f"the cluster {cluster.id} has no reader, so it can never fail over")
        try:
            rds.fail_over(Aws.of(run), cluster.id, cluster.readers[0])
        except AwsError as problem:
            if problem.code != NO_STATE_FOR_IT:
                raise
            return {"refused": True, "code": problem.code, "why": str(problem)}
        raise Refused(f"RDS accepted a failover of {cluster.id}, which is {cluster.status}")


def create_encrypted_cluster(
    key_id: str,
    name: str = "cluster",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """Make an Aurora PostgreSQL cluster that a key encrypts, with one instance, for this run.

    It is written down before RDS is asked, carries the tag `chaos:run=<run>`, and costs what its
    instance does until `clean_up` removes it. Its master user is `chaos`; the password is a random
    one that only this process knows (`MasterPasswords`). Waits until both are available, at most
    `provision_timeout` AWS seconds for each; on AWS that takes some 10 minutes. In an experiment
    that is about nothing else (`on`) the first of them is the cluster of the run from then on.

    Parameters
    ----------
    key_id : the KMS key: id, ARN or alias.
    name : what it is called in this run: at most 30 letters, digits and single hyphens.

    The settings `instance_class` (db.t4g.medium), `subnet_group` and `security_groups` say where.
    Returns `cluster`, `instance`, `key` (ARN) and `address`. Raises ActivityFailed. IAM:
    rds:CreateDBCluster, rds:CreateDBInstance, rds:AddTagsToResource, rds:DescribeDBClusters,
    rds:DescribeDBInstances; kms:CreateGrant, kms:DescribeKey on the key, through RDS (Aurora User
    Guide, Overview.Encryption.Keys).
    """
    with activities.plainly(configuration) as run:
        cluster = create.create(run, key_id, name)
        if not run.target:
            key = kms.describe(Aws.of(run), cluster.key)
            run.target = Target(cluster, key)
            run.event(EventName.TARGET, cluster=cluster.id, key=key.arn)
            watch(run, Aws.of(run), cluster.id, key.arn)
        return described(cluster)


def create_is_refused(
    key_id: str,
    name: str = "doomed",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """See that no cluster can be made under a key that Aurora may not use.

    RDS refuses it (KMSKeyNotAccessibleFault), or takes it and the cluster becomes inaccessible or
    fails. What was made is removed in any case.

    Returns `refused` (true), `why`, and `code`: RDS' error code, or the cluster's status. Raises
    ActivityFailed when the cluster becomes available. IAM: as `create_encrypted_cluster` and
    `clean_up`.
    """
    with activities.plainly(configuration) as run:
        why, code = create.expect_create_refused(run, key_id, name)
        return {"refused": True, "why": why, "code": code}


def create_cluster_snapshot(
    cluster_id: str = "",
    name: str = "snapshot",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """Make a snapshot of a cluster for this run, and wait until it is available.

    It is under the cluster's own key. At most `provision_timeout` AWS seconds.

    Parameters
    ----------
    cluster_id : the DB cluster; by default the one of this run.
    name : what it is called in this run: at most 30 letters, digits and single hyphens.

    Returns `snapshot`, `key` (ARN) and `cluster`. Raises ActivityFailed. IAM:
    rds:CreateDBClusterSnapshot, rds:AddTagsToResource, rds:DescribeDBClusterSnapshots.
    """
    with activities.plainly(configuration) as run:
        made_of = create.snapshot(run, cluster_id or activities.own_cluster_id(run), name)
        return {"snapshot": made_of.id, "key": made_of.key, "cluster": made_of.cluster}


def copy_cluster_snapshot(
    snapshot_id: str,
    key_id: str,
    name: str = "copy",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """Copy a cluster snapshot under another key, and wait until the copy is available.

    At most `provision_timeout` AWS seconds. The source's key has to be usable.

    Parameters
    ----------
    snapshot_id : the snapshot that is copied.
    key_id : the key of the copy: id, ARN or alias.
    name : what it is called in this run: at most 30 letters, digits and single hyphens.

    Returns `snapshot` and `key` (ARN). Raises ActivityFailed, also when the copy turns out to be
    under another key. IAM: rds:CopyDBClusterSnapshot, rds:AddTagsToResource,
    rds:DescribeDBClusterSnapshots, and the use of both keys through RDS.
    """
    with activities.plainly(configuration) as run:
        copied = create.copy(run, snapshot_id, key_id, name)
        return {"snapshot": copied.id, "key": copied.key}


def restore_cluster(
    snapshot_id: str,
    key_id: str = "",
    name: str = "restored",
    like: str = "",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """Restore a new cluster with one instance from a cluster snapshot, for this run.

    Records `restore-ordered` at AWS' answer and `restored` when both are available, so that the
    time to a working replacement can be measured. At most `provision_timeout` AWS seconds for the
    cluster, which on AWS can take an hour, and as many for its instance. Master user and password
    are those of the snapshot's source.

    Parameters
    ----------
    snapshot_id : the snapshot.
    key_id : the new cluster's key; by default the snapshot's own.
    name : what it is called in this run: at most 30 letters, digits and single hyphens.
    like : the cluster whose groups (subnets, security, parameters), IAM database authentication and
        instance class it gets; the setting `instance_class` comes before. By default the one of
        this run.

    Returns `cluster`, `instance`, `key` (ARN) and `address`. Raises ActivityFailed, also when the
    cluster turns out to be under another key. IAM: rds:RestoreDBClusterFromSnapshot,
    rds:CreateDBInstance, rds:AddTagsToResource, rds:DescribeDBClusterSnapshots,
    rds:DescribeDBClusters, rds:DescribeDBInstances, and the use of the keys through RDS.
    """
    with activities.plainly(configuration) as run:
        model = like or activities.own_cluster_id(run)
        return described(create.restore(run, snapshot_id, key_id, name, model))


def restore_is_refused(
    snapshot_id: str,
    name: str = "doomed",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """See that a snapshot whose key is unusable cannot be restored under that key.

    RDS refuses it (KMSKeyNotAccessibleFault), or takes it and the cluster becomes inaccessible or
    fails. What was made is removed in any case.

    Returns `refused` (true), `why`, and `code`: RDS' error code, or the cluster's status. Raises
    ActivityFailed when the cluster becomes available. IAM: as `restore_cluster` and `clean_up`.
    """
    with activities.plainly(configuration) as run:
        why, code = create.expect_restore_refused(
            run, snapshot_id, name, activities.own_cluster_id(run)
        )
        return {"refused": True, "why": why, "code": code}


def delete_cluster(
    cluster_id: str, configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """Delete a cluster that this run made, with its instances and backups, and wait for that.

    One that is not there any more is no error. At most `provision_timeout` AWS seconds.

    Returns `cluster` and `deleted`: whether there was one. Raises ActivityFailed, also for what
    does not carry the tag `chaos:run=<run>`. IAM: rds:DeleteDBCluster, rds:DeleteDBInstance,
    rds:DescribeDBClusters, rds:DescribeDBInstances.
    """
    with activities.plainly(configuration) as run:
        cluster = delete.look(Aws.of(run), "cluster", cluster_id)
        instances = [
            Resource("instance", each) for each in sorted(cluster.members if cluster else ())
        ]
        _delete(run, cluster, Resource("cluster", cluster_id), instances)
        return {"cluster": cluster_id, "deleted": cluster is not None}


def delete_cluster_snapshot(
    snapshot_id: str, configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """Delete a cluster snapshot that this run made, and wait until it is gone.

    One that is not there any more is no error.

    Returns `snapshot` and `deleted`: whether there was one. Raises ActivityFailed, also for what
    does not carry the tag `chaos:run=<run>`. IAM: rds:DeleteDBClusterSnapshot,
    rds:DescribeDBClusterSnapshots.
    """
    with activities.plainly(configuration) as run:
        snapshot = delete.look(Aws.of(run), "snapshot", snapshot_id)
        _delete(run, snapshot, Resource("snapshot", snapshot_id), [])
        return {"snapshot": snapshot_id, "deleted": snapshot is not None}


def clean_up(configuration: Configuration = None, secrets: Secrets = None) -> dict[str, Any]:
    """Remove everything that this run made, and nothing else: the last rollback.

    Instances, clusters, snapshots, then the aliases of keys; the deletion of the keys is scheduled
    in 7 days, the fewest that KMS takes. Without anything made nothing is called. At most
    `provision_timeout` AWS seconds until the clusters are gone. On the lab a run that was
    interrupted leaves it to the end of the lab.

    Returns `removed` and `left`, which is empty. Raises ActivityFailed when something is left,
    which `chaos kms restore` then removes. IAM: rds:DeleteDBInstance, rds:DeleteDBCluster,
    rds:DeleteDBClusterSnapshot, rds:DescribeDBInstances, rds:DescribeDBClusters,
    rds:DescribeDBClusterSnapshots, kms:DescribeKey, kms:ListResourceTags, kms:DeleteAlias,
    kms:ScheduleKeyDeletion, tag:GetResources.
    """
    with activities.plainly(configuration) as run:
        if not run.ledger or not run.ledger.resources:
            return {"removed": [], "left": [], "why": "this run has made nothing"}
        ledger = run.ledger
        lab = run.lab
        if lab and (run.interrupted or not lab.running):
            ledger.close()
            return {"removed": [], "left": [], "why": "it goes with the lab"}
        removed: list[str] = []
        left = delete.remove(
            Aws.of(run),
            ledger,
            removed.append,
            create.limit(run),
            run.settings.status_poll,
            run.observer,
        )
        if left:
            raise Refused(f"{'; '.join(left)}: `chaos kms restore` removes what this run made")
        return {"removed": removed, "left": []}


def _delete(
    run: Run, there: delete.There | None, resource: Resource, instances: Sequence[Resource]
) -> None:
    if there and there.tags.get(TAG) != run.id:
        raise Refused(
            f"the {resource} does not carry the tag {TAG}={run.id}: this run did not make it"
        )
    left = delete.databases(
        Aws.of(run),
        Ledger.of(run),
        [*instances, resource],
        lambda said: None,
        create.limit(run),
        run.settings.status_poll,
        run.observer,
    )
    if left:
        raise Refused("; ".join(left))
