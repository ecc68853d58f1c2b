"""What a key policy allows: by itself, and compared with the lab, which enforces key policies."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosaws_kms_ext.aws import conditions
from chaosaws_kms_ext.aws.key_policy import (
    Answer,
    Circumstances,
    KeyPolicy,
    granted,
    statements,
)
from chaosaws_kms_ext.aws.principals import asker
from chaosaws_kms_lab.calls import ACCOUNT, AwsError
from tests.support.examples import examples
from tests.support.kms_world import OTHER_ACCOUNT, RDS, REGION, Kms, allow, deny, user

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/12345678-1234-1234-1234-123456789012"
ALICE, BOB = (f"arn:aws:iam::{ACCOUNT}:user/{name}" for name in ("alice", "bob"))
ROLE = f"arn:aws:iam::{ACCOUNT}:role/team/app"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/app/one"
EVE = f"arn:aws:iam::{OTHER_ACCOUNT}:user/eve"
AURORA = "rds.amazonaws.com"
BY_RDS = f"rds.{REGION}.amazonaws.com"
EVERYBODY, ACCOUNT_ROOT, BY_ALICE = "*", {"AWS": ROOT}, {"AWS": ALICE}
FOR_ALL = allow("kms:*", Principal=EVERYBODY)
UNKNOWN = {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}
TAGGED = {"StringEquals": {"aws:ResourceTag/chaos:allow": "kms"}}


def decided(*policy, action="kms:Decrypt", who=ALICE, via="", **given):
    return KeyPolicy(policy, asker(who, KEY, via)).decide(action, Circumstances(**given))


def when(condition):
    """Whether a condition holds for alice's Decrypt with the context {app: shop}."""
    return decided(
        allow("kms:*", Principal=EVERYBODY, Condition=condition), context={"app": "shop"}
    ).allowed


# Who, what, on what


@pytest.mark.parametrize(
    ("principal", "who", "by"),
    [
        (EVERYBODY, ALICE, "policy"),
        ({"AWS": "*"}, ALICE, "policy"),
        (BY_ALICE, ALICE, "policy"),
        ({"AWS": [BOB, ALICE]}, ALICE, "policy"),
        (BY_ALICE, BOB, ""),
        (ACCOUNT_ROOT, ALICE, "iam"),
        ({"AWS": ACCOUNT}, ALICE, "iam"),
        ({"AWS": OTHER_ACCOUNT}, ALICE, ""),
        (ACCOUNT_ROOT, ROOT, "policy"),
        (ACCOUNT_ROOT, ACCOUNT, "policy"),
        ({"AWS": ROLE}, ROLE, "policy"),
        ({"AWS": ROLE}, SESSION, "policy"),
        ({"AWS": SESSION}, SESSION, "policy"),
        ({"AWS": SESSION}, ROLE, ""),
        ({"AWS": EVE}, EVE, "iam"),
        (EVERYBODY, EVE, "iam"),
        ({"Service": BY_RDS}, AURORA, "policy"),
        (EVERYBODY, AURORA, "policy"),
        (ACCOUNT_ROOT, AURORA, ""),
        ({"Service": "ec2.amazonaws.com"}, AURORA, ""),
        ({"Federated": "cognito-identity.amazonaws.com"}, ALICE, ""),
    ],
)
def test_a_principal_is_named_by_itself_or_by_its_account(principal, who, by):
    answer = decided(allow("kms:*", Principal=principal), who=who)
    assert (answer.allowed, answer.by) == (bool(by), by)


def test_a_service_that_is_named_in_another_form_may_be_meant():
    answer = decided(allow("kms:*", Principal={"Service": "rds.amazonaws.com"}), who=AURORA)
    assert answer.allowed is None


@pytest.mark.parametrize(
    "wrong", ["", "alice", "rds", "arn:aws:s3:::bucket", "arn:aws:iam::12:user/a"]
)
def test_what_is_no_principal_is_refused(wrong):
    with pytest.raises(ValueError, match="is no principal"):
        asker(wrong, KEY)
    with pytest.raises(ValueError, match="is no service"):
        asker(ALICE, KEY, "Relational Database Service")


