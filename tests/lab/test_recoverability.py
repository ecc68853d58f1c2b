"""Clusters without the recoverable state: represented, and lost at once when their key is."""

from __future__ import annotations

from chaosaws_kms_lab import data_misbehaviours
from tests.support.clusters import RECOVERABLE, TERMINAL, refusal
from tests.support.document import deviates, shows

LAG = 450


def new(own_lab, name="c", region="eu-west-1", **params):
    key = own_lab.client("kms", region=region).create_key()["KeyMetadata"]["Arn"]
    rds = own_lab.client("rds", region=region)
    params = {"DBClusterIdentifier": name, "Engine": "aurora-postgresql"} | params
    made = rds.create_db_cluster(StorageEncrypted=True, KmsKeyId=key, **params)["DBCluster"]
    own_lab.pass_time(60)
    return made


def status_after_the_key_is_lost(own_lab, cluster):
    region = cluster["DBClusterArn"].split(":")[3]
    own_lab.client("kms", region=region).disable_key(KeyId=cluster["KmsKeyId"])
    own_lab.pass_time(0)
    own_lab.pass_time(LAG)
    name = cluster["DBClusterIdentifier"]
    rds = own_lab.client("rds", region=region)
    return rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]["Status"]


def is_lost_for_good(own_lab, cluster):
    rds, kms = own_lab.client("rds"), own_lab.client("kms")
    name = {"DBClusterIdentifier": cluster["DBClusterIdentifier"]}
    assert refusal(rds.stop_db_cluster, **name) == "InvalidDBClusterStateFault"
    assert status_after_the_key_is_lost(own_lab, cluster) == TERMINAL
    kms.enable_key(KeyId=cluster["KmsKeyId"])
    own_lab.pass_time(86400)
    assert rds.describe_db_clusters(**name)["DBClusters"][0]["Status"] == TERMINAL
    assert refusal(rds.start_db_cluster, **name) == "InvalidDBClusterStateFault"
    return True


def test_an_ordinary_cluster_has_the_recoverable_state(own_lab):
    assert status_after_the_key_is_lost(own_lab, new(own_lab)) == RECOVERABLE


@shows("rds:CreateGlobalCluster", "rds:DescribeGlobalClusters", "rds:DescribeDBClusters")
@deviates("rds:CreateGlobalCluster", "represented only: nothing is replicated")
def test_the_members_of_a_global_database_are_lost_at_once(own_lab):
    rds, cluster = own_lab.client("rds"), new(own_lab)
    rds.create_global_cluster(
        GlobalClusterIdentifier="g", SourceDBClusterIdentifier=cluster["DBClusterArn"]
    )
    new(own_lab, "far", "us-east-1", GlobalClusterIdentifier="g")
    (group,) = rds.describe_global_clusters()["GlobalClusters"]
    writers = {
        m["DBClusterArn"].split(":")[3]: m["IsWriter"] for m in group["GlobalClusterMembers"]
    }
    assert writers == {"eu-west-1": True, "us-east-1": False}
    (described,) = rds.describe_db_clusters()["DBClusters"]
    assert described["GlobalClusterIdentifier"] == "g"
    assert is_lost_for_good(own_lab, cluster)


@shows("rds:StopDBCluster", "rds:RemoveFromGlobalCluster", "rds:DeleteGlobalCluster")
def test_the_only_member_of_a_global_database_can_be_stopped_and_leave(own_lab):
    rds, cluster = own_lab.client("rds"), new(own_lab)
    name = {"DBClusterIdentifier": cluster["DBClusterIdentifier"]}
    rds.create_global_cluster(GlobalClusterIdentifier="g", SourceDBClusterIdentifier="c")
    assert refusal(rds.create_global_cluster, GlobalClusterIdentifier="g") == (
        "GlobalClusterAlreadyExistsFault"
    )
    assert refusal(rds.delete_db_cluster, SkipFinalSnapshot=True, **name) == (
        "InvalidDBClusterStateFault"
    )
    assert refusal(rds.delete_global_cluster, GlobalClusterIdentifier="g") == (
        "InvalidGlobalClusterStateFault"
    )
    rds.stop_db_cluster(**name)
    own_lab.pass_time(60)
    rds.start_db_cluster(**name)
    own_lab.pass_time(180)
    own_lab.pass_time(0)
    rds.remove_from_global_cluster(
        GlobalClusterIdentifier="g", DbClusterIdentifier=cluster["DBClusterArn"]
    )
    rds.delete_global_cluster(GlobalClusterIdentifier="g")
    assert status_after_the_key_is_lost(own_lab, cluster) == RECOVERABLE


