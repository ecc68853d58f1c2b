"""What other services have under the key, in the guard: named, counted, unknown if unknown."""

from __future__ import annotations

import uuid

import pytest

from chaosaws_kms_ext.dependents import SERVICES, Dependent
from chaosaws_kms_ext.dependents.find import Found
from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.guard import elsewhere, guard
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.run import Run
from chaosaws_kms_ext.settings import Settings
from chaosaws_kms_lab.seed_dependents import dependents as seed
from tests.support.in_process_aws import InProcessAws
from tests.support.in_process_lab import REGION, InProcessLab

SECRET = Dependent("secretsmanager", "secret", "s", "arn:s", context=(("SecretARN", "arn:s"),))
AWS, LAB = Settings(target="aws"), Settings()


def told(found, settings=AWS):
    return [(each.state, each.why) for each in elsewhere.findings(found, settings)]


def test_each_service_says_how_its_things_fail():
    found = Found((SECRET, Dependent("s3", "bucket", "b", "arn:b")))
    (bucket, secret) = told(found)
    assert bucket == ("ok", f"bucket b: {SERVICES['s3'].fails} ({SERVICES['s3'].source})")
    assert secret[1].startswith("secret s: GetSecretValue fails at once with DecryptionFailure")


def test_many_are_not_all_named():
    many = [Dependent("s3", "bucket", f"b{n}", f"arn:{n}") for n in range(25)]
    ((_, why),) = told(Found(tuple(many)))
    assert "bucket b19 and 5 more: " in why
    assert "b20" not in why


@pytest.mark.parametrize(("asked", "said"), [("look", "unproven"), ("require", "refused")])
def test_what_is_unknown_is_said_by_name_and_refuses_if_that_is_wanted(asked, said):
    found = Found(unknown={"sqs": "not allowed: sqs:ListQueues on *"})
    ((state, why),) = told(found, Settings(target="aws", dependents=asked))
    assert state == said
    assert why.endswith("which is not counted: sqs: not allowed: sqs:ListQueues on *")


@pytest.mark.parametrize(("settings", "said"), [(AWS, 1), (LAB, 0)])
def test_where_nobody_looked_that_is_said_but_of_a_lab_that_has_nothing_else(settings, said):
    assert len(told(None, settings)) == said


@pytest.mark.parametrize(
    ("settings", "looks"),
    [
        (Settings(target="aws"), True),
        (Settings(target="aws", dependents="require"), True),
        (Settings(target="aws", dependents="skip"), False),
        (Settings(), False),
        (Settings(canaries="yes"), True),
    ],
)
def test_who_is_asked(monkeypatch, settings, looks):
    monkeypatch.setattr(elsewhere, "find_all", lambda aws, keys: Found((SECRET,)))
    assert (elsewhere.look(None, settings, ["k"]) is not None) is looks


def test_what_was_found_is_recorded():
    run = Run(Settings())
    elsewhere.record(run, Found((SECRET,), {"sqs": "why"}))
    assert run.last(EventName.DEPENDENTS_UNKNOWN).details == {"unknown": {"sqs": "why"}}
    its = run.last(EventName.DEPENDENT).details
    assert (its["kind"], its["name"], its["arn"], its["keep"]) == ("secret", "s", "arn:s", 0.0)


def test_they_are_counted_in_the_blast_radius_each_once(tmp_path):
    lab = InProcessLab(tmp_path / "log.jsonl")
    kms, rds = lab.client("kms"), lab.client("rds")
    tags = {"chaos:allow": "kms"}
    key = kms.create_key(Tags=[{"TagKey": k, "TagValue": v} for k, v in tags.items()])
    key = key["KeyMetadata"]["Arn"]
    listed = [{"Key": k, "Value": v} for k, v in tags.items()]
    rds.create_db_cluster(
        DBClusterIdentifier="orders", Engine="aurora-postgresql", MasterUsername="u",
        MasterUserPassword="not-so-secret", StorageEncrypted=True, KmsKeyId=key, Tags=listed,
    )  # fmt: skip
    rds.create_db_instance(
        DBClusterIdentifier="orders", DBInstanceIdentifier="orders-1",
        DBInstanceClass="db.r6g.large", Engine="aurora-postgresql",
    )  # fmt: skip
    lab.pass_time(1000)
    shop = f"n{uuid.uuid4().hex}"  # moto's things outlive a lab
    seed(lab.client, REGION, key, shop)
    # As DynamoDB makes one for each table: the table explains it.
    kms.create_grant(
        KeyId=key, GranteePrincipal="dynamodb.eu-west-1.amazonaws.com", Operations=["Decrypt"],
        Constraints={"EncryptionContextSubset": {"aws:dynamodb:tableName": f"{shop}-carts"}},
    )  # fmt: skip
    aws = InProcessAws(lab, tmp_path)

    def refusals(**settings):
        wanted = Settings(target="aws", without_backup="yes", **settings)
        return guard.inspect(aws, wanted, "orders", FAULTS["disable-key"].needs)

    why = next(w for w in refusals().refusals if "would lose it too" in w)
    assert why.startswith("5 other things use the key of orders")
    for name in (f"secret {shop}/password", f"bucket {shop}-invoices", f"queue {shop}-events"):
        assert name in why
    found = refusals(blast_radius=5)
    assert not [w for w in found.refusals if "other things" in w]
    assert len(found.target.elsewhere.dependents) == 5
    skipped = refusals(dependents="skip")
    assert next(w for w in skipped.refusals if "other things" in w).startswith("1 other things")