@pytest.mark.parametrize(
    ("listed", "who", "denied"),
    [
        ([ALICE, ROOT], ALICE, False),
        ([ALICE, ACCOUNT], ALICE, False),
        ([ALICE], ALICE, None),
        ([ROOT], ALICE, None),
        ([BOB, ROOT], ALICE, None),
        ([BOB], ALICE, True),
        ([SESSION, ROLE, ROOT], SESSION, False),
        ([ROLE, ROOT], SESSION, None),
        ([ROLE, ROOT], ROLE, None),
        (["*"], ALICE, False),
    ],
)
def test_who_is_spared_by_not_principal_has_to_be_named_in_full(listed, who, denied):
    spares = {"Effect": "Deny", "NotPrincipal": {"AWS": listed}, "Action": "*", "Resource": "*"}
    told = decided(FOR_ALL, spares, who=who).allowed
    assert told is {True: False, False: True, None: None}[denied]


@pytest.mark.parametrize(
    ("statement", "covers"),
    [
        ({"Action": "kms:Decrypt"}, True),
        ({"Action": "KMS:decrypt"}, True),
        ({"Action": ["kms:Enc*", "kms:De*"]}, True),
        ({"Action": "kms:Decryp?"}, True),
        ({"Action": "kms:Decrypt?"}, False),
        ({"Action": "kms:*crypt*From"}, False),
        ({"Action": "*"}, True),
        ({"NotAction": "kms:Dis*"}, True),
        ({"NotAction": "kms:D*"}, False),
        ({}, False),
    ],
)
def test_an_action_is_covered_by_its_name_or_a_pattern(statement, covers):
    full = {"Effect": "Allow", "Principal": "*", "Resource": "*", **statement}
    assert decided(full).allowed is covers


@pytest.mark.parametrize(
    ("statement", "covers"),
    [
        ({"Resource": KEY}, True),
        ({"Resource": f"arn:aws:kms:*:{ACCOUNT}:key/*"}, True),
        ({"Resource": KEY.replace(REGION, "us-east-1")}, False),
        ({"NotResource": KEY}, False),
        ({}, False),
    ],
)
def test_a_statement_is_about_its_resource(statement, covers):
    full = {"Effect": "Allow", "Principal": "*", "Action": "kms:*", **statement}
    assert decided(full).allowed is covers


