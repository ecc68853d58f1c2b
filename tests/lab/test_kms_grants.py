"""Grants: given, limited, passed on, listed, revoked and retired."""

from __future__ import annotations

from typing import Any

import pytest

from chaosaws_kms_lab.calls import ACCOUNT, Caller
from tests.support.kms_world import (
    ADMINISTRATOR,
    DAY,
    OTHER_ACCOUNT,
    RDS,
    Kms,
    allow,
    deny,
    policy,
    user,
)

pytestmark = pytest.mark.common_lab

ALICE, BOB = user("alice"), user("bob")
USE = ["Decrypt", "Encrypt", "GenerateDataKey"]


@pytest.fixture
def lab() -> Kms:
    return Kms()


@pytest.fixture
def key(lab) -> str:
    return lab.key()


def grant(lab: Kms, key: str, by: Caller = ADMINISTRATOR, **params: Any) -> str:
    given = {"GranteePrincipal": ALICE.arn, "Operations": USE} | params
    made: str = lab.ask("CreateGrant", by, KeyId=key, **given)["GrantId"]
    return made


def may(lab: Kms, key: str, caller: Caller = ALICE, **context: str) -> bool:
    params = {"KeyId": lab.arn(key), "Plaintext": b"x", "EncryptionContext": context}
    try:
        lab.ask("Encrypt", caller, **params)
    except Exception as refused:
        assert getattr(refused, "code", None) == "AccessDeniedException", refused
        return False
    return True


def listed(lab: Kms, key: str, **filters: Any) -> list[str]:
    return [g["GrantId"] for g in lab.ask("ListGrants", KeyId=key, **filters)["Grants"]]


def test_a_grant_lets_its_grantee_do_its_operations_and_nobody_else(lab, key):
    assert not may(lab, key)
    made = grant(lab, key)
    assert may(lab, key)
    assert not may(lab, key, BOB)
    refused = lab.refusal("DisableKey", ALICE, KeyId=key)
    assert refused.code == "AccessDeniedException"
    lab.ask("RevokeGrant", KeyId=key, GrantId=made)
    assert not may(lab, key)