@shows("rds:CreateDBCluster", "rds:DescribeDBClusters")
@deviates("rds:CreateDBCluster", "a cross-Region read replica is represented only")
def test_a_cross_region_replica_and_its_source_are_lost_at_once(own_lab):
    source = new(own_lab)
    arn = source["DBClusterArn"]
    far = own_lab.client("rds", region="us-east-1")
    request = {"DBClusterIdentifier": "r", "Engine": "aurora-postgresql"}
    code = refusal(far.create_db_cluster, ReplicationSourceIdentifier=arn, **request)
    assert code == "InvalidParameterCombination"  # it needs a key of its own Region
    replica = new(own_lab, "r", "us-east-1", ReplicationSourceIdentifier=arn)
    assert replica["ReplicationSourceIdentifier"] == arn
    (described,) = own_lab.client("rds").describe_db_clusters()["DBClusters"]
    assert described["ReadReplicaIdentifiers"] == [replica["DBClusterArn"]]
    assert status_after_the_key_is_lost(own_lab, replica) == TERMINAL
    assert is_lost_for_good(own_lab, source)


@shows("rds:PromoteReadReplicaDBCluster")
def test_a_promoted_replica_is_a_cluster_like_any_other(own_lab):
    source = new(own_lab)
    replica = new(own_lab, "r", "us-east-1", ReplicationSourceIdentifier=source["DBClusterArn"])
    far = own_lab.client("rds", region="us-east-1")
    promoted = far.promote_read_replica_db_cluster(DBClusterIdentifier="r")["DBCluster"]
    assert "ReplicationSourceIdentifier" not in promoted
    assert refusal(far.promote_read_replica_db_cluster, DBClusterIdentifier="r") == (
        "InvalidDBClusterStateFault"
    )
    assert status_after_the_key_is_lost(own_lab, source) == RECOVERABLE
    assert status_after_the_key_is_lost(own_lab, replica) == RECOVERABLE


@shows(
    "rds:CreateBlueGreenDeployment",
    "rds:DescribeBlueGreenDeployments",
    "rds:DeleteBlueGreenDeployment",
)
@deviates("rds:CreateBlueGreenDeployment", "represented only: no green environment is made")
def test_a_cluster_in_a_blue_green_deployment_is_lost_at_once(own_lab):
    rds, blue, other = own_lab.client("rds"), new(own_lab), new(own_lab, "d")
    request = {"BlueGreenDeploymentName": "x"}
    made = rds.create_blue_green_deployment(Source=blue["DBClusterArn"], **request)
    deployment = {
        "BlueGreenDeploymentIdentifier": made["BlueGreenDeployment"][
            "BlueGreenDeploymentIdentifier"
        ]
    }
    code = refusal(rds.create_blue_green_deployment, Source=other["DBClusterArn"], **request)
    assert code == "BlueGreenDeploymentAlreadyExistsFault"
    by_source = [{"Name": "source", "Values": [blue["DBClusterArn"]]}]
    (found,) = rds.describe_blue_green_deployments(Filters=by_source)["BlueGreenDeployments"]
    assert found["Source"] == blue["DBClusterArn"]
    assert is_lost_for_good(own_lab, blue)
    rds.delete_blue_green_deployment(**deployment)
    code = refusal(rds.describe_blue_green_deployments, **deployment)
    assert code == "BlueGreenDeploymentNotFoundFault"
    assert status_after_the_key_is_lost(own_lab, other) == RECOVERABLE


@shows("rds:CreateDBCluster", "rds:CreateDBInstance")
@deviates("rds:CreateDBCluster", "Aurora Serverless v1 is represented only: it has no server")
def test_a_serverless_v1_cluster_is_lost_at_once_and_a_v2_one_is_not(own_lab):
    v1 = new(own_lab, EngineMode="serverless")
    assert v1["EngineMode"] == "serverless"
    v2 = new(own_lab, "v2", ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 2})
    instance = {"DBInstanceIdentifier": "i", "DBInstanceClass": "db.serverless"}
    instance |= {"Engine": "aurora-postgresql", "DBClusterIdentifier": "c"}
    create = own_lab.client("rds").create_db_instance
    assert refusal(create, **instance) == "InvalidDBClusterStateFault"
    create(**instance | {"DBClusterIdentifier": "v2"})
    assert is_lost_for_good(own_lab, v1)
    assert status_after_the_key_is_lost(own_lab, v2) == RECOVERABLE


def rename(own_lab, name, new):
    own_lab.client("rds").modify_db_cluster(DBClusterIdentifier=name, NewDBClusterIdentifier=new)
    return own_lab.client("rds").describe_db_clusters(DBClusterIdentifier=new)["DBClusters"][0]


