"""A DB cluster as RDS describes it: of which engines it could be recovered."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.cluster import CLUSTER, Cluster, cluster_of


def described(**more):
    said = {"DBClusterIdentifier": "orders", "DbClusterResourceId": "cluster-1"}
    return cluster_of({**said, "Engine": "aurora-postgresql", **more}, [])


@pytest.mark.parametrize(
    ("engine", "why"),
    [
        ("aurora-postgresql", []),
        ("aurora-mysql", []),
        ("postgres", ["is a Multi-AZ DB cluster, which cannot be stopped and started"]),
        ("mysql", ["is a Multi-AZ DB cluster, which cannot be stopped and started"]),
        (
            "neptune",
            ["is a Neptune cluster, which has no recoverable state (Neptune User Guide, encrypt)"],
        ),
        (
            "docdb",
            ["is a DocumentDB cluster, of which no document says that it has a recoverable state"],
        ),
        ("db2", ["is no Aurora cluster, but db2"]),
        ("", ["is no Aurora cluster, but of an unknown engine"]),
    ],
)
def test_only_aurora_has_the_recoverable_state(engine, why):
    assert described(Engine=engine).why_not_recoverable() == why


@pytest.mark.parametrize("engine", ["aurora-mysql", "aurora-postgresql"])
def test_a_restored_cluster_is_of_the_engine_of_its_snapshot(engine):
    asked = []

    class Asked:
        def call(self, service, operation, params):
            asked.append((operation, params["Engine"]))

    source = rds.Snapshot("s", "arn:s", "available", "orders", "", {"Engine": engine})
    rds.restore(Asked(), "copy", source, "", {})
    rds.create_instance(Asked(), "copy-1", "copy", "db.t4g.medium", {}, engine)
    assert asked == [("RestoreDBClusterFromSnapshot", engine), ("CreateDBInstance", engine)]


def test_serverless_v1_and_replicas_have_not():
    assert described(EngineMode="serverless").why_not_recoverable() == ["is Aurora Serverless v1"]
    assert described(EngineMode="global").why_not_recoverable() == [
        "has the engine mode global, which cannot be stopped"
    ]
    assert described(ReplicationSourceIdentifier="a").why_not_recoverable() == ["replicates a"]
    replicas = described(ReadReplicaIdentifiers=["a", "b"])
    assert replicas.why_not_recoverable() == ["is replicated by a, b"]


def test_its_endpoint_and_context_are_read():
    found = described(Endpoint="e", Port=5432, DatabaseName="shop", MasterUsername="app")
    assert isinstance(found, Cluster)
    assert found.kind is CLUSTER
    assert found.context == ("aws:rds:dbc-id", "cluster-1")
    assert rds.conninfo(found, "") == "host=e port=5432 dbname=shop user=app"
    assert described().in_words == "the cluster orders"
