"""Chaos Toolkit's own AWS extension against the lab: its RDS probes and actions."""

from __future__ import annotations

import pytest
from chaosaws.rds import actions, probes
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext.lab_client.local_lab import only_the_lab
from tests.support.clusters import AVAILABLE, becomes, described, new_instance, new_writer, up
from tests.support.document import shows

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers]


@pytest.fixture
def cluster(lab, rds):
    """A cluster with a writer and a reader, and nothing but the lab to be reached."""
    made = new_writer(rds)
    up(rds, new_instance(rds, made, 2))
    with only_the_lab(lab):
        yield made


CONFIGURATION = {"aws_region": "eu-west-1"}


@shows("rds:DescribeDBClusters", "rds:DescribeDBInstances")
def test_its_probes_see_what_is_there(cluster):
    name = cluster["DBClusterIdentifier"]
    assert probes.cluster_status(cluster_id=name, configuration=CONFIGURATION) == AVAILABLE
    assert probes.cluster_membership_count(name, configuration=CONFIGURATION) == 2
    of_cluster = [{"Name": "db-cluster-id", "Values": [name]}]
    assert probes.instance_status(filters=of_cluster, configuration=CONFIGURATION) == AVAILABLE
    with pytest.raises(ActivityFailed):
        actions.stop_db_cluster("nobody", configuration=CONFIGURATION)


@shows("rds:FailoverDBCluster", "rds:RebootDBInstance", "rds:StopDBCluster", "rds:StopDBInstance")
def test_its_actions_act(rds, cluster):
    name = cluster["DBClusterIdentifier"]
    actions.failover_db_cluster(name, f"{name}-2", configuration=CONFIGURATION)
    becomes(rds, cluster, AVAILABLE)
    assert described(rds, cluster)["DBClusterMembers"][0]["DBInstanceIdentifier"] == f"{name}-2"
    actions.reboot_db_instance(f"{name}-1", configuration=CONFIGURATION)
    up(rds, f"{name}-1")
    with pytest.raises(ActivityFailed, match="not eligible for stopping and starting"):
        actions.stop_db_instance(f"{name}-1", configuration=CONFIGURATION)
    actions.stop_db_cluster(name, configuration=CONFIGURATION)
    becomes(rds, cluster, "stopped")
    assert probes.instance_status(f"{name}-1", configuration=CONFIGURATION) == "stopped"


@shows("rds:DeleteDBInstance", "rds:DeleteDBCluster")
def test_its_actions_delete(rds, cluster):
    name = cluster["DBClusterIdentifier"]
    for number in (2, 1):
        actions.delete_db_instance(f"{name}-{number}", configuration=CONFIGURATION)
    actions.delete_db_cluster(name, configuration=CONFIGURATION)
    with pytest.raises(Exception, match="DBClusterNotFoundFault"):
        probes.cluster_status(cluster_id=name, configuration=CONFIGURATION)
