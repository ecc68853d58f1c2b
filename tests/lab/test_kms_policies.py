"""Who may use a key: key policies and IAM together, for people and for Aurora."""

from __future__ import annotations

import json

import pytest

from chaosaws_kms_lab.calls import ACCOUNT, Caller
from chaosaws_kms_lab.kms import authorize, states
from tests.support.kms_world import (
    ADMINISTRATOR,
    OTHER_ACCOUNT,
    RDS,
    REGION,
    ROOT,
    Kms,
    allow,
    deny,
    policy,
    user,
)

pytestmark = pytest.mark.common_lab

ALICE = user()
OUTSIDER = user("eve", allow("kms:*"), account=OTHER_ACCOUNT)
LOCKOUT = "The new key policy will not allow you to update the key policy in the future."


@pytest.fixture
def lab() -> Kms:
    return Kms()


def put(lab: Kms, key: str, *statements, root: bool = True, **more) -> None:
    lab.ask("PutKeyPolicy", KeyId=key, Policy=policy(*statements, root=root), **more)


def encrypts(lab: Kms, key: str, caller: Caller, **context: str) -> bool:
    params = {"KeyId": lab.arn(key), "Plaintext": b"x", "EncryptionContext": context}
    try:
        lab.ask("Encrypt", caller, **params)
    except Exception as refused:
        assert getattr(refused, "code", None) == "AccessDeniedException", refused
        return False
    return True


# Reading and replacing


def test_a_key_is_born_with_the_default_policy(lab):
    answer = lab.ask("GetKeyPolicy", KeyId=lab.key())
    assert answer["PolicyName"] == "default"
    (statement,) = json.loads(answer["Policy"])["Statement"]
    assert (statement["Principal"], statement["Action"]) == (ROOT, "kms:*")


def test_a_policy_comes_back_as_it_was_put(lab):
    mine, other = policy(deny("kms:Sign", Principal="*")), policy()
    key = lab.key(Policy=mine)
    assert lab.ask("GetKeyPolicy", KeyId=key, PolicyName="default")["Policy"] == mine
    lab.ask("PutKeyPolicy", KeyId=key, PolicyName="default", Policy=other)
    assert lab.ask("GetKeyPolicy", KeyId=key)["Policy"] == other
    names = lab.ask("ListKeyPolicies", KeyId=key)
    assert names == {"PolicyNames": ["default"], "Truncated": False}


def test_a_key_has_no_policy_of_another_name(lab):
    key = lab.key()
    for operation, more in (("GetKeyPolicy", {}), ("PutKeyPolicy", {"Policy": policy()})):
        refused = lab.refusal(operation, KeyId=key, PolicyName="mine", **more)
        assert refused.code == "NotFoundException"
    assert lab.refusal("GetKeyPolicy", KeyId=key, PolicyName="AWS_RAM").code == "NotFoundException"
    refused = lab.refusal("PutKeyPolicy", KeyId=key, PolicyName="AWS_RAM", Policy=policy())
    assert refused.code == "ValidationException"


@pytest.mark.parametrize("bad", ["nonsense", "{}", policy(allow("*"), root=False)])
def test_a_malformed_policy_is_refused_and_nothing_is_made_or_changed(lab, bad):
    key = lab.key()
    before = lab.ask("GetKeyPolicy", KeyId=key)
    for operation, more in (("CreateKey", {}), ("PutKeyPolicy", {"KeyId": key})):
        refused = lab.refusal(operation, Policy=bad, **more)
        assert refused.code == "MalformedPolicyDocumentException"
    assert lab.ask("GetKeyPolicy", KeyId=key) == before
    assert len(lab.ask("ListKeys")["Keys"]) == 1


@pytest.mark.parametrize(
    "shut",
    [
        policy(allow("kms:*", Principal={"AWS": ALICE.arn}), root=False),
        policy(deny("kms:Put*", Principal="*")),
        policy(deny("kms:*", Principal={"AWS": ADMINISTRATOR.arn})),
        policy(allow("kms:Encrypt", Principal=ROOT), root=False),
    ],
)
def test_a_policy_that_locks_its_author_out_needs_to_be_meant(lab, shut):
    key = lab.key()
    for operation, more in (("CreateKey", {}), ("PutKeyPolicy", {"KeyId": key})):
        refused = lab.refusal(operation, Policy=shut, **more)
        assert (refused.code, refused.message) == ("MalformedPolicyDocumentException", LOCKOUT)
    lab.key(Policy=shut, BypassPolicyLockoutSafetyCheck=True)
    lab.ask("PutKeyPolicy", KeyId=key, Policy=shut, BypassPolicyLockoutSafetyCheck=True)
    refused = lab.refusal("PutKeyPolicy", KeyId=key, Policy=policy())
    assert refused.code == "AccessDeniedException"