def test_a_grant_to_a_role_is_its_sessions(lab, key):
    grant(lab, key, GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:role/app")
    assert may(lab, key, Caller(f"arn:aws:sts::{ACCOUNT}:assumed-role/app/worker", policies=()))
    assert not may(lab, key, Caller(f"arn:aws:sts::{ACCOUNT}:assumed-role/other/x", policies=()))


def test_a_grant_to_an_account_leaves_the_rest_to_its_iam(lab, key):
    grant(lab, key, GranteePrincipal=f"arn:aws:iam::{OTHER_ACCOUNT}:root")
    assert may(lab, key, user("eve", allow("kms:Encrypt"), account=OTHER_ACCOUNT))
    assert not may(lab, key, user("eve", account=OTHER_ACCOUNT))
    assert not may(lab, key)


@pytest.mark.parametrize("parameter", ["GranteePrincipal", "GranteeServicePrincipal"])
def test_a_service_uses_what_was_granted_to_it(lab, key, parameter):
    given = {"Operations": ["Encrypt", "Decrypt"], parameter: RDS.arn}
    lab.ask("CreateGrant", KeyId=key, **given)
    assert may(lab, key, RDS)
    assert not may(lab, key, Caller("rds.us-east-1.amazonaws.com"))


def test_a_deny_of_the_key_policy_wins_over_a_grant(lab, key):
    grant(lab, key)
    lab.ask("PutKeyPolicy", KeyId=key, Policy=policy(deny("kms:*", Principal={"AWS": ALICE.arn})))
    assert not may(lab, key)


@pytest.mark.parametrize(
    ("constraint", "good", "bad"),
    [
        (
            "EncryptionContextSubset",
            [{"a": "1"}, {"a": "1", "b": "2"}],
            [{}, {"a": "2"}, {"b": "1"}],
        ),
        ("EncryptionContextEquals", [{"a": "1"}], [{}, {"a": "2"}, {"a": "1", "b": "2"}]),
    ],
)
def test_a_grant_holds_in_its_encryption_context_only(lab, key, constraint, good, bad):
    grant(lab, key, Operations=[*USE, "DescribeKey"], Constraints={constraint: {"a": "1"}})
    assert all(may(lab, key, **context) for context in good)
    assert not any(may(lab, key, **context) for context in bad)
    lab.ask("DescribeKey", ALICE, KeyId=key)  # has no context to constrain


def test_re_encrypting_meets_each_grant_with_its_own_context(lab, key):
    other = lab.key()
    grant(
        lab, key, Operations=["ReEncryptFrom"], Constraints={"EncryptionContextEquals": {"a": "1"}}
    )
    grant(
        lab, other, Operations=["ReEncryptTo"], Constraints={"EncryptionContextEquals": {"b": "2"}}
    )
    sealed = lab.ask("Encrypt", KeyId=key, Plaintext=b"x", EncryptionContext={"a": "1"})
    params = {
        "CiphertextBlob": sealed["CiphertextBlob"],
        "DestinationKeyId": other,
        "SourceEncryptionContext": {"a": "1"},
    }
    lab.ask("ReEncrypt", ALICE, **params, DestinationEncryptionContext={"b": "2"})
    assert lab.refusal("ReEncrypt", ALICE, **params).code == "AccessDeniedException"


# Passing on


PASS_ON = ["CreateGrant", "Decrypt", "Encrypt"]


@pytest.mark.parametrize(
    ("operations", "constraints", "passes"),
    [
        (["Encrypt"], {"EncryptionContextSubset": {"a": "1"}}, True),
        (["Encrypt"], {"EncryptionContextSubset": {"a": "1", "b": "2"}}, True),
        (["Encrypt"], {"EncryptionContextEquals": {"a": "1", "b": "2"}}, True),
        (PASS_ON, {"EncryptionContextSubset": {"a": "1"}}, True),
        (["Encrypt", "GenerateDataKey"], {"EncryptionContextSubset": {"a": "1"}}, False),
        (["Encrypt"], {}, False),
        (["Encrypt"], {"EncryptionContextSubset": {"b": "2"}}, False),
    ],
)
def test_a_grantee_passes_on_no_more_than_it_has(lab, key, operations, constraints, passes):
    grant(lab, key, Operations=PASS_ON, Constraints={"EncryptionContextSubset": {"a": "1"}})
    params = {"Operations": operations, "Constraints": constraints, "GranteePrincipal": BOB.arn}
    if not passes:
        refused = lab.refusal("CreateGrant", ALICE, KeyId=key, **params)
        assert refused.code == "AccessDeniedException"
        return
    grant(lab, key, ALICE, **params)
    assert may(lab, key, BOB, a="1", b="2")


def test_an_equal_context_is_passed_on_as_it_is(lab, key):
    equal = {"EncryptionContextEquals": {"a": "1"}}
    grant(lab, key, Operations=PASS_ON, Constraints=equal)
    grant(lab, key, ALICE, GranteePrincipal=BOB.arn, Operations=["Encrypt"], Constraints=equal)
    for loose in ({}, {"EncryptionContextSubset": {"a": "1"}}):
        refused = lab.refusal(
            "CreateGrant",
            ALICE,
            KeyId=key,
            GranteePrincipal=BOB.arn,
            Operations=["Encrypt"],
            Constraints=loose,
        )
        assert refused.code == "AccessDeniedException"


def test_grants_for_aws_resources_can_be_told_from_others(lab, key):
    condition = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    person = user("a", allow("kms:*Grant*", Condition=condition))
    params = {"KeyId": key, "GranteePrincipal": RDS.arn, "Operations": ["Decrypt"]}
    assert lab.refusal("CreateGrant", person, **params).code == "AccessDeniedException"
    through = Caller(person.arn, policies=person.policies, via=RDS.arn)
    made = lab.ask("CreateGrant", through, **params)["GrantId"]
    assert lab.refusal("ListGrants", person, KeyId=key).code == "AccessDeniedException"
    lab.ask("RevokeGrant", through, KeyId=key, GrantId=made)


# Making


def test_a_grant_with_a_name_is_made_once(lab, key):
    first = grant(lab, key, Name="mine")
    assert grant(lab, key, Name="mine") == first
    assert grant(lab, key, Name="mine", Operations=["Decrypt"]) != first
    assert grant(lab, key, Name="other") != first
    assert grant(lab, key) != grant(lab, key)
    assert len(listed(lab, key)) == 5


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"Operations": []}, "ValidationException"),
        ({"Operations": ["Sign"]}, "ValidationException"),
        ({"GranteePrincipal": "alice"}, "InvalidArnException"),
        ({"GranteePrincipal": "arn:aws:s3:::bucket"}, "InvalidArnException"),
        ({"RetiringPrincipal": "nobody"}, "InvalidArnException"),
        ({"GranteeServicePrincipal": RDS.arn}, "ValidationException"),
        (
            {"RetiringPrincipal": ALICE.arn, "RetiringServicePrincipal": RDS.arn},
            "ValidationException",
        ),
        ({"GrantTokens": ["nonsense"]}, "InvalidGrantTokenException"),
        (
            {
                "Constraints": {
                    "EncryptionContextSubset": {"a": "1"},
                    "EncryptionContextEquals": {"a": "1"},
                }
            },
            "ValidationException",
        ),
        (
            {"Constraints": {"EncryptionContextSubset": {str(n): "" for n in range(9)}}},
            "ValidationException",
        ),
        (
            {"Constraints": {"SourceArn": f"arn:aws:rds:eu-west-1:{ACCOUNT}:cluster:c"}},
            "ValidationException",
        ),
    ],
)
def test_what_is_no_grant_is_refused(lab, key, wrong, code):
    given = {"GranteePrincipal": ALICE.arn, "Operations": USE} | wrong
    assert lab.refusal("CreateGrant", KeyId=key, **given).code == code
    assert listed(lab, key) == []


