"""Who uses a key: what is counted, what is the target's own, and which grants nothing explains."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.aws.rds import Cluster
from chaosaws_kms_ext.guard.inventory import Survey

KEY, OTHER = (f"arn:aws:kms:eu-west-1:123456789012:key/{name}" for name in ("one", "other"))
TARGET = Cluster(
    "orders", "arn", "available", {}, True, KEY, "sse-kms", {"DbClusterResourceId": "cluster-A"}
)


def cluster(name="orders", resource="cluster-A", key=KEY, **more):
    told = {"DBClusterIdentifier": name, "DbClusterResourceId": resource, "KmsKeyId": key}
    return {**told, **more}


def instance(name, of="", key=KEY, **more):
    told = {"DBInstanceIdentifier": name, "DbiResourceId": f"db-{name}", "KmsKeyId": key}
    return {**told, **({"DBClusterIdentifier": of} if of else {}), **more}


def cluster_snapshot(name, of="orders", resource="cluster-A", key=KEY):
    return {**cluster(of, resource, key), "DBClusterSnapshotIdentifier": name}


def snapshot(name, key=KEY):
    return {"DBSnapshotIdentifier": name, "DbiResourceId": f"db-of-{name}", "KmsKeyId": key}


def grant(to="rds.amazonaws.com", kind="EncryptionContextSubset", **context):
    constraints = {kind: {f"aws:rds:{k}-id": v for k, v in context.items()}} if context else {}
    return {"GranteePrincipal": to, "GrantId": "g1", "Constraints": constraints}


def others(clusters=(), instances=(), cluster_snapshots=(), snapshots=(), grants=()):
    lists = (clusters, instances, cluster_snapshots, snapshots, grants)
    there = Survey(*([*each] for each in lists))
    return [str(user) for user in there.others(KEY, TARGET)]


def test_what_is_the_targets_own_is_no_other():
    assert (
        others(
            [cluster()],
            [instance("orders-1", "orders"), instance("orders-2", "orders")],
            [cluster_snapshot("daily"), cluster_snapshot("before-its-name-changed", of="before")],
            grants=[grant(dbc="cluster-A"), grant(db="db-orders-1")],
        )
        == []
    )


def test_everything_else_under_the_key_is_named_by_its_kind():
    assert others(
        [cluster(), cluster("billing", "cluster-B")],
        [instance("billing-1", "billing"), instance("alone")],
        [cluster_snapshot("weekly", "billing", "cluster-B")],
        [snapshot("alone-daily")],
        [grant("arn:aws:iam::123456789012:role/app")],
    ) == [
        "cluster billing",
        "instance billing-1",
        "instance alone",
        "cluster snapshot weekly",
        "snapshot alone-daily",
        "grant to arn:aws:iam::123456789012:role/app (g1)",
    ]


def test_what_is_under_another_key_is_nobodys_business():
    assert (
        others(
            [cluster(), cluster("billing", "cluster-B", OTHER)],
            [instance("alone", key=OTHER)],
            [cluster_snapshot("copy", key=OTHER)],
            [snapshot("daily", OTHER), {"DBSnapshotIdentifier": "plain"}],
        )
        == []
    )


@pytest.mark.parametrize(
    "uses",
    [
        {"KmsKeyId": KEY},
        {"KmsKeyId": "one"},
        {"PerformanceInsightsKMSKeyId": KEY},
        {"ActivityStreamKmsKeyId": KEY},
        {"MasterUserSecret": {"KmsKeyId": KEY}},
    ],
    ids=lambda uses: next(iter(uses)),
)
def test_whatever_it_uses_the_key_for_it_would_lose_it(uses):
    assert others(instances=[instance("alone", **{"key": OTHER, **uses})]) == ["instance alone"]


def test_a_snapshot_of_an_earlier_cluster_of_the_name_is_an_other():
    found = others([cluster()], cluster_snapshots=[cluster_snapshot("old", resource="cluster-0")])
    assert found == ["cluster snapshot old"]


def test_a_grant_is_explained_only_by_what_uses_this_key():
    """One for a cluster that is gone is not, though a copy of its snapshot is there."""
    gone = cluster_snapshot("copy", "gone", "cluster-0", OTHER)
    assert others([cluster()], cluster_snapshots=[gone], grants=[grant(dbc="cluster-0")]) == [
        "grant to rds.amazonaws.com (g1)"
    ]


@pytest.mark.parametrize("kind", ["EncryptionContextSubset", "EncryptionContextEquals"])
def test_a_grant_of_either_kind_of_context_is_explained(kind):
    assert others([cluster()], grants=[grant(kind=kind, dbc="cluster-A")]) == []
    assert len(others([cluster()], grants=[grant(kind=kind, dbc="cluster-X")])) == 1


def test_a_grant_without_anything_is_counted_and_named():
    assert others([cluster()], grants=[{}]) == ["grant to nobody ()"]
    assert others([cluster()], grants=[{"Name": "mine", "GranteePrincipal": "x"}]) == [
        "grant to x (mine)"
    ]


RESOURCES = st.lists(st.sampled_from("ABCDEF"), unique=True)


@given(under=RESOURCES, elsewhere=RESOURCES, granted=st.lists(st.sampled_from("ABCDEF")))
def test_the_count_is_that_of_the_other_clusters_and_of_the_grants_without_one(
    under, elsewhere, granted
):
    clusters = [cluster(f"c{r}", f"cluster-{r}") for r in under if r != "A"]
    clusters += [cluster(f"e{r}", f"cluster-{r}", OTHER) for r in elsewhere if r not in under]
    grants = [grant(dbc=f"cluster-{r}") for r in granted]
    found = others([cluster(), *clusters], grants=grants)
    strangers = [r for r in granted if r != "A" and r not in under]
    assert len(found) == len(set(under) - {"A"}) + len(strangers)
