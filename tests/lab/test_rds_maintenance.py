"""Maintenance that is pending for a cluster: described, applied, and in the way of its return."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from chaosaws_kms_lab.aurora import Effect
from tests.support.clusters import refusal
from tests.support.document import deviates, shows

ENGINE = {"Engine": "aurora-postgresql"}


@pytest.fixture
def there(own_lab):
    """A cluster under a key, with a writer, for which maintenance of 900 seconds is pending."""
    kms, rds = own_lab.client("kms"), own_lab.client("rds")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    arn = rds.create_db_cluster(
        DBClusterIdentifier="orders", StorageEncrypted=True, KmsKeyId=key, MasterUsername="app",
        MasterUserPassword="not-so-secret", **ENGINE,
    )["DBCluster"]["DBClusterArn"]  # fmt: skip
    rds.create_db_instance(
        DBInstanceIdentifier="orders-1", DBClusterIdentifier="orders",
        DBInstanceClass="db.r6g.large", **ENGINE,
    )  # fmt: skip
    own_lab.pass_time(200)
    own_lab.pass_time(200)
    own_lab.world.region("eu-west-1").clusters["orders"].maintenance_takes = 900.0
    return SimpleNamespace(lab=own_lab, kms=kms, rds=rds, key=key, arn=arn)


def pending(there, **asked):
    found = there.rds.describe_pending_maintenance_actions(**asked)["PendingMaintenanceActions"]
    return [(its["ResourceIdentifier"], its["PendingMaintenanceActionDetails"]) for its in found]


def apply(there, how="immediate", action="system-update", arn=None):
    asked = {"ResourceIdentifier": arn or there.arn, "ApplyAction": action, "OptInType": how}
    return there.rds.apply_pending_maintenance_action(**asked)


def status(there):
    its = there.rds.describe_db_clusters()["DBClusters"][0]["Status"]
    assert there.rds.describe_db_instances()["DBInstances"][0]["DBInstanceStatus"] == its
    return its


def maintained(there):
    """The RDS events of it."""
    return [
        each["Message"]
        for each in there.rds.describe_events(SourceType="db-instance")["Events"]
        if "patches" in each["Message"]
    ]


def lose(there):
    there.kms.disable_key(KeyId=there.key)
    there.lab.pass_time(1)
    there.lab.pass_time(450)
    assert status(there) == "inaccessible-encryption-credentials-recoverable"


def start(there):
    there.kms.enable_key(KeyId=there.key)
    there.lab.pass_time(1)
    there.rds.start_db_cluster(DBClusterIdentifier="orders")
    assert status(there) == "starting"
    there.lab.pass_time(180)


@shows("rds:DescribePendingMaintenanceActions")
def test_what_is_pending_is_described_of_whatever_it_is_asked(there):
    ((arn, (its,)),) = pending(there)
    assert (arn, its["Action"]) == (there.arn, "system-update")
    assert "OptInStatus" not in its
    for name, value in (("db-cluster-id", "orders"), ("db-instance-id", "orders-1")):
        assert pending(there, Filters=[{"Name": name, "Values": [value]}]) == pending(there)
        assert pending(there, Filters=[{"Name": name, "Values": ["carts"]}]) == []
    assert pending(there, ResourceIdentifier=there.arn) == pending(there)
    assert pending(there, ResourceIdentifier=f"{there.arn}x") == []


@deviates("rds:DescribePendingMaintenanceActions", "knows one action, and no date of it")
def test_nothing_is_pending_of_a_new_cluster(there):
    there.lab.world.region("eu-west-1").clusters["orders"].maintenance_takes = 0.0
    assert pending(there) == []


@shows("rds:DescribeDBClusters", "rds:DescribeEvents")
def test_a_cluster_that_comes_back_is_under_maintenance_first(there):
    lose(there)
    start(there)
    assert status(there) == "maintenance"
    assert maintained(there) == ["Applying off-line patches to DB instance."]
    there.lab.pass_time(899)
    assert status(there) == "maintenance"
    assert Effect.BOOT not in [effect for _, effect in there.lab.servers.effects]
    there.lab.pass_time(1)
    there.lab.pass_time(1)
    assert status(there) == "available"
    assert maintained(there)[-1] == "Finished applying off-line patches to DB instance."
    assert pending(there) == []


def test_without_anything_pending_it_is_not(there):
    there.lab.world.region("eu-west-1").clusters["orders"].maintenance_takes = 0.0
    lose(there)
    start(there)
    there.lab.pass_time(1)
    assert status(there) == "available"
    assert maintained(there) == []


def test_a_key_that_goes_again_meanwhile_takes_the_cluster_down_again(there):
    lose(there)
    start(there)
    there.kms.disable_key(KeyId=there.key)
    there.lab.pass_time(1)
    there.lab.pass_time(449)
    assert status(there) == "maintenance"
    there.lab.pass_time(1)
    assert status(there) == "inaccessible-encryption-credentials-recoverable"
    start(there)
    assert status(there) == "maintenance"
    there.lab.pass_time(900)
    there.lab.pass_time(1)
    assert status(there) == "available"


@shows("rds:ApplyPendingMaintenanceAction")
def test_it_is_applied_at_once_if_somebody_asks_for_it(there):
    apply(there)
    assert status(there) == "maintenance"
    assert [effect for _, effect in there.lab.servers.effects][-1] is Effect.MAINTAINING
    assert refusal(there.rds.stop_db_cluster, DBClusterIdentifier="orders") == (
        "InvalidDBClusterStateFault"
    )
    there.kms.disable_key(KeyId=there.key)  # the key is away for some of the maintenance
    there.lab.pass_time(100)
    there.kms.enable_key(KeyId=there.key)
    there.lab.pass_time(800)
    there.lab.pass_time(1)
    assert status(there) == "available"
    assert pending(there) == []


@deviates("rds:ApplyPendingMaintenanceAction", "notes an opt-in for the window, which never comes")
@shows("rds:ApplyPendingMaintenanceAction")
def test_or_later_or_not(there):
    (its,) = apply(there, "next-maintenance")["ResourcePendingMaintenanceActions"][
        "PendingMaintenanceActionDetails"
    ]
    assert its["OptInStatus"] == "next-maintenance"
    assert status(there) == "available"
    apply(there, "undo-opt-in")
    ((_, (its,)),) = pending(there)
    assert "OptInStatus" not in its


@shows("rds:ApplyPendingMaintenanceAction")
def test_what_is_not_pending_or_not_possible_is_refused(there):
    asked = {"there": there}
    assert refusal(apply, **asked, action="os-upgrade") == "ResourceNotFoundFault"
    assert refusal(apply, **asked, arn=f"{there.arn}x") == "ResourceNotFoundFault"
    assert refusal(apply, **asked, how="tomorrow") == "InvalidParameterValue"
    lose(there)
    assert refusal(apply, **asked) == "InvalidDBClusterStateFault"
