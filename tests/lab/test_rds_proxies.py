"""RDS Proxy as RDS tells of it: API reference, Aurora User Guide, rds-proxy."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from chaosaws_kms_lab import data_misbehaviours
from tests.support.clusters import refusal
from tests.support.document import deviates, shows
from tests.support.proxies import LOGIN, ROLE, new_proxy, new_secret

ENGINE = {"Engine": "aurora-postgresql"}
LOGINS = {LOGIN["username"]: LOGIN["password"]}


@pytest.fixture
def there(own_lab):
    """A cluster under a key, with a writer and a reader, and a secret under another key."""
    kms, rds = own_lab.client("kms"), own_lab.client("rds")
    storage, other = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    rds.create_db_cluster(
        DBClusterIdentifier="orders",
        StorageEncrypted=True,
        KmsKeyId=storage,
        MasterUsername="app",
        MasterUserPassword="not-so-secret",
        **ENGINE,
    )
    for number in (1, 2):
        rds.create_db_instance(
            DBInstanceIdentifier=f"orders-{number}",
            DBClusterIdentifier="orders",
            DBInstanceClass="db.r6g.large",
            **ENGINE,
        )
    own_lab.pass_time(200)
    own_lab.pass_time(200)
    secret = new_secret(own_lab, other)
    endpoints = own_lab.servers.proxies.served
    return SimpleNamespace(
        lab=own_lab, kms=kms, rds=rds, storage=storage, other=other, secret=secret,
        endpoints=endpoints,
    )  # fmt: skip


def targets(there, name="front"):
    return there.rds.describe_db_proxy_targets(DBProxyName=name)["Targets"]


def health(there, number=1):
    """Of an instance, as the proxy sees it."""
    found = {each["RdsResourceId"]: each for each in targets(there)}
    return found[f"orders-{number}"]["TargetHealth"]


def states(there):
    return [health(there, number)["State"] for number in (1, 2)]


@shows("rds:CreateDBProxy", "rds:DescribeDBProxies", "rds:DescribeDBProxyTargetGroups")
def test_a_proxy_is_made_and_described(there):
    made = new_proxy(there.lab, there.secret, "Front", cluster="")
    assert (made["DBProxyName"], made["Status"], made["RoleArn"]) == ("front", "creating", ROLE)
    assert made["Auth"] == [
        {
            "AuthScheme": "SECRETS",
            "SecretArn": there.secret,
            "IAMAuth": "DISABLED",
            "ClientPasswordAuthType": "POSTGRES_SCRAM_SHA_256",
        }
    ]
    (found,) = there.rds.describe_db_proxies()["DBProxies"]
    assert found == {**made, "Status": "available"}
    assert there.rds.describe_db_proxies(DBProxyName="FRONT")["DBProxies"] == [found]
    (group,) = there.rds.describe_db_proxy_target_groups(DBProxyName="front")["TargetGroups"]
    assert (group["TargetGroupName"], group["IsDefault"]) == ("default", True)
    assert group["ConnectionPoolConfig"]["ConnectionBorrowTimeout"] == 120


@shows("rds:RegisterDBProxyTargets", "rds:DescribeDBProxyTargets")
def test_its_targets_are_the_cluster_and_the_instances_with_their_health(there):
    new_proxy(there.lab, there.secret, wait=False)
    cluster, writer, reader = targets(there)
    assert (cluster["Type"], cluster["TrackedClusterId"]) == ("TRACKED_CLUSTER", "orders")
    assert "TargetHealth" not in cluster
    assert [(each["RdsResourceId"], each["Role"]) for each in (writer, reader)] == [
        ("orders-1", "READ_WRITE"),
        ("orders-2", "READ_ONLY"),
    ]
    assert states(there) == ["REGISTERING", "REGISTERING"]
    there.lab.pass_time(60)
    assert health(there) == {"State": "AVAILABLE"}
    assert states(there) == ["AVAILABLE", "AVAILABLE"]
    (told,) = there.endpoints.values()
    assert (told.port, told.writer, told.logins) == (20000, "127.0.0.1", LOGINS)
    assert told.borrow_timeout == 120


@shows("rds:DescribeDBProxyTargets")
def test_without_the_clusters_key_no_target_is_available_until_it_is_back(there):
    new_proxy(there.lab, there.secret)
    there.kms.disable_key(KeyId=there.storage)
    there.lab.pass_time(1)
    there.lab.pass_time(450)
    assert states(there) == ["AVAILABLE", "UNAVAILABLE"]  # it has not seen it yet
    there.lab.pass_time(10)
    assert health(there)["Reason"] == "CONNECTION_FAILED"
    assert states(there) == ["UNAVAILABLE", "UNAVAILABLE"]
    assert [each.writer for each in there.endpoints.values()] == [None]
    there.kms.enable_key(KeyId=there.storage)
    there.lab.pass_time(1)
    there.rds.start_db_cluster(DBClusterIdentifier="orders")
    for _ in range(3):
        there.lab.pass_time(200)
    assert states(there) == ["AVAILABLE", "AVAILABLE"]
    assert [each.writer for each in there.endpoints.values()] == ["127.0.0.1"]


@deviates("rds:DescribeDBProxyTargets", "asks KMS, and not IAM, whether the role reads a secret")
def test_without_the_key_of_its_secret_nobody_may_log_in(there):
    new_proxy(there.lab, there.secret)
    there.kms.disable_key(KeyId=there.other)
    there.lab.pass_time(60)
    its = health(there)
    assert (its["State"], its["Reason"]) == ("UNAVAILABLE", "AUTH_FAILURE")
    assert "does not have any registered credentials" in its["Description"]
    assert "DisabledException" in its["Description"]
    (told,) = there.endpoints.values()
    assert (told.logins, told.writer) == ({}, "127.0.0.1")  # who is in stays in
    there.kms.enable_key(KeyId=there.other)
    there.lab.pass_time(60)
    assert health(there) == {"State": "AVAILABLE"}
    assert [each.logins for each in there.endpoints.values()] == [LOGINS]


@pytest.mark.parametrize(
    "content", ["no JSON", "[1]", "[" * 20_000, '{"username": "app"}', '"x"', "null"]
)
@shows("rds:DescribeDBProxyTargets")
def test_a_secret_without_a_login_lets_nobody_in(there, content):
    new_proxy(there.lab, new_secret(there.lab, None, content))
    assert health(there)["Reason"] == "AUTH_FAILURE"
    assert "has no username and password" in health(there)["Description"]


@shows("rds:DescribeDBProxyTargets")
def test_a_secret_that_is_not_there_lets_nobody_in(there):
    new_proxy(there.lab, f"{there.secret}x")
    assert health(there)["Reason"] == "AUTH_FAILURE"


@shows("rds:DescribeDBProxyTargets")
def test_a_failover_gives_the_roles_to_others(there):
    new_proxy(there.lab, there.secret)
    there.rds.failover_db_cluster(
        DBClusterIdentifier="orders", TargetDBInstanceIdentifier="orders-2"
    )
    there.lab.pass_time(10)
    assert health(there)["State"] == "AVAILABLE"  # the new writer answers already
    there.lab.pass_time(30)
    there.lab.pass_time(1)
    roles = {each["RdsResourceId"]: each.get("Role") for each in targets(there)}
    assert (roles["orders-1"], roles["orders-2"]) == ("READ_ONLY", "READ_WRITE")
    assert states(there) == ["AVAILABLE", "AVAILABLE"]


def test_one_that_stays_away_does_not_come_back_until_that_is_cleared(there):
    new_proxy(there.lab, there.secret)
    world = there.lab.world
    ordered = data_misbehaviours.order(world, {"kind": "proxy-stays-away", "cluster": "orders"})
    there.lab.pass_time(60)
    assert health(there) == {"State": "AVAILABLE"}  # it was not away
    there.rds.stop_db_cluster(DBClusterIdentifier="orders")
    there.lab.pass_time(60)
    there.lab.pass_time(60)
    there.rds.start_db_cluster(DBClusterIdentifier="orders")
    for _ in range(3):
        there.lab.pass_time(200)
    assert there.rds.describe_db_clusters()["DBClusters"][0]["Status"] == "available"
    assert health(there)["State"] == "UNAVAILABLE"
    ordered.over = True
    there.lab.pass_time(1)
    assert health(there) == {"State": "AVAILABLE"}


@shows("rds:DeleteDBProxy", "rds:DescribeDBProxyTargets")
def test_one_that_is_deleted_is_gone_with_its_endpoint(there):
    new_proxy(there.lab, there.secret)
    assert there.rds.delete_db_proxy(DBProxyName="front")["DBProxy"]["Status"] == "deleting"
    assert there.endpoints == {}
    for operation in ("describe_db_proxies", "describe_db_proxy_targets", "delete_db_proxy"):
        why = refusal(getattr(there.rds, operation), DBProxyName="front")
        assert why == "DBProxyNotFoundFault"


@shows("rds:DescribeDBProxyTargets")
def test_one_whose_cluster_is_deleted_has_no_target(there):
    new_proxy(there.lab, there.secret)
    for number in (2, 1):
        there.rds.delete_db_instance(DBInstanceIdentifier=f"orders-{number}")
        there.lab.pass_time(60)
    there.rds.delete_db_cluster(DBClusterIdentifier="orders", SkipFinalSnapshot=True)
    there.lab.pass_time(60)
    assert targets(there) == []
    assert there.endpoints == {}


@deviates("rds:CreateDBProxy", "is of PostgreSQL, and logs in by secrets, never by IAM")
@shows("rds:CreateDBProxy")
def test_what_cannot_be_made_is_refused(there):
    asked = {
        "DBProxyName": "front",
        "EngineFamily": "POSTGRESQL",
        "Auth": [{"SecretArn": there.secret}],
        "RoleArn": ROLE,
        "VpcSubnetIds": ["subnet-1", "subnet-2"],
    }
    make = there.rds.create_db_proxy
    assert refusal(make, **asked | {"EngineFamily": "MYSQL"}) == "InvalidParameterValue"
    assert refusal(make, **asked | {"DBProxyName": "a--b"}) == "InvalidParameterValue"
    assert refusal(make, **asked | {"Auth": []}) == "InvalidParameterCombination"
    iam = {"DefaultAuthScheme": "IAM_AUTH"}
    assert refusal(make, **asked | iam) == "InvalidParameterCombination"
    make(**asked)
    assert refusal(make, **asked | {"DBProxyName": "FRONT"}) == "DBProxyAlreadyExistsFault"
    for number in range(19):
        make(**asked | {"DBProxyName": f"p{number}"})
    assert refusal(make, **asked | {"DBProxyName": "more"}) == "DBProxyQuotaExceededFault"


@deviates("rds:RegisterDBProxyTargets", "takes one cluster, and no instance")
@shows("rds:RegisterDBProxyTargets")
def test_what_cannot_be_registered_is_refused(there):
    register = there.rds.register_db_proxy_targets
    cluster = {"DBProxyName": "front", "DBClusterIdentifiers": ["orders"]}
    assert refusal(register, **cluster) == "DBProxyNotFoundFault"
    new_proxy(there.lab, there.secret, cluster="")
    group = {"TargetGroupName": "other"}
    assert refusal(register, **cluster | group) == "DBProxyTargetGroupNotFoundFault"
    none = {"DBProxyName": "front", "DBInstanceIdentifiers": ["orders-1"]}
    assert refusal(register, **none) == "InvalidParameterCombination"
    other = cluster | {"DBClusterIdentifiers": ["carts"]}
    assert refusal(register, **other) == "DBClusterNotFoundFault"
    register(**cluster)
    assert refusal(register, **cluster) == "DBProxyTargetAlreadyRegisteredFault"
    new_proxy(there.lab, there.secret, "second", cluster="")
    there.rds.stop_db_cluster(DBClusterIdentifier="orders")
    second = cluster | {"DBProxyName": "second"}
    assert refusal(register, **second) == "InvalidDBClusterStateFault"


@shows("rds:RegisterDBProxyTargets", "rds:CreateDBProxy")
def test_one_that_is_still_made_takes_no_target(there):
    there.rds.create_db_proxy(
        DBProxyName="front",
        EngineFamily="POSTGRESQL",
        Auth=[{"SecretArn": there.secret}],
        RoleArn=ROLE,
        VpcSubnetIds=["subnet-1"],
    )
    asked = {"DBProxyName": "front", "DBClusterIdentifiers": ["orders"]}
    assert refusal(there.rds.register_db_proxy_targets, **asked) == "InvalidDBProxyStateFault"