# Who may


def test_aws_words_say_what_is_missing(lab):
    key = lab.key()
    nobody = user("bob", allow("kms:DescribeKey"))
    about = f"User: {nobody.arn} is not authorized to perform: kms:Encrypt on resource: "
    about += lab.arn(key)

    def said(caller=nobody):
        return lab.refusal("Encrypt", caller, KeyId=key, Plaintext=b"x").message

    assert said() == f"{about} because no identity-based policy allows the kms:Encrypt action"
    put(lab, key, deny("kms:Encrypt", Principal={"AWS": nobody.arn}))
    assert said() == f"{about} with an explicit deny in a resource-based policy"
    put(lab, key, allow("kms:*", Principal={"AWS": ADMINISTRATOR.arn}), root=False)
    assert said() == f"{about} because no resource-based policy allows the kms:Encrypt action"
    denied = user("bob", deny("kms:Encrypt"))
    assert said(denied) == f"{about} with an explicit deny in an identity-based policy"


def test_the_default_policy_leaves_people_to_iam(lab):
    key = lab.key()
    assert encrypts(lab, key, ADMINISTRATOR)
    assert encrypts(lab, key, user("a", allow("kms:Encrypt", lab.arn(key))))
    assert not encrypts(lab, key, user("a", allow("kms:Encrypt", lab.arn(lab.key()))))
    assert not encrypts(lab, key, user("a"))
    assert not encrypts(lab, key, RDS)
    assert not encrypts(lab, key, OUTSIDER)


