"""The secondary keys of a cluster: found, allowed by the guard, taken away and put back.

On a cluster that has no activity stream, so that what is not there is seen as well.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext.aws import rds as our_rds
from chaosaws_kms_ext.aws import secondary_keys
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.controls.experiment_rules import Loss
from chaosaws_kms_ext.controls.guarded import guarded
from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.guard import guard
from chaosaws_kms_ext.guard.guard import Target
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.kms import actions, secondary
from chaosaws_kms_ext.plans.checks import Refusals, check
from chaosaws_kms_ext.plans.plan import Item, Plan
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.settings import Settings
from chaosaws_kms_ext.undo.bring_back import bring_back
from tests.support.chaos import ROOT
from tests.support.clusters import AVAILABLE, becomes, new_cluster, new_instance, up
from tests.support.labs import client
from tests.support.own_run import own_run

REGION = "eu-west-1"

pytestmark = pytest.mark.common_lab

ALLOWED = [{"Key": "chaos:allow", "Value": "kms"}]
NEEDS = FAULTS["disable-key"].needs
SECRET, INSIGHTS, STREAM = secondary_keys.KEYS_OF


def a_key(lab, **more):
    tags = [{"TagKey": "chaos:allow", "TagValue": "kms"}]
    return client(lab, "kms").create_key(Tags=tags, **more)["KeyMetadata"]["Arn"]


@pytest.fixture(scope="module")
def made(_common_lab):
    """A cluster with a secret and Performance Insights under keys of their own."""
    lab, rds = _common_lab, client(_common_lab, "rds")
    keys = {name: a_key(lab) for name in ("storage", SECRET, INSIGHTS)}
    cluster = new_cluster(
        rds, Tags=ALLOWED, StorageEncrypted=True, KmsKeyId=keys["storage"], MasterUsername="app",
        ManageMasterUserPassword=True, MasterUserSecretKmsKeyId=keys[SECRET],
    )  # fmt: skip
    insights = {"EnablePerformanceInsights": True, "PerformanceInsightsKMSKeyId": keys[INSIGHTS]}
    up(rds, new_instance(rds, cluster, **insights))
    becomes(rds, cluster, AVAILABLE)
    yield cluster["DBClusterIdentifier"], keys
    rds.delete_db_instance(DBInstanceIdentifier=f"{cluster['DBClusterIdentifier']}-1")
    rds.delete_db_cluster(
        DBClusterIdentifier=cluster["DBClusterIdentifier"], SkipFinalSnapshot=True
    )


@pytest.fixture(autouse=True)
def run(lab, made, monkeypatch):
    monkeypatch.setenv("CHAOS_WITHOUT_BACKUP", "yes")
    monkeypatch.setenv("CHAOS_HOLD", "60")
    with own_run(lab, monkeypatch) as run:
        aws = Aws.of(run)
        cluster = our_rds.describe(aws, made[0])
        run.target = Target(cluster, guard.find(aws, cluster.id).key)
        yield run


def state(lab, key):
    return client(lab, "kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"]


def last(run, name=EventName.SECONDARY_USE):
    return run.last(name).details


def test_each_is_found_with_what_it_encrypts_and_one_that_is_not_there_is_none(run, made):
    aws, (_, keys) = Aws.of(run), made
    cluster = run.target.cluster
    secret = secondary_keys.find(aws, cluster, SECRET)
    assert (secret.key, secret.status) == (keys[SECRET], "active")
    assert ":secret:rds!cluster-" in secret.about
    insights = secondary_keys.find(aws, cluster, INSIGHTS)
    assert insights.key == keys[INSIGHTS]
    assert insights.about.startswith("db-")
    assert secondary_keys.find(aws, cluster, STREAM) is None


@pytest.mark.parametrize("of", ["", "storage", None, 7, ["master-secret"], "x" * 10_000])
def test_what_is_no_secondary_key_is_one_sentence(of):
    with pytest.raises(ActivityFailed, match=r"^a secondary key is one of master-secret, ") as said:
        secondary.lose_secondary_key(of)
    assert len(str(said.value)) < 200
    with pytest.raises(ActivityFailed, match=r"^a secondary key is one of"):
        secondary.secondary_works(of)
    with pytest.raises(ActivityFailed, match=r"^a secondary key is one of"):
        secondary.watch_secondary_loss(of)


def inspected(run, of, **settings):
    wanted = Settings(**{"without_backup": "yes", **settings})
    return guard.inspect(Aws.of(run), wanted, run.target.cluster.id, NEEDS, "", of)


def test_the_guard_allows_the_very_key_and_counts_its_blast_radius(lab, run, made):
    found = inspected(run, INSIGHTS)
    assert found.refusals == []
    assert found.target.key.arn == made[1][INSIGHTS]
    beside = client(lab, "kms").create_grant(
        KeyId=made[1][INSIGHTS], GranteePrincipal="arn:aws:iam::123456789012:root",
        Operations=["Decrypt"], Name="somebody",
    )  # fmt: skip
    try:
        (why,) = inspected(run, INSIGHTS).refusals
        assert why.startswith("1 other things use the key of ")
        assert "(somebody)" in why
        assert inspected(run, INSIGHTS, blast_radius=1).refusals == []
        assert inspected(run, SECRET).refusals == []
    finally:
        client(lab, "kms").revoke_grant(KeyId=made[1][INSIGHTS], GrantId=beside["GrantId"])


def test_the_guard_wants_the_tag_on_this_key_too(lab, run, made):
    kms = client(lab, "kms")
    kms.untag_resource(KeyId=made[1][SECRET], TagKeys=["chaos:allow"])
    try:
        (why,) = inspected(run, SECRET).refusals
        assert "does not carry the tag chaos:allow=kms" in why
        with pytest.raises(ActivityFailed, match="does not carry the tag"):
            secondary.lose_secondary_key(SECRET)
        assert state(lab, made[1][SECRET]) == "Enabled"
        assert run.last(EventName.INJECTED) is None
    finally:
        tag = {"TagKey": "chaos:allow", "TagValue": "kms"}
        kms.tag_resource(KeyId=made[1][SECRET], Tags=[tag])


def test_the_guard_refuses_a_key_that_is_the_storages_too(lab, run):
    rds, key = client(lab, "rds"), a_key(lab)
    shared = new_cluster(
        rds, Tags=ALLOWED, StorageEncrypted=True, KmsKeyId=key, ManageMasterUserPassword=True,
        MasterUserSecretKmsKeyId=key,
    )  # fmt: skip
    name = shared["DBClusterIdentifier"]
    becomes(rds, shared, AVAILABLE)
    wanted = Settings(without_backup="yes")
    found = guard.inspect(Aws.of(run), wanted, name, NEEDS, "", SECRET)
    assert found.refusals == [
        f"the key of master-secret of {name} is that of its storage, too: without it the cluster "
        "goes down, which is what the experiment kms-disable tries"
    ]
    rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)


def test_a_key_that_is_not_there_is_refused_or_left_out_as_asked(lab, run):
    refused = "has no activity stream that is started: there is no such key to lose"
    with pytest.raises(ActivityFailed, match=refused):
        secondary.lose_secondary_key(STREAM)
    with pytest.raises(ActivityFailed, match=r"has no activity stream that is started$"):
        secondary.secondary_works(STREAM)
    with pytest.raises(ActivityFailed, match=r"^this run has not taken the key of activity-stream"):
        secondary.watch_secondary_loss(STREAM)
    done = secondary.lose_secondary_key(STREAM, if_there=True)
    assert done["key"] is None
    assert last(run, EventName.SECONDARY_KEY) == {"key_of": STREAM, "key": None}
    assert secondary.secondary_works(STREAM, if_there=True) is True
    assert secondary.watch_secondary_loss(STREAM)["works"] is None
    assert run.last(EventName.INJECTED) is None


def test_without_its_key_the_secret_is_not_read_and_a_kept_password_still_logs_in(lab, run, made):
    assert secondary.secondary_works(SECRET) is True
    lost = secondary.lose_secondary_key(SECRET)
    assert lost == {"key_of": SECRET, "key": made[1][SECRET], "why": ""}
    assert state(lab, made[1][SECRET]) == "Disabled"
    seen = secondary.watch_secondary_loss(SECRET)
    assert (seen["works"], seen["code"]) == (False, "DecryptionFailure")
    assert last(run)["cached_login"] is True
    assert actions.undo_faults()["undone"] == [made[1][SECRET]]
    assert secondary.secondary_works(SECRET) is True
    assert secondary.secondary_told()[SECRET]["taken"]
    assert last(run, EventName.SECONDARY_TOLD)["failed_decrypts"] >= 1
    told = json.dumps([each.details for each in run.events])
    for _, password in run.read_secrets.values():
        assert password not in told
        assert password not in repr(run.read_secrets)
        assert password not in str(run.conninfos)


@pytest.mark.soak
def test_without_a_password_that_was_read_before_nothing_is_said_of_a_login(run):
    secondary.lose_secondary_key(SECRET)
    secondary.watch_secondary_loss(SECRET)
    assert last(run)["cached_login"] is None
    actions.undo_faults()


@pytest.mark.soak
def test_without_its_key_no_metrics_are_read(lab, run, made):
    assert secondary.secondary_works(INSIGHTS) is True
    secondary.lose_secondary_key(INSIGHTS)
    seen = secondary.watch_secondary_loss(INSIGHTS)
    assert (seen["works"], seen["code"]) == (False, "NotAuthorizedException")
    actions.undo_faults()
    assert state(lab, made[1][INSIGHTS]) == "Enabled"


@pytest.mark.soak
def test_what_fails_for_another_reason_is_not_put_down_to_the_key(run, misbehaviours):
    order = {"service": "pi", "operation": "GetResourceMetrics", "count": 5}
    misbehaviours.order(kind="throttling", **order)
    secondary.lose_secondary_key(INSIGHTS)
    secondary.watch_secondary_loss(INSIGHTS)
    uses = [each.details for each in run.events if each.name == EventName.SECONDARY_USE]
    assert [each["works"] for each in uses] == [None, False]
    actions.undo_faults()


@pytest.mark.soak
def test_another_fault_takes_it_away_as_well_and_one_of_the_runs_own_keys_does_not(run, lab, made):
    secondary.lose_secondary_key(INSIGHTS, fault="deny-rds")
    seen = secondary.watch_secondary_loss(INSIGHTS)
    assert (seen["works"], seen["code"]) == (False, "NotAuthorizedException")
    actions.undo_faults()
    assert secondary.secondary_works(INSIGHTS) is True
    with pytest.raises(ActivityFailed, match="is for a key that the run made"):
        secondary.lose_secondary_key(INSIGHTS, fault="put-key-policy")
    with pytest.raises(ActivityFailed, match="the arguments of a fault are a JSON object"):
        secondary.lose_secondary_key(INSIGHTS, arguments=["x"])


@pytest.mark.soak
def test_somebody_who_puts_it_back_ends_the_watch(lab, run, made, monkeypatch):
    secondary.lose_secondary_key(INSIGHTS)
    client(lab, "kms").enable_key(KeyId=made[1][INSIGHTS])
    monkeypatch.setattr("chaosaws_kms_ext.inject.key_away.KeyStaysAway.LOOKS", 1)
    with pytest.raises(ActivityFailed, match="somebody put it back"):
        secondary.watch_secondary_loss(INSIGHTS)
    actions.undo_faults()


# Before the gate


def loss(of, if_there=False):
    return Loss(FAULTS["disable-key"], of, if_there)


@pytest.fixture
def named(run, made, monkeypatch):
    """A run that has to find its cluster."""
    run.target, run.settings = None, Settings(cluster_id=made[0], without_backup="yes")
    return run


def test_every_key_is_allowed_and_safeguarded_before_the_first_is_lost(named, made):
    target = guarded(named, [loss(SECRET), loss(INSIGHTS), loss(STREAM, if_there=True)], True)
    assert target.key.arn == made[1]["storage"]
    kept = [e.details["key"] for e in named.events if e.name == EventName.SAFEGUARDS]
    assert kept == [made[1][SECRET], made[1][INSIGHTS]]


@pytest.mark.parametrize("keys", [[""], [SECRET], [SECRET, ""]])
def test_a_database_that_no_load_can_speak_with_is_refused_before_the_first_safeguard(named, keys):
    own = named.settings.cluster_id
    named.settings = Settings(cluster_id=own, without_backup="yes", database="mysql://app@/shop")
    losses = [loss(key) for key in keys]
    with pytest.raises(Refused, match="aurora-postgresql, so CHAOS_DATABASE must be as libpq"):
        guarded(named, losses, loaded=True)
    assert not [e for e in named.events if e.name == EventName.SAFEGUARDS]
    assert guarded(named, losses).cluster.id == own


def test_with_the_storages_key_among_them_that_is_safeguarded_too(named, made):
    target = guarded(named, [loss(SECRET), loss("")], True)
    assert target.key.arn == made[1]["storage"]
    kept = {e.details["key"] for e in named.events if e.name == EventName.SAFEGUARDS}
    assert kept == {made[1][SECRET], made[1]["storage"]}


def test_one_that_has_to_be_there_and_is_not_refuses_the_run(named):
    with pytest.raises(Refused, match="has no activity stream that is started"):
        guarded(named, [loss(SECRET), loss(STREAM)], True)
    assert not [e for e in named.events if e.name == EventName.SAFEGUARDS]


@pytest.fixture
def planned(run, made):
    """What a plan with the experiment is found to be."""
    its = {"target": "aws", "cluster_id": made[0], "without_backup": "yes"}
    item = Item("a", ROOT / "experiments" / "kms-secondary-keys.json", REGION, 0.0, its)
    return lambda limit: check(Plan("p", Path("p.toml"), (item,), limit, False), os.environ)


def test_a_plan_asks_for_each_key_that_its_experiments_take(planned, made):
    (found,) = planned(2)
    assert found.cluster == made[0]
    assert found.losing == {made[1][SECRET]: 1, made[1][INSIGHTS]: 1}
    with pytest.raises(Refusals, match="2 things would lose their key over the whole plan"):
        planned(1)


def test_a_plan_is_refused_for_one_of_them_that_may_not_be_attacked(planned, made, lab):
    kms = client(lab, "kms")
    kms.untag_resource(KeyId=made[1][INSIGHTS], TagKeys=["chaos:allow"])
    try:
        with pytest.raises(Refusals) as refused:
            planned(2)
    finally:
        tag = {"TagKey": "chaos:allow", "TagValue": "kms"}
        kms.tag_resource(KeyId=made[1][INSIGHTS], Tags=[tag])
    (said,) = refused.value.sentences
    assert said.startswith(f"a: the key {made[1][INSIGHTS]} does not carry the tag chaos:allow")


# After a run that did not put it back


def test_who_puts_it_back_finds_the_cluster_as_it_is_and_starts_none(run, lab, made):
    said = []
    cluster, keys = made
    bring_back(Aws.of(run), [cluster], keys[INSIGHTS], said.append)
    assert said == [f"  the cluster {cluster} is available: the key was that of its {INSIGHTS}"]
    with pytest.raises(Refused, match="is not encrypted under"):
        bring_back(Aws.of(run), [cluster], a_key(lab), said.append)