# Conditions


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"StringEquals": {"kms:CallerAccount": ACCOUNT}}, True),
        ({"StringEquals": {"KMS:callerACCOUNT": [OTHER_ACCOUNT, ACCOUNT]}}, True),
        ({"StringNotEquals": {"kms:CallerAccount": [OTHER_ACCOUNT, ACCOUNT]}}, False),
        ({"StringEquals": {"kms:CallerAccount": ACCOUNT, "aws:PrincipalArn": BOB}}, False),
        ({"StringEqualsIgnoreCase": {"aws:PrincipalArn": ALICE.upper()}}, True),
        ({"StringEquals": {"aws:PrincipalArn": ALICE.upper()}}, False),
        ({"StringLike": {"aws:PrincipalArn": "*:user/al?ce"}}, True),
        ({"StringNotLike": {"aws:PrincipalArn": "*:user/al?ce"}}, False),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/*"}}, True),
        ({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::*:user/alice"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:*"}}, False),
        ({"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}}, True),
        ({"Bool": {"aws:PrincipalIsAWSService": False}}, True),
        ({"Bool": {"aws:ViaAWSService": "true"}}, False),
        ({"StringEquals": {"kms:ViaService": BY_RDS}}, False),
        ({"StringNotEquals": {"kms:ViaService": BY_RDS}}, True),
        ({"StringEqualsIfExists": {"kms:ViaService": BY_RDS}}, True),
        ({"Null": {"kms:ViaService": "true"}}, True),
        ({"Null": {"kms:ViaService": False}}, False),
        ({"StringEquals": {"kms:EncryptionContext:app": "shop"}}, True),
        ({"StringEquals": {"kms:EncryptionContext:APP": "shop"}}, True),
        ({"StringEquals": {"kms:EncryptionContext:app": "Shop"}}, False),
        ({"StringEquals": {"kms:EncryptionContext:other": "shop"}}, False),
        ({"Null": {"kms:EncryptionContext:other": "true"}}, True),
        ({"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["app", "b"]}}, True),
        ({"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "b"}}, False),
        ({"ForAnyValue:StringNotEquals": {"kms:EncryptionContextKeys": "b"}}, True),
        ({"ForAnyValue:StringEquals": {"kms:GrantOperations": "Decrypt"}}, False),
        ({"ForAllValues:StringEquals": {"kms:GrantOperations": "Decrypt"}}, True),
        ({"Bool": {"kms:GrantIsForAWSResource": "true"}}, False),
        # What only the request shows, and what is no operator, cannot be told.
        (UNKNOWN, None),
        (TAGGED, None),
        ({"Null": {"aws:SourceVpc": "true"}}, None),
        ({"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}, None),
        ({"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}}, None),
        ({"ForAnyValue:StringEqualsIfExists": {"kms:GrantOperations": "Decrypt"}}, None),
        ({"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::1:user/${aws:username}"}}, None),
        ({"StringSameAs": {"kms:CallerAccount": ACCOUNT}}, None),
        ("yes", None),
        # Unless it makes no difference.
        ({"StringEquals": {"kms:CallerAccount": OTHER_ACCOUNT}, **UNKNOWN}, False),
    ],
)
def test_a_condition_holds_does_not_or_cannot_be_told(condition, holds):
    assert when(condition) is holds
    assert when({"StringEquals": {"kms:CallerAccount": ACCOUNT}}) is True


def test_of_a_session_whose_role_has_a_path_the_principal_cannot_be_told_without_it():
    mine = allow("kms:*", Principal=EVERYBODY, Condition={"ArnEquals": {"aws:PrincipalArn": ROLE}})
    assert decided(mine, who=SESSION).allowed is None
    known = KeyPolicy([mine], asker(SESSION, KEY, role=ROLE))
    assert known.decide("kms:Decrypt").allowed is True


def test_through_a_service_its_conditions_hold():
    only = allow(
        "kms:CreateGrant",
        Principal=EVERYBODY,
        Condition={
            "StringEquals": {"kms:ViaService": BY_RDS},
            "Bool": {"kms:GrantIsForAWSResource": "true"},
            "ForAllValues:StringEquals": {"kms:GrantOperations": ["Decrypt", "Encrypt"]},
        },
    )

    def told(**given):
        return decided(only, action="kms:CreateGrant", **given).allowed

    assert told(via="rds") is None
    assert told(via="rds", grant_operations=("Decrypt",)) is True
    assert told(via="rds", grant_operations=("Decrypt", "RetireGrant")) is False
    assert told(via="ec2") is False
    assert told() is False


def test_an_encryption_context_that_is_not_known_cannot_be_told():
    only = allow(
        "kms:*",
        Principal=EVERYBODY,
        Condition={"StringEquals": {"kms:EncryptionContext:app": "shop"}},
    )
    assert decided(only).allowed is None
    assert decided(only, context={}).allowed is False
    assert decided(only, action="kms:DescribeKey").allowed is False


# In words


@pytest.mark.parametrize(
    ("policy", "answer"),
    [
        ([], Answer(False, "", "neither the key policy nor a grant on the key lets it")),
        (
            [allow("*", Principal=BY_ALICE, Sid="Alice")],
            Answer(True, "policy", "the key policy itself lets it (the statement Alice)"),
        ),
        (
            [allow("*", Principal=ACCOUNT_ROOT)],
            Answer(
                True, "iam", "the key policy leaves it to IAM (statement 1): if IAM allows it too"
            ),
        ),
        (
            [FOR_ALL, deny("*", Principal="*", Sid="No")],
            Answer(False, "", "the statement No of the key policy denies it"),
        ),
        (
            [FOR_ALL, deny("*", Principal="*", Condition=UNKNOWN)],
            Answer(
                None, "", "statement 2 of the key policy may deny it: aws:SourceIp cannot be told"
            ),
        ),
        (
            [allow("*", Principal="*", Condition=TAGGED)],
            Answer(
                None,
                "",
                "statement 1 of the key policy may let it: "
                "aws:ResourceTag/chaos:allow cannot be told",
            ),
        ),
        (
            [deny("*", Principal="*", Condition=UNKNOWN)],
            Answer(False, "", "neither the key policy nor a grant on the key lets it"),
        ),
    ],
)
def test_an_answer_says_why(policy, answer):
    assert decided(*policy) == answer


def test_a_policy_that_cannot_be_read_tells_nothing():
    for broken in ("", "[]", "{", '{"Statement": ["x"]}'):
        assert statements(broken) is None
    assert KeyPolicy(None, asker(ALICE, KEY)).decide("kms:Decrypt").allowed is None
    assert statements(json.dumps({"Statement": FOR_ALL})) == (FOR_ALL,)


# Of what a statement's Condition asks for nothing is known: what then is sure, and what may be?
@pytest.mark.parametrize(
    ("policy", "sure", "perhaps"),
    [
        ([allow("kms:*", Principal=ACCOUNT_ROOT)], True, True),
        ([allow("kms:*", Principal={"AWS": [ACCOUNT]})], True, True),
        ([FOR_ALL], True, True),
        ([allow("kms:*", Principal={"Service": "rds.amazonaws.com"})], False, False),
        ([allow("kms:Decrypt", Principal=ACCOUNT_ROOT)], False, False),
        ([allow("kms:*", Principal=ACCOUNT_ROOT, Condition=TAGGED)], False, True),
        ([FOR_ALL, deny("kms:*", Principal=BY_ALICE, Condition=TAGGED)], False, True),
        ([FOR_ALL, deny("kms:*", NotPrincipal=BY_ALICE)], False, True),
        (
            [
                {
                    "Effect": "Allow",
                    "NotAction": "kms:Disable*",
                    "Principal": BY_ALICE,
                    "Resource": "*",
                }
            ],
            True,
            True,
        ),
        (
            [{"Effect": "Allow", "NotAction": "kms:E*", "Principal": BY_ALICE, "Resource": "*"}],
            False,
            False,
        ),
        (None, False, True),
    ],
)
def test_what_is_sure_and_what_may_be(policy, sure, perhaps):
    read = KeyPolicy(policy, asker(ALICE, KEY))
    assert read.lets("kms:EnableKey", by_iam=True) is sure
    assert read.may_let("kms:EnableKey", by_iam=True) is perhaps


def test_what_the_policy_leaves_to_iam_is_not_let_when_iam_does_not_allow_it():
    through_account = KeyPolicy([allow("kms:*", Principal=ACCOUNT_ROOT)], asker(ALICE, KEY))
    assert not through_account.may_let("kms:EnableKey", by_iam=False)
    by_name = KeyPolicy([allow("kms:*", Principal=BY_ALICE)], asker(ALICE, KEY))
    assert by_name.lets("kms:EnableKey", by_iam=False)


# Whatever the statements are

ACTIONS = ["kms:Decrypt", "kms:Encrypt", "kms:De*", "kms:*", "*", "kms:DescribeKey"]
CONDITIONS = [
    {"StringEquals": {"kms:CallerAccount": ACCOUNT}},
    {"StringNotEquals": {"kms:CallerAccount": ACCOUNT}},
    {"StringEquals": {"aws:PrincipalArn": [ALICE, BOB]}},
    {"StringNotEquals": {"aws:PrincipalArn": ALICE}},
    {"StringNotEquals": {"aws:PrincipalArn": ALICE, "kms:CallerAccount": ACCOUNT}},
    {"StringNotEqualsIfExists": {"aws:PrincipalArn": ALICE}},
    {"StringEqualsIfExists": {"kms:ViaService": BY_RDS}},
    {"StringEquals": {"kms:ViaService": BY_RDS}},
    {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}},
    {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}},
    {"Bool": {"aws:PrincipalIsAWSService": "true"}},
    {"Bool": {"aws:ViaAWSService": "false"}},
    {"Null": {"aws:PrincipalArn": "true"}},
    {"Null": {"kms:ViaService": "true"}},
    {"StringEquals": {"kms:EncryptionContext:app": "shop"}},
    {"StringNotLike": {"kms:EncryptionContext:app": "s*"}},
    {"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["app"]}},
    {"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": ["app", "b"]}},
    {"ForAnyValue:StringNotEquals": {"kms:EncryptionContextKeys": ["app"]}},
    {"StringLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"}},
    {"StringEquals": {"aws:RequestedRegion": REGION}},
    {"NumericLessThan": {"aws:EpochTime": "9999999999"}},
    {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}},
    UNKNOWN,
    TAGGED,
]
PRINCIPALS = [
    EVERYBODY, {"AWS": "*"}, BY_ALICE, {"AWS": BOB}, ACCOUNT_ROOT, {"AWS": ACCOUNT},
    {"AWS": [ALICE, ROOT]}, {"Service": BY_RDS}, {"AWS": EVE},
]  # fmt: skip


@st.composite
def some_statement(draw, effects=("Allow", "Deny")):
    made = {
        "Effect": draw(st.sampled_from(effects)),
        draw(st.sampled_from(["Principal"] * 4 + ["NotPrincipal"])): draw(
            st.sampled_from(PRINCIPALS)
        ),
        draw(st.sampled_from(["Action"] * 4 + ["NotAction"])): draw(st.sampled_from(ACTIONS)),
        "Resource": "*",
    }
    several = draw(st.lists(st.sampled_from(CONDITIONS), max_size=2))
    if several:
        made["Condition"] = {name: block for each in several for name, block in each.items()}
    return made


POLICIES = st.lists(some_statement(), max_size=6)
ASKERS = st.sampled_from([(ALICE, ""), (ALICE, "rds"), (BOB, ""), (EVE, ""), (AURORA, "")])
CONTEXTS = st.sampled_from([None, {}, {"app": "shop"}, {"App": "shop", "b": "c"}])


@given(POLICIES, ASKERS, CONTEXTS, st.randoms())
def test_the_order_of_statements_makes_no_difference(policy, who, context, random):
    mixed = list(policy)
    random.shuffle(mixed)
    one, other = (
        decided(*each, who=who[0], via=who[1], context=context) for each in (policy, mixed)
    )
    assert (one.allowed, one.by) == (other.allowed, other.by)


@given(POLICIES, ASKERS, CONTEXTS, st.integers(0, 6))
def test_a_deny_that_holds_always_wins(policy, who, context, place):
    denying = [*policy[:place], deny("kms:*", Principal=EVERYBODY), *policy[place:]]
    given_all = {"who": who[0], "via": who[1], "context": context}
    assert decided(*denying, **given_all, granted=True).allowed is False


@given(POLICIES, ASKERS, CONTEXTS, some_statement(effects=("Allow",)), st.integers(0, 6))
def test_one_more_allow_never_takes_anything_away(policy, who, context, more, place):
    rank = {False: 0, None: 1, True: 2}
    given_all = {"who": who[0], "via": who[1], "context": context}
    before = decided(*policy, **given_all).allowed
    after = decided(*policy[:place], more, *policy[place:], **given_all).allowed
    assert rank[after] >= rank[before]


@given(POLICIES, ASKERS, CONTEXTS, some_statement(effects=("Deny",)), st.integers(0, 6))
def test_one_more_deny_never_allows_anything(policy, who, context, more, place):
    rank = {False: 0, None: 1, True: 2}
    given_all = {"who": who[0], "via": who[1], "context": context}
    before = decided(*policy, **given_all).allowed
    after = decided(*policy[:place], more, *policy[place:], **given_all).allowed
    assert rank[after] <= rank[before]


@settings(deadline=None)
@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_a_pattern_fits_as_the_lab_says(pattern, value):
    from chaosaws_kms_lab.conditions import matches

    assert conditions.matches(pattern, value) is matches(pattern, value, {})


def test_a_pattern_with_many_stars_comes_to_an_end():
    long = allow("kms:" + "*a" * 500, Principal=EVERYBODY)
    assert decided(long, action="kms:" + "a" * 1000 + "b").allowed is False


# Compared with the lab

WITH_ALL = allow("kms:*")
LAB_CALLERS = {
    "alice": (user("alice", WITH_ALL), ALICE, "", True),
    "alice, to whom IAM allows nothing": (user("alice"), ALICE, "", False),
    "alice through RDS": (
        replace(user("alice", WITH_ALL), via=BY_RDS), ALICE, "rds", True,
    ),
    "bob": (user("bob", WITH_ALL), BOB, "", True),
    "eve": (user("eve", WITH_ALL, account=OTHER_ACCOUNT), EVE, "", True),
    "Aurora": (RDS, BY_RDS, "", True),
}  # fmt: skip
CONTEXT = {"app": "shop"}
CONSTRAINTS = [
    None, {}, {"EncryptionContextSubset": CONTEXT}, {"EncryptionContextEquals": CONTEXT},
    {"EncryptionContextSubset": {"app": "other"}},
]  # fmt: skip


@pytest.mark.parametrize("caller", LAB_CALLERS)
@settings(deadline=None, max_examples=examples(60))
@given(
    policy=st.lists(some_statement(), min_size=1, max_size=5),
    action=st.sampled_from(["Encrypt", "DescribeKey"]),
    context=st.sampled_from([{}, CONTEXT, {"app": "shop", "b": "c"}]),
    constraints=st.sampled_from(CONSTRAINTS),
)
def test_the_lab_agrees_with_what_can_be_told(caller, policy, action, context, constraints):
    who, name, via, by_iam = LAB_CALLERS[caller]
    lab = Kms()
    key = lab.key()
    if constraints is not None:
        lab.ask(
            "CreateGrant",
            KeyId=key,
            GranteePrincipal=who.arn,
            Operations=["Encrypt", "DescribeKey"],
            Constraints=constraints,
        )
    grants = lab.ask("ListGrants", KeyId=key)["Grants"]
    document = json.dumps({"Version": "2012-10-17", "Statement": policy})
    lab.ask("PutKeyPolicy", KeyId=key, Policy=document, BypassPolicyLockoutSafetyCheck=True)
    me = asker(name, lab.arn(key), via)
    let = granted(grants, me, f"kms:{action}", context)
    told = KeyPolicy(statements(document), me).decide(
        f"kms:{action}", Circumstances(context, by_iam=by_iam, granted=let)
    )
    params = {"EncryptionContext": context, "Plaintext": b"x"} if action == "Encrypt" else {}
    try:
        lab.ask(action, who, KeyId=lab.arn(key), **params)
        really = True
    except AwsError as refused:
        assert refused.code == "AccessDeniedException"
        really = False
    assert told.allowed in (None, really), told.why


# The origin's F6

BUT_ME = {"aws:PrincipalArn": ALICE}
BUT_THE_ACCOUNT = {"kms:CallerAccount": ACCOUNT}


@pytest.mark.parametrize(
    ("spared", "aurora", "bob"),
    [(BUT_ME, False, False), ({**BUT_ME, **BUT_THE_ACCOUNT}, True, True)],
)
def test_a_deny_without_the_account_condition_takes_the_key_from_aurora(spared, aurora, bob):
    use = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    policy = [
        allow("kms:*", Principal=ACCOUNT_ROOT),
        deny(use, Principal=EVERYBODY, Sid="OnlyMe", Condition={"StringNotEquals": spared}),
    ]
    assert decided(*policy).allowed is True
    assert decided(*policy, who=BOB).allowed is bob
    answer = decided(*policy, who=AURORA, granted=True)
    assert answer.allowed is aurora
    if not aurora:
        assert answer.why == "the statement OnlyMe of the key policy denies it"