def test_a_role_s_sessions_are_the_role(lab):
    key = lab.key()
    session = Caller(f"arn:aws:sts::{ACCOUNT}:assumed-role/app/worker", policies=())
    assert not encrypts(lab, key, session)
    put(lab, key, allow("kms:Encrypt", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:role/app"}))
    assert encrypts(lab, key, session)


def test_another_account_needs_the_key_policy_its_own_iam_and_an_arn(lab):
    key = lab.key()
    put(lab, key, allow("kms:*", Principal={"AWS": OTHER_ACCOUNT}))
    assert encrypts(lab, key, OUTSIDER)
    assert not encrypts(lab, key, user("eve", account=OTHER_ACCOUNT))
    assert lab.refusal("DescribeKey", OUTSIDER, KeyId=key).code == "NotFoundException"
    for operation in ("DisableKey", "EnableKey", "ScheduleKeyDeletion", "GetKeyPolicy"):
        refused = lab.refusal(operation, OUTSIDER, KeyId=lab.arn(key))
        assert refused.code == "AccessDeniedException", "no cross-account use"
    assert lab.ask("ListKeys", OUTSIDER)["Keys"] == []


def test_access_comes_before_state_and_finding_before_access(lab):
    key, nobody = lab.key(), user("bob")
    lab.ask("DisableKey", KeyId=key)
    refused = lab.refusal("Encrypt", nobody, KeyId=key, Plaintext=b"x")
    assert refused.code == "AccessDeniedException"
    assert lab.refusal("Encrypt", KeyId=key, Plaintext=b"x").code == "DisabledException"
    missing = "00000000-0000-0000-0000-000000000000"
    refused = lab.refusal("Encrypt", nobody, KeyId=missing, Plaintext=b"x")
    assert refused.code == "NotFoundException"


# What no single key decides: operation, parameters, a permission that is enough
BY_IAM = [
    ("ListKeys", {}),
    ("ListAliases", {}),
    ("GenerateRandom", {"NumberOfBytes": 1}),
    ("CreateKey", {}),
    ("ListRetirableGrants", {"RetiringPrincipal": ALICE.arn}),
]


@pytest.mark.parametrize(("operation", "params"), BY_IAM)
def test_what_concerns_no_key_is_iam_s_alone(lab, operation, params):
    lab.ask(operation, user("a", allow(f"kms:{operation}")), **params)
    for refused in (user("a"), user("a", allow("kms:*"), deny(f"kms:{operation}"))):
        assert lab.refusal(operation, refused, **params).code == "AccessDeniedException"


def test_a_key_with_tags_takes_the_permission_to_tag(lab):
    tagged = {"Tags": [{"TagKey": "a", "TagValue": "1"}]}
    maker = user("a", allow("kms:CreateKey"))
    lab.ask("CreateKey", maker)
    assert lab.refusal("CreateKey", maker, **tagged).code == "AccessDeniedException"
    lab.ask("CreateKey", user("a", allow(["kms:CreateKey", "kms:TagResource"])), **tagged)


def test_an_alias_takes_permission_on_alias_and_key(lab):
    key, other = lab.key(), lab.key()
    arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/a"
    both = user("a", allow("kms:*Alias", arn), allow("kms:*Alias", lab.arn(key)))
    params = {"AliasName": "alias/a", "TargetKeyId": key}
    for half in (user("a", allow("kms:*Alias", arn)), user("a", allow("kms:*", lab.arn(key)))):
        assert lab.refusal("CreateAlias", half, **params).code == "AccessDeniedException"
    lab.ask("CreateAlias", both, **params)
    moved = {"AliasName": "alias/a", "TargetKeyId": other}
    assert lab.refusal("UpdateAlias", both, **moved).code == "AccessDeniedException"
    lab.ask("UpdateAlias", AliasName="alias/a", TargetKeyId=other)
    assert lab.refusal("UpdateAlias", both, **params).code == "AccessDeniedException"
    assert lab.refusal("DeleteAlias", both, AliasName="alias/a").code == "AccessDeniedException"
    lab.ask("DeleteAlias", AliasName="alias/a")


def test_re_encrypting_takes_from_and_to(lab):
    one, two = lab.key(), lab.key()
    blob = lab.ask("Encrypt", KeyId=one, Plaintext=b"x")["CiphertextBlob"]
    params = {"CiphertextBlob": blob, "DestinationKeyId": two}
    start, end = allow("kms:ReEncryptFrom", lab.arn(one)), allow("kms:ReEncryptTo", lab.arn(two))
    lab.ask("ReEncrypt", user("a", start, end), **params)
    for half, missing in ((start, "To"), (end, "From")):
        refused = lab.refusal("ReEncrypt", user("a", half), **params)
        assert f"kms:ReEncrypt{missing} " in refused.message


# What conditions can look at: condition, how the call looks that meets it, and one that does not
VIA = Caller(ADMINISTRATOR.arn, via=RDS.arn)
CONDITIONS = [
    ({"StringEquals": {"kms:ViaService": RDS.arn}}, (VIA, {}), (ADMINISTRATOR, {})),
    ({"StringEquals": {"kms:ViaService": RDS.arn}}, (RDS, {}), (ADMINISTRATOR, {})),
    ({"StringEquals": {"kms:CallerAccount": ACCOUNT}}, (RDS, {}), (OUTSIDER, {})),
    ({"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}, (ADMINISTRATOR, {}), (OUTSIDER, {})),
    ({"ArnLike": {"aws:PrincipalArn": "*:*:*:*:*:user/alice"}}, (ALICE, {}), (RDS, {})),
    ({"StringEquals": {"kms:EncryptionContext:App": "shop"}},
     (ALICE, {"App": "shop"}), (ALICE, {"App": "other"})),
    ({"StringEquals": {"kms:EncryptionContext:App": "shop"}}, None, (ALICE, {})),
    ({"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["App"]}},
     (ALICE, {"App": "x"}), (ALICE, {"App": "x", "More": "y"})),
    ({"Null": {"kms:EncryptionContextKeys": "false"}}, (ALICE, {"App": "x"}), (ALICE, {})),
    ({"StringEquals": {"aws:ResourceTag/team": "shop"}}, (ALICE, {}), None),
    ({"StringEquals": {"aws:ResourceTag/team": "other"}}, None, (ALICE, {})),
    ({"StringEquals": {"kms:KeyOrigin": "AWS_KMS"}}, (ALICE, {}), None),
    ({"StringEquals": {"kms:KeyOrigin": "EXTERNAL"}}, None, (ALICE, {})),
    ({"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/shop"}}, (ALICE, {}), None),
    ({"StringEquals": {"aws:username": "alice"}}, (ALICE, {}), (user("bob"), {})),
    ({"DateLessThan": {"aws:CurrentTime": "2026-02-01T00:00:00Z"}}, (ALICE, {}), None),
    ({"DateGreaterThan": {"aws:CurrentTime": "2026-02-01T00:00:00Z"}}, None, (ALICE, {})),
    ({"Bool": {"aws:PrincipalIsAWSService": "true"}}, (RDS, {}), (ALICE, {})),
    ({"Bool": {"aws:ViaAWSService": "true"}}, (VIA, {}), (ADMINISTRATOR, {})),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "met", "unmet"), CONDITIONS)
def test_a_key_policy_can_ask_for_the_circumstances(lab, condition, met, unmet):
    key = lab.key(Tags=[{"TagKey": "team", "TagValue": "shop"}])
    lab.ask("CreateAlias", AliasName="alias/shop", TargetKeyId=key)
    own = allow(["kms:PutKeyPolicy", "kms:DescribeKey"], Principal=ROOT)
    put(lab, key, own, allow("kms:Encrypt", Principal="*", Condition=condition), root=False)
    if met:
        assert encrypts(lab, key, met[0], **met[1])
    if unmet:
        assert not encrypts(lab, key, unmet[0], **unmet[1])
    # The same as a Deny: only whom it meets is refused.
    put(
        lab,
        key,
        own,
        allow("kms:Encrypt", Principal="*"),
        deny("kms:Encrypt", Principal="*", Condition=condition),
        root=False,
    )
    if met:
        assert not encrypts(lab, key, met[0], **met[1])
    if unmet:
        assert encrypts(lab, key, unmet[0], **unmet[1])


@pytest.mark.parametrize(
    ("operation", "params", "name", "value"),
    [
        (
            "ScheduleKeyDeletion",
            {"PendingWindowInDays": 7},
            "kms:ScheduleKeyDeletionPendingWindowInDays",
            "7",
        ),
        ("EnableKeyRotation", {"RotationPeriodInDays": 90}, "kms:RotationPeriodInDays", "90"),
        ("GetKeyPolicy", {}, "kms:PolicyName", "default"),
        ("TagResource", {"Tags": [{"TagKey": "a", "TagValue": "1"}]}, "aws:RequestTag/a", "1"),
        ("UntagResource", {"TagKeys": ["a"]}, "aws:TagKeys", "a"),
        (
            "CreateGrant",
            {"GranteePrincipal": ALICE.arn, "Operations": ["Decrypt"]},
            "kms:GrantOperations",
            "Decrypt",
        ),
        (
            "CreateGrant",
            {"GranteePrincipal": ALICE.arn, "Operations": ["Decrypt"]},
            "kms:GranteePrincipal",
            ALICE.arn,
        ),
        (
            "CreateGrant",
            {
                "GranteePrincipal": ALICE.arn,
                "Operations": ["Decrypt"],
                "Constraints": {"EncryptionContextEquals": {"a": "1"}},
            },
            "kms:GrantConstraintType",
            "EncryptionContextEquals",
        ),
        ("ListGrants", {}, "kms:GrantIsForAWSResource", "false"),
    ],
)
def test_a_policy_can_ask_for_parameters(lab, operation, params, name, value):
    key = lab.key()
    asked = user("a", allow("kms:*", Condition={"ForAnyValue:StringEquals": {name: value}}))
    other = user("a", allow("kms:*", Condition={"ForAnyValue:StringEquals": {name: "other"}}))
    assert lab.refusal(operation, other, KeyId=key, **params).code == "AccessDeniedException"
    lab.ask(operation, asked, KeyId=key, **params)


def test_a_deny_on_everybody_stops_aurora_and_going_back_lets_it_again(lab):
    key = lab.key()
    through = Caller(ADMINISTRATOR.arn, via=RDS.arn)
    operations = ["Decrypt", "GenerateDataKeyWithoutPlaintext"]
    grant = {"GranteePrincipal": RDS.arn, "Operations": operations}
    lab.ask("CreateGrant", through, KeyId=key, **grant)
    made = lab.ask("GenerateDataKeyWithoutPlaintext", RDS, KeyId=key, KeySpec="AES_256")
    opened = {"CiphertextBlob": made["CiphertextBlob"]}
    lab.ask("Decrypt", RDS, **opened)
    put(lab, key, deny("kms:Decrypt", Principal="*"))
    assert "explicit deny" in lab.refusal("Decrypt", RDS, **opened).message
    spared = {"StringNotEquals": {"kms:CallerAccount": ACCOUNT}}
    put(lab, key, deny("kms:Decrypt", Principal="*", Condition=spared))
    lab.ask("Decrypt", RDS, **opened)
    put(
        lab,
        key,
        deny("kms:Decrypt", Principal="*", Condition={"StringEquals": {"kms:ViaService": RDS.arn}}),
    )
    assert lab.refusal("Decrypt", RDS, **opened).code == "AccessDeniedException"
    put(lab, key)
    lab.ask("Decrypt", RDS, **opened)


# The AWS managed key


@pytest.fixture
def managed(lab) -> str:
    found: str = lab.ask("DescribeKey", KeyId="alias/aws/rds")["KeyMetadata"]["KeyId"]
    return found


CHANGES = {
    "CreateAlias": {"AliasName": "alias/mine"},
    "CancelKeyDeletion": {},
    "DisableKey": {},
    "EnableKey": {},
    "PutKeyPolicy": {"Policy": policy()},
    "ScheduleKeyDeletion": {},
    "TagResource": {"Tags": [{"TagKey": "a", "TagValue": "1"}]},
    "UntagResource": {"TagKeys": ["a"]},
    "UpdateKeyDescription": {"Description": "mine"},
    # Nor used, but through RDS:
    "CreateGrant": {"GranteePrincipal": ALICE.arn, "Operations": ["Decrypt"]},
    "Encrypt": {"Plaintext": b"x"},
    "GenerateDataKey": {"KeySpec": "AES_256"},
}


@pytest.mark.parametrize("operation", CHANGES)
def test_nobody_changes_the_aws_managed_key_or_uses_it_directly(lab, managed, operation):
    name = "TargetKeyId" if operation == "CreateAlias" else "KeyId"
    refused = lab.refusal(operation, **CHANGES[operation], **{name: managed})
    assert refused.code == "AccessDeniedException"
    assert "no resource-based policy" in refused.message


def test_everybody_uses_the_aws_managed_key_through_rds_of_its_region(lab, managed):
    through = Caller(ALICE.arn, policies=(), via=RDS.arn)
    lab.ask("DescribeKey", through, KeyId=managed)
    grant = {"GranteePrincipal": RDS.arn, "Operations": ["Decrypt"]}
    lab.ask("CreateGrant", through, KeyId=managed, **grant)
    elsewhere = Caller(ALICE.arn, policies=(), via="rds.us-east-1.amazonaws.com")
    assert lab.refusal("DescribeKey", elsewhere, KeyId=managed).code == "AccessDeniedException"


def test_the_account_may_look_at_the_aws_managed_key_and_revoke_its_grants(lab, managed):
    described = lab.ask("DescribeKey", KeyId=managed)["KeyMetadata"]
    assert described["KeyManager"] == "AWS"
    assert "kms:ViaService" in lab.ask("GetKeyPolicy", KeyId=managed)["Policy"]
    through = Caller(ADMINISTRATOR.arn, via=RDS.arn)
    grant = {"GranteePrincipal": RDS.arn, "Operations": ["Decrypt"]}
    made = lab.ask("CreateGrant", through, KeyId=managed, **grant)
    assert len(lab.ask("ListGrants", KeyId=managed)["Grants"]) == 1
    lab.ask("RevokeGrant", KeyId=managed, GrantId=made["GrantId"])
    assert lab.ask("ListGrants", KeyId=managed)["Grants"] == []


def test_every_region_has_an_aws_managed_key_of_its_own(lab, managed):
    there = lab.ask("DescribeKey", region="us-east-1", KeyId="alias/aws/rds")["KeyMetadata"]
    assert there["KeyId"] != managed
    assert lab.ask("DescribeKey", KeyId="alias/aws/rds")["KeyMetadata"]["KeyId"] == managed


@pytest.mark.parametrize("operation", ["CreateAlias", "UpdateAlias", "DeleteAlias"])
def test_aliases_of_aws_are_aws_own(lab, managed, operation):
    more = {} if operation == "DeleteAlias" else {"TargetKeyId": lab.key()}
    refused = lab.refusal(operation, AliasName="alias/aws/rds", **more)
    assert refused.code == "AccessDeniedException"
    assert "reserved for AWS" in refused.message


def test_the_tables_of_the_documents_agree_with_one_another():
    assert set(states.ORIGINS) | states.TAKES_ALIAS <= set(states.KEY_STATES)
    for table in (states.CROSS_ACCOUNT, states.NO_INVALID_ARN, authorize.FOR_AWS_RESOURCE):
        assert not table - set(states.KEY_STATES)