def test_a_grant_needs_a_grantee(lab, key):
    assert lab.refusal("CreateGrant", KeyId=key, Operations=USE).code == "ValidationException"


def test_a_dry_run_makes_and_takes_away_nothing(lab, key):
    params = {"GranteePrincipal": ALICE.arn, "Operations": USE, "DryRun": True}
    assert lab.refusal("CreateGrant", KeyId=key, **params).code == "DryRunOperationException"
    assert lab.refusal("CreateGrant", BOB, KeyId=key, **params).code == "AccessDeniedException"
    made = grant(lab, key)
    for operation in ("RevokeGrant", "RetireGrant"):
        refused = lab.refusal(operation, KeyId=key, GrantId=made, DryRun=True)
        assert refused.code == "DryRunOperationException"
    assert listed(lab, key) == [made]


# Listing


def test_a_grant_is_listed_as_it_was_made(lab, key):
    constraints = {"EncryptionContextSubset": {"a": "1"}}
    made = grant(lab, key, Name="n", RetiringPrincipal=BOB.arn, Constraints=constraints)
    (entry,) = lab.ask("ListGrants", KeyId=key)["Grants"]
    assert entry == {
        "KeyId": lab.arn(key),
        "GrantId": made,
        "Name": "n",
        "CreationDate": lab.clock.utc(),
        "GranteePrincipal": ALICE.arn,
        "RetiringPrincipal": BOB.arn,
        "IssuingAccount": f"arn:aws:iam::{ACCOUNT}:root",
        "Operations": sorted(USE),
        "Constraints": constraints,
    }


def test_grants_are_found_by_id_and_by_grantee(lab, key):
    hers, his = grant(lab, key), grant(lab, key, GranteePrincipal=BOB.arn)
    aurora = grant(lab, key, GranteePrincipal=RDS.arn)
    assert listed(lab, key) == [hers, his, aurora]
    assert listed(lab, key, GrantId=his) == [his]
    assert listed(lab, key, GranteePrincipal=ALICE.arn) == [hers]
    assert listed(lab, key, GranteePrincipal=RDS.arn) == [aurora]
    assert listed(lab, key, GranteeServicePrincipal=RDS.arn) == [aurora]
    assert listed(lab, key, GrantId=his, GranteePrincipal=ALICE.arn) == []
    assert listed(lab, key, GrantId="0" * 64) == []
    assert lab.refusal("ListGrants", KeyId=key, GrantId="x").code == "InvalidGrantIdException"
    both = {"GranteePrincipal": ALICE.arn, "GranteeServicePrincipal": RDS.arn}
    assert lab.refusal("ListGrants", KeyId=key, **both).code == "ValidationException"