def test_a_renamed_cluster_is_what_it_was(own_lab):
    rds, source = own_lab.client("rds"), new(own_lab)
    replica = new(own_lab, "r", "us-east-1", ReplicationSourceIdentifier=source["DBClusterArn"])
    rds.create_global_cluster(GlobalClusterIdentifier="g", SourceDBClusterIdentifier="c")
    rds.create_blue_green_deployment(BlueGreenDeploymentName="x", Source=source["DBClusterArn"])
    renamed = rename(own_lab, "c", "c2")
    (group,) = rds.describe_global_clusters()["GlobalClusters"]
    assert group["GlobalClusterMembers"][0]["DBClusterArn"] == renamed["DBClusterArn"]
    (deployment,) = rds.describe_blue_green_deployments()["BlueGreenDeployments"]
    assert deployment["Source"] == renamed["DBClusterArn"]
    (far,) = own_lab.client("rds", region="us-east-1").describe_db_clusters()["DBClusters"]
    assert far["ReplicationSourceIdentifier"] == renamed["DBClusterArn"]
    assert renamed["ReadReplicaIdentifiers"] == [replica["DBClusterArn"]]
    old = {"GlobalClusterIdentifier": "g", "DbClusterIdentifier": source["DBClusterArn"]}
    assert refusal(rds.remove_from_global_cluster, **old) == "DBClusterNotFoundFault"
    assert is_lost_for_good(own_lab, renamed)


def test_what_others_build_on_is_not_deleted_and_what_is_gone_is_not_remembered(own_lab):
    rds, source = own_lab.client("rds"), new(own_lab)
    new(own_lab, "r", "us-east-1", ReplicationSourceIdentifier=source["DBClusterArn"])
    made = rds.create_blue_green_deployment(
        BlueGreenDeploymentName="x", Source=source["DBClusterArn"]
    )["BlueGreenDeployment"]
    delete = {"DBClusterIdentifier": "c", "SkipFinalSnapshot": True}
    assert refusal(rds.delete_db_cluster, **delete) == "InvalidDBClusterStateFault"
    rds.delete_blue_green_deployment(
        BlueGreenDeploymentIdentifier=made["BlueGreenDeploymentIdentifier"]
    )
    rds.delete_db_cluster(**delete)
    (far,) = own_lab.client("rds", region="us-east-1").describe_db_clusters()["DBClusters"]
    assert "ReplicationSourceIdentifier" not in far
    assert status_after_the_key_is_lost(own_lab, new(own_lab)) == RECOVERABLE


@shows("rds:DescribeGlobalClusters")
def test_global_databases_are_filtered_by_region(own_lab):
    rds = own_lab.client("rds")
    new(own_lab)
    rds.create_global_cluster(GlobalClusterIdentifier="g", SourceDBClusterIdentifier="c")
    rds.create_global_cluster(GlobalClusterIdentifier="empty")
    found = rds.describe_global_clusters(Filters=[{"Name": "region", "Values": ["eu-west-1"]}])
    assert [g["GlobalClusterIdentifier"] for g in found["GlobalClusters"]] == ["g"]
    nonsense = [{"Name": "colour", "Values": ["x"]}]
    assert refusal(rds.describe_global_clusters, Filters=nonsense) == "InvalidParameterValue"


# By misbehaviour


def ordered(own_lab, kind, **order):
    wanted = {"kind": kind, "cluster": "c", **order}
    return data_misbehaviours.order(own_lab.world, wanted)


def test_a_cluster_notices_the_loss_of_its_key_when_it_was_told_to(own_lab):
    cluster, other = new(own_lab), new(own_lab, "other")
    lag = ordered(own_lab, "detection-lag", seconds=100)
    rds = own_lab.client("rds")

    def statuses():
        return {
            each["DBClusterIdentifier"]: each["Status"]
            for each in rds.describe_db_clusters()["DBClusters"]
        }

    for each in (cluster, other):
        own_lab.client("kms").disable_key(KeyId=each["KmsKeyId"])
    own_lab.pass_time(0)
    own_lab.pass_time(99)
    assert statuses() == {"c": "available", "other": "available"}
    own_lab.pass_time(1)
    assert statuses() == {"c": RECOVERABLE, "other": "available"}
    own_lab.pass_time(LAG)
    assert statuses() == {"c": RECOVERABLE, "other": RECOVERABLE}
    lag.over = True
    assert data_misbehaviours.profile_of(own_lab.world, lag.about) is own_lab.world.profile


def test_a_key_that_is_back_in_time_leaves_nothing_behind(own_lab):
    cluster, kms = new(own_lab), own_lab.client("kms")
    for _ in range(3):
        kms.disable_key(KeyId=cluster["KmsKeyId"])
        own_lab.pass_time(0)
        own_lab.pass_time(LAG - 1)
        kms.enable_key(KeyId=cluster["KmsKeyId"])
        own_lab.pass_time(0)
        own_lab.pass_time(LAG)
        assert own_lab.rds.world.region("eu-west-1").clusters["c"].status == "available"


def test_a_failover_is_refused_without_the_key_unless_it_was_told_otherwise(own_lab):
    cluster, rds = new(own_lab), own_lab.client("rds")
    assert status_after_the_key_is_lost(own_lab, cluster) == RECOVERABLE
    asked = {"DBClusterIdentifier": "c", "TargetDBInstanceIdentifier": "c-2"}
    assert refusal(rds.failover_db_cluster, **asked) == "InvalidDBClusterStateFault"
    ordered(own_lab, "failover-without-key")
    assert rds.failover_db_cluster(**asked)["DBCluster"]["Status"] == RECOVERABLE
