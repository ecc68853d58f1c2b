"""The guard of a fault that reaches a whole custom key store: every key of it, and what is under
any of them."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.aws import key_stores
from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.dependents import Dependent
from chaosaws_kms_ext.dependents.find import Found
from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.guard import elsewhere, guard
from chaosaws_kms_ext.settings import Settings
from tests.support.key_stores import StoreLab

pytestmark = pytest.mark.thorough

NEEDS = FAULTS["disconnect-key-store"].needs
CONSENT = {"allow_key_store": "yes", "without_backup": "yes"}


@pytest.fixture
def lab(tmp_path):
    return StoreLab(tmp_path / "requests.jsonl")


def inspect(lab, needs=NEEDS, **settings):
    wanted = Settings(target="aws", cluster_id="orders", **CONSENT | settings)
    before = len(lab.operations())
    found = guard.inspect(lab.aws(), wanted, "orders", needs)
    looks = ("Describe", "Get", "List")
    assert all(each.startswith(looks) for each in lab.operations()[before:])
    return found


def refusals(lab, needs=NEEDS, **settings):
    return inspect(lab, needs, **settings).refusals


def test_a_store_with_the_clusters_key_alone_may_be_disconnected(lab):
    found = inspect(lab)
    assert found.refusals == []
    (told,) = [each.why for each in found.findings if each.about == "key store"]
    assert told == f"the custom key store shop ({lab.store}) is connected"


def test_a_store_of_a_hostile_name_is_named_in_letters_that_can_be_printed(lab):
    lab.its.name = "shop\n\x1b[31m CHAOS_BLAST_RADIUS=0"
    found = inspect(lab)
    assert found.refusals == []
    assert all(each.why.isprintable() for each in found.findings)


def test_it_takes_a_consent_of_its_own(lab):
    assert refusals(lab, allow_key_store="no") == [
        "this fault needs a consent of its own: set CHAOS_ALLOW_KEY_STORE=yes if it is wanted"
    ]


def test_another_key_of_the_store_and_all_that_is_under_it_count(lab):
    other = lab.new_key("other")
    lab.new_cluster("carts", other)
    lab.ask(
        "rds",
        "CreateDBClusterSnapshot",
        DBClusterIdentifier="carts",
        DBClusterSnapshotIdentifier="carts-daily",
    )
    role = "arn:aws:iam::123456789012:role/reports"
    lab.ask("kms", "CreateGrant", KeyId=other, GranteePrincipal=role, Operations=["Decrypt"])
    unused = lab.new_key("unused")
    (why,) = refusals(lab)
    counted = [
        f"key {other}", "cluster carts", "instance carts-1", "cluster snapshot carts-daily",
        f"grant to {role}", f"key {unused}",
    ]  # fmt: skip
    assert why.startswith(
        "6 other things use the key of orders or another of its custom key store and would lose it "
        "too ("
    )
    assert all(each in why for each in counted)
    assert why.endswith("set CHAOS_BLAST_RADIUS=6")
    for wrong in (5, 7):
        assert refusals(lab, blast_radius=wrong)
    found = inspect(lab, blast_radius=6)
    assert found.refusals == []
    assert [each.id for each in found.target.others] == ["carts"]


def test_what_other_services_have_under_any_key_of_the_store_counts_once(lab, monkeypatch):
    other = lab.new_key("other")
    lab.ask(
        "kms", "CreateGrant", KeyId=other, GranteePrincipal="sqs.amazonaws.com",
        Operations=["Decrypt"], Constraints={"EncryptionContextEquals": {"aws:sqs:arn": "q"}},
    )  # fmt: skip
    asked = []

    def found(aws, keys):
        asked.extend(keys)
        queue = Dependent("sqs", "queue", "carts", "arn", context=(("aws:sqs:arn", "q"),))
        return Found((queue,), {"s3": "why"})

    monkeypatch.setattr(elsewhere, "find_all", found)
    (why,) = refusals(lab)
    assert asked == [lab.key, other]
    assert "2 other things use the key of orders or another of its custom key store" in why
    assert f"(key {other}, queue carts)" in why  # its grant is its own
    asked.clear()
    assert inspect(lab, FAULTS["disable-key"].needs, blast_radius=1).refusals == []
    assert asked == [lab.key]


def test_a_key_that_is_lost_alone_has_nothing_to_do_with_the_others_of_its_store(lab):
    lab.new_cluster("carts", lab.new_key("other"))
    found = inspect(lab, FAULTS["disable-key"].needs)
    assert found.refusals == []
    assert found.target.others == ()
    assert not any(each.about == "key store" for each in found.findings)


def test_keys_of_other_stores_and_of_none_do_not_count(lab):
    lab.new_key("", store=False)
    lab.new_cluster("carts", lab.new_key("", store=False))
    assert refusals(lab) == []


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        ({"app": "x"}, "does not carry the tag chaos:allow=kms: add it to allow this"),
        ({"chaos:allow": "kms", "env": "prod"}, "carries the tag env=prod: production is not"),
    ],
)
def test_each_other_key_of_the_store_has_to_consent(lab, tags, why):
    other = lab.new_key("other", **tags)
    (said,) = refusals(lab, blast_radius=1)
    assert said.startswith(f"the key {other}, which is in the same custom key store, {why}")


def test_a_key_that_a_run_has_made_needs_no_other_consent(lab):
    lab.new_key("other", **{"chaos:run": "r1"})
    assert refusals(lab, blast_radius=1) == []


def test_a_cluster_under_another_key_of_the_store_has_to_consent_and_to_be_up(lab):
    other = lab.new_key("other")
    lab.new_cluster("carts", other, allowed=False)
    (why,) = refusals(lab, blast_radius=3)
    assert why.startswith("the cluster carts does not carry the tag chaos:allow=kms")
    lab.ask("rds", "StopDBCluster", DBClusterIdentifier="carts")
    said = "the cluster carts, which is under a key of the same custom key store, is not available"
    assert any(each.startswith(said) for each in refusals(lab, blast_radius=3))


def test_a_key_that_is_in_no_store_cannot_be_lost_so(lab):
    plain = lab.new_key("", store=False)
    lab.new_cluster("carts", plain)
    wanted = Settings(target="aws", **CONSENT)
    found = guard.inspect(lab.aws(), wanted, "carts", NEEDS)
    assert found.refusals == [
        f"the key {plain} is in no custom key store (its material is of origin AWS_KMS), so there "
        "is none to disconnect: choose another fault"
    ]


def test_a_store_that_is_not_connected_is_left_as_it_is(lab):
    lab.its.state, lab.its.error = "FAILED", "USER_LOCKED_OUT"
    whys = refusals(lab)
    assert (
        f"the custom key store shop ({lab.store}) is FAILED already, not CONNECTED: "
        "USER_LOCKED_OUT: it was left as it is"
    ) in whys
    assert any(f"the key {lab.key} is Unavailable already" in why for why in whys)


def test_a_backup_under_another_key_of_the_same_store_is_none(lab):
    other, outside = lab.new_key("other"), lab.new_key("", store=False)
    copy = {"SourceDBClusterSnapshotIdentifier": "daily", "CopyTags": False}
    lab.ask(
        "rds",
        "CreateDBClusterSnapshot",
        DBClusterIdentifier="orders",
        DBClusterSnapshotIdentifier="daily",
    )
    lab.pass_time(600)
    lab.ask(
        "rds", "CopyDBClusterSnapshot", TargetDBClusterSnapshotIdentifier="inside",
        KmsKeyId=other, **copy,
    )  # fmt: skip
    lab.pass_time(600)
    asked = {"blast_radius": 1, "without_backup": "no", "backup_within": 86400.0 * 365}
    (why,) = refusals(lab, **asked)
    assert why.startswith("orders has no snapshot under another key")
    lab.ask(
        "rds", "CopyDBClusterSnapshot", TargetDBClusterSnapshotIdentifier="outside",
        KmsKeyId=outside, **copy,
    )  # fmt: skip
    lab.pass_time(600)
    found = inspect(lab, **asked)
    (told,) = [each.why for each in found.findings if each.about == "backup"]
    assert told.startswith("outside, ")
    assert told.endswith(f"under another key ({outside})")


@pytest.mark.parametrize("operation", ["ListKeys", "DescribeCustomKeyStores"])
def test_what_cannot_be_looked_at_refuses(lab, operation, monkeypatch):
    aws = lab.aws()
    real = aws.call

    def call(service, name, params):
        if name == operation:
            raise AwsError(f"not allowed: kms:{name} on * (no)", "AccessDeniedException")
        return real(service, name, params)

    monkeypatch.setattr(aws, "call", call)
    found = guard.inspect(aws, Settings(target="aws", **CONSENT), "orders", NEEDS)
    assert f"not allowed: kms:{operation} on * (no)" in found.refusals


def test_all_keys_of_a_store_are_found_though_they_come_in_pages(lab, monkeypatch):
    monkeypatch.setattr(key_stores, "MOST", 3)
    wanted = {lab.key, *(lab.new_key(f"key-{number}") for number in range(7))}
    for _ in range(4):
        lab.new_key("", store=False)
    assert {key.arn for key in key_stores.keys(lab.aws(), lab.store)} == wanted
    assert lab.operations().count("ListKeys") == 4


def test_an_instance_under_another_key_of_the_store_is_brought_back_as_well(lab):
    lab.new_instance("reports", lab.new_key("other"))
    (why,) = refusals(lab)
    assert "instance reports" in why
    found = inspect(lab, blast_radius=2)
    assert found.refusals == []
    assert [each.id for each in found.target.others] == ["db:reports"]