def test_grants_come_in_pages_of_at_most_100(lab, key):
    made = [grant(lab, key) for _ in range(51)]
    page = lab.ask("ListGrants", KeyId=key)
    rest = lab.ask("ListGrants", KeyId=key, Marker=page["NextMarker"])
    assert [g["GrantId"] for g in page["Grants"] + rest["Grants"]] == made
    assert (len(page["Grants"]), rest["Truncated"]) == (50, False)
    assert listed(lab, key, Limit=100) == made
    assert lab.refusal("ListGrants", KeyId=key, Limit=101).code == "ValidationException"
    assert lab.refusal("ListGrants", KeyId=key, Marker="x").code == "InvalidMarkerException"


def test_retirable_grants_are_of_every_key_of_the_region(lab, key):
    other = lab.key()
    mine = [grant(lab, k, RetiringPrincipal=BOB.arn) for k in (key, other)]
    grant(lab, key)
    found = lab.ask("ListRetirableGrants", RetiringPrincipal=BOB.arn)["Grants"]
    assert [g["GrantId"] for g in found] == mine
    assert lab.ask("ListRetirableGrants", RetiringPrincipal=ALICE.arn)["Grants"] == []
    assert lab.refusal("ListRetirableGrants").code == "ValidationException"


# Taking away


def test_the_retiring_principal_retires_and_others_do_not(lab, key):
    made = grant(lab, key, RetiringPrincipal=BOB.arn)
    params = {"KeyId": lab.arn(key), "GrantId": made}
    assert lab.refusal("RetireGrant", ALICE, **params).code == "AccessDeniedException"
    lab.ask("RetireGrant", BOB, **params)
    assert listed(lab, key) == []
    assert not may(lab, key)


def test_a_grantee_retires_only_the_grant_that_lets_it(lab, key):
    kept = grant(lab, key)
    made = grant(lab, key, Operations=["Decrypt", "RetireGrant"])
    refused = lab.refusal("RetireGrant", ALICE, KeyId=key, GrantId=kept)
    assert refused.code == "AccessDeniedException"
    lab.ask("RetireGrant", ALICE, KeyId=key, GrantId=made)
    assert listed(lab, key) == [kept]


def test_iam_lets_retire_too_and_a_service_retires_its_own(lab, key):
    lab.ask("RetireGrant", user("x", allow("kms:RetireGrant")), KeyId=key, GrantId=grant(lab, key))
    token = lab.ask(
        "CreateGrant",
        KeyId=key,
        GranteePrincipal=RDS.arn,
        RetiringServicePrincipal=RDS.arn,
        Operations=["Decrypt"],
    )["GrantToken"]
    assert lab.refusal("RetireGrant", ALICE, GrantToken=token).code == "AccessDeniedException"
    lab.ask("RetireGrant", RDS, GrantToken=token)
    assert lab.refusal("RetireGrant", RDS, GrantToken=token).code == "InvalidGrantTokenException"


@pytest.mark.parametrize("operation", ["RevokeGrant", "RetireGrant"])
def test_a_grant_that_is_not_there_is_said(lab, key, operation):
    made = grant(lab, key)
    lab.ask("RevokeGrant", KeyId=key, GrantId=made)
    assert lab.refusal(operation, KeyId=key, GrantId=made).code == "NotFoundException"
    assert lab.refusal(operation, KeyId=key, GrantId="x").code == "InvalidGrantIdException"


def test_retiring_takes_a_token_or_key_and_id(lab, key):
    assert lab.refusal("RetireGrant", KeyId=key).code == "ValidationException"
    assert lab.refusal("RetireGrant", GrantId="0" * 64).code == "ValidationException"


def test_a_grant_token_has_to_be_one(lab, key):
    made = lab.ask("CreateGrant", KeyId=key, GranteePrincipal=ALICE.arn, Operations=USE)
    use = {"KeyId": key, "Plaintext": b"x"}
    lab.ask("Encrypt", ALICE, GrantTokens=[made["GrantToken"]], **use)
    refused = lab.refusal("Encrypt", ALICE, GrantTokens=["nonsense"], **use)
    assert refused.code == "InvalidGrantTokenException"


def test_grants_go_with_their_key(lab, key):
    token = lab.ask("CreateGrant", KeyId=key, GranteePrincipal=ALICE.arn, Operations=USE)
    lab.ask("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
    lab.pass_time(7 * DAY)
    refused = lab.refusal("RetireGrant", GrantToken=token["GrantToken"])
    assert refused.code == "InvalidGrantTokenException"
