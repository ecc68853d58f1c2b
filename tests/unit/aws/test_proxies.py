"""Which database an RDS Proxy stands before, by everything that RDS may call it."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.aws import proxies
from chaosaws_kms_ext.aws.cluster import cluster_of
from chaosaws_kms_ext.aws.instance import instance_of

ARN = "arn:aws:rds:eu-west-1:123456789012"
CLUSTER = cluster_of(
    {
        "DBClusterIdentifier": "orders",
        "DBClusterArn": f"{ARN}:cluster:orders",
        "DbClusterResourceId": "cluster-ABC",
        "Status": "available",
    },
    [],
)
INSTANCE = instance_of(
    {
        "DBInstanceIdentifier": "orders",
        "DBInstanceArn": f"{ARN}:db:orders",
        "DbiResourceId": "db-ABC",
        "DBInstanceStatus": "available",
    }
)


class Rds:
    """Has one proxy, with these targets."""

    def __init__(self, *targets):
        self._targets = targets

    def pages(self, service, operation, params, member):
        if operation == "DescribeDBProxies":
            return [{"DBProxyName": "front"}]
        return list(self._targets)


def is_before(database, *targets):
    return bool(proxies.of_database(Rds(*targets), database))


@pytest.mark.parametrize(
    "target",
    [
        {"Type": "TRACKED_CLUSTER", "RdsResourceId": "orders"},
        {"Type": "TRACKED_CLUSTER", "RdsResourceId": "cluster-ABC"},
        {"Type": "TRACKED_CLUSTER", "TargetArn": f"{ARN}:cluster:orders"},
        {"Type": "RDS_INSTANCE", "TrackedClusterId": "orders", "RdsResourceId": "orders-1"},
    ],
)
def test_a_cluster_is_known_by_its_target_or_by_an_instance_of_it(target):
    assert is_before(CLUSTER, target)


@pytest.mark.parametrize(
    "target",
    [
        {"Type": "RDS_INSTANCE", "RdsResourceId": "orders"},
        {"Type": "RDS_INSTANCE", "RdsResourceId": "db-ABC"},
        {"Type": "RDS_INSTANCE", "TargetArn": f"{ARN}:db:orders"},
    ],
)
def test_an_instance_that_is_no_clusters_too(target):
    assert is_before(INSTANCE, target)


@pytest.mark.parametrize("database", [CLUSTER, INSTANCE])
@pytest.mark.parametrize(
    "targets",
    [
        [],
        [{}],
        [{"Type": "TRACKED_CLUSTER", "TrackedClusterId": "carts", "RdsResourceId": "carts"}],
        [{"Type": "RDS_INSTANCE", "TrackedClusterId": "carts", "RdsResourceId": "orders"}],
    ],
)
def test_anything_else_is_another(database, targets):
    assert not is_before(database, *targets)
