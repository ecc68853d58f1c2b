"""Policies and what they let people do, as IAM's documents say: pure tables."""

from __future__ import annotations

import fnmatch
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from chaosaws_kms_lab.calls import ACCOUNT, Caller
from chaosaws_kms_lab.conditions import holds, matches
from chaosaws_kms_lab.policy_evaluation import (
    Decision,
    Malformed,
    Match,
    Request,
    decide,
    read_key_policy,
)
from tests.support.examples import examples
from tests.support.kms_world import OTHER_ACCOUNT, RDS, ROOT, allow, deny, policy, user

ALLOWED, KEY_DENY, IDENTITY_DENY, NO_KEY, NO_IDENTITY, NO_SESSION = Decision
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
SESSION = Caller(f"arn:aws:sts::{ACCOUNT}:assumed-role/app/worker", policies=())
ADMIN = Caller(ALICE)
EVERYTHING = allow("kms:*")


def ask(caller, *statements, action="kms:Decrypt", granted=Match.NONE, **context):
    names = {key.replace("__", ":").lower(): value for key, value in context.items()}
    return decide(Request(caller, action, KEY, ACCOUNT, names), statements, granted)


def by(principal, **more):
    return allow("kms:Decrypt", Principal=principal, **more)


@pytest.mark.parametrize(
    ("caller", "principal", "decision"),
    [
        (user(), {"AWS": ALICE}, ALLOWED),
        (user(), {"AWS": [ROLE, ALICE]}, ALLOWED),
        (user(), "*", ALLOWED),
        (user(), {"AWS": "*"}, ALLOWED),
        (user("bob"), {"AWS": ALICE}, NO_KEY),
        (SESSION, {"AWS": ROLE}, ALLOWED),
        (SESSION, {"AWS": SESSION.arn}, ALLOWED),
        (SESSION, {"AWS": SESSION.arn.replace("worker", "other")}, NO_KEY),
        (SESSION, {"AWS": ALICE}, NO_KEY),
        (user(), ROOT, NO_IDENTITY),
        (user(), {"AWS": ACCOUNT}, NO_IDENTITY),
        (user("alice", EVERYTHING), ROOT, ALLOWED),
        (user("alice", EVERYTHING), {"AWS": ACCOUNT}, ALLOWED),
        (ADMIN, ROOT, ALLOWED),
        (Caller(f"arn:aws:iam::{ACCOUNT}:root"), ROOT, ALLOWED),
        (ADMIN, {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"}, NO_KEY),
        (RDS, {"Service": RDS.arn}, ALLOWED),
        (RDS, {"Service": "s3.amazonaws.com"}, NO_KEY),
        (RDS, "*", ALLOWED),
        (RDS, ROOT, NO_KEY),
        (user(), {"Service": RDS.arn}, NO_KEY),
    ],
)
def test_a_principal_names_whom_it_names_and_an_account_leaves_the_rest_to_iam(
    caller, principal, decision
):
    assert ask(caller, by(principal)) is decision


@pytest.mark.parametrize(
    ("caller", "principal", "decision"),
    [
        (user(account=OTHER_ACCOUNT), {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"}, NO_IDENTITY),
        (user(account=OTHER_ACCOUNT), "*", NO_IDENTITY),
        (
            user(account=OTHER_ACCOUNT),
            {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:user/alice"},
            NO_IDENTITY,
        ),
        (user("alice", EVERYTHING, account=OTHER_ACCOUNT), "*", ALLOWED),
        (user("alice", EVERYTHING, account=OTHER_ACCOUNT), ROOT, NO_KEY),
    ],
)
def test_a_caller_of_another_account_needs_the_key_policy_and_iam(caller, principal, decision):
    assert ask(caller, by(principal)) is decision


def test_iam_alone_opens_no_key():
    assert ask(user("alice", EVERYTHING)) is NO_KEY
    assert ask(ADMIN) is NO_KEY


def test_a_deny_wins_over_allow_grant_and_administrator():
    everybody = deny("kms:*", Principal="*")
    for caller in (ADMIN, user("alice", EVERYTHING), SESSION, RDS):
        assert ask(caller, by("*"), everybody, granted=Match.NAMED) is KEY_DENY
    hers = user("alice", EVERYTHING, deny("kms:Decrypt"))
    assert ask(hers, by({"AWS": ALICE}), granted=Match.NAMED) is IDENTITY_DENY
    assert ask(hers, by({"AWS": ALICE}, Action="kms:*"), action="kms:Encrypt") is ALLOWED


def test_a_deny_that_names_the_account_reaches_its_people_and_no_service():
    account = deny("kms:*", Principal=ROOT)
    assert ask(user("alice", EVERYTHING), by("*"), account) is KEY_DENY
    assert ask(RDS, by("*"), account) is ALLOWED


def test_everybody_but_not_principal():
    rest = deny("kms:*", NotPrincipal={"AWS": [ALICE, f"arn:aws:iam::{ACCOUNT}:root"]})
    assert ask(user(), by("*"), rest) is ALLOWED
    assert ask(user("bob"), by("*"), rest) is KEY_DENY
    assert ask(Caller(f"arn:aws:iam::{ACCOUNT}:root"), by("*"), rest) is ALLOWED
    assert ask(RDS, by("*"), rest) is KEY_DENY


def test_a_grant_is_enough_by_itself_and_one_to_an_account_needs_iam():
    assert ask(user(), granted=Match.NAMED) is ALLOWED
    assert ask(user(account=OTHER_ACCOUNT), granted=Match.NAMED) is ALLOWED
    assert ask(user(), granted=Match.ACCOUNT) is NO_IDENTITY
    assert ask(user("alice", EVERYTHING), granted=Match.ACCOUNT) is ALLOWED
    assert ask(RDS, granted=Match.ACCOUNT) is NO_IDENTITY


@pytest.mark.parametrize(
    ("element", "patterns", "covered"),
    [
        ("Action", "kms:Decrypt", True),
        ("Action", "KMS:decrypt", True),
        ("Action", "kms:*", True),
        ("Action", "*", True),
        ("Action", "kms:Decryp?", True),
        ("Action", ["kms:Encrypt", "kms:De*"], True),
        ("Action", "kms:Encrypt", False),
        ("Action", "kms:Decrypt?", False),
        ("Action", "kms.Decrypt", False),
        ("Action", [], False),
        ("NotAction", "kms:Encrypt", True),
        ("NotAction", "kms:De*", False),
        ("Resource", KEY, True),
        ("Resource", "arn:aws:kms:*:*:key/*", True),
        ("Resource", KEY.upper(), False),
        ("Resource", KEY[:-1], False),
        ("NotResource", KEY, False),
        ("NotResource", KEY[:-1], True),
    ],
)
def test_actions_and_resources_are_patterns(element, patterns, covered):
    statement = by("*")
    del statement[element.removeprefix("Not")]
    assert ask(user(), {**statement, element: patterns}) is (ALLOWED if covered else NO_KEY)


@pytest.mark.parametrize("missing", ["Action", "Resource"])
def test_a_statement_without_action_or_resource_has_no_effect(missing):
    statement = by("*")
    del statement[missing]
    assert ask(user(), statement) is NO_KEY


# operator, the policy's values, the request's value (None: no such key), whether it holds
CONDITIONS = [
    ("StringEquals", "a", "a", True),
    ("StringEquals", ["a", "b"], "b", True),
    ("StringEquals", "a", "A", False),
    ("StringEquals", "a*", "ab", False),
    ("StringEquals", "a", None, False),
    ("StringEqualsIfExists", "a", None, True),
    ("StringEqualsIfExists", "a", "b", False),
    ("StringNotEquals", "a", "b", True),
    ("StringNotEquals", ["a", "b"], "b", False),
    ("StringNotEquals", "a", None, True),
    ("StringNotEqualsIfExists", "a", None, True),
    ("StringEqualsIgnoreCase", "a", "A", True),
    ("StringNotEqualsIgnoreCase", "a", "A", False),
    ("StringLike", "rds.*.amazonaws.com", "rds.eu-west-1.amazonaws.com", True),
    ("StringLike", "rds.?", "rds.ab", False),
    ("StringLike", "x", None, False),
    ("StringNotLike", "r*", "rds", False),
    ("StringNotLike", "r*", None, True),
    ("ArnLike", "arn:aws:iam::*:user/*", ALICE, True),
    ("ArnEquals", "arn:aws:iam::*:user/*", ALICE, True),
    ("ArnLike", "arn:aws:*:user/alice", ALICE, False),  # a * ends at a colon
    ("ArnLike", "arn:aws:iam::*:user/*", "alice", False),
    ("ArnLike", "arn:aws:iam::*", ALICE, False),
    ("ArnLike", "*", "alice", False),
    ("ArnNotLike", "arn:aws:iam::*:user/*", ALICE, False),
    ("ArnNotEquals", ROLE, ALICE, True),
    ("ArnNotEquals", ROLE, None, True),
    ("NumericLessThan", "10", "9", True),
    ("NumericLessThan", 10, "10", False),
    ("NumericLessThanEquals", "10", "10", True),
    ("NumericGreaterThan", "10", "11", True),
    ("NumericGreaterThanEquals", "10", "9", False),
    ("NumericEquals", "10", "10.0", True),
    ("NumericNotEquals", "10", "11", True),
    ("NumericEquals", "ten", "10", False),
    ("DateLessThan", "2026-01-02T00:00:00Z", "2026-01-01T00:00:00+00:00", True),
    ("DateGreaterThan", "2026-01-02T00:00:00Z", "2026-01-01T00:00:00+00:00", False),
    ("DateEquals", "1767225600", "2026-01-01T00:00:00Z", True),
    ("DateNotEquals", "1767225600", "2026-01-01T00:00:01Z", True),
    ("DateLessThanEquals", "2026-01-01", "2026-01-01T00:00:00Z", True),
    ("DateGreaterThanEquals", "2026-01-01", "2025-12-31T00:00:00Z", False),
    ("DateLessThan", "soon", "2026-01-01", False),
    ("Bool", True, "true", True),
    ("Bool", "true", "false", False),
    ("Bool", "false", None, False),
    ("BoolIfExists", "false", None, True),
    ("Null", "true", None, True),
    ("Null", "true", "x", False),
    ("Null", "false", "x", True),
    ("Null", False, None, False),
    ("IpAddress", "10.0.0.0/8", "10.1.2.3", True),
    ("IpAddress", "10.0.0.0/8", "11.1.2.3", False),
    ("IpAddress", "10.0.0.0/8", "here", False),
    ("NotIpAddress", "10.0.0.0/8", "11.1.2.3", True),
    ("NotIpAddress", "10.0.0.0/8", "10.1.2.3", False),
    ("BinaryEquals", "YQ==", "YQ==", True),
    ("BinaryEquals", "YQ==", "Yg==", False),
    ("StringEquals", "a", ("a", "c"), True),
    ("StringNotEquals", "a", ("a", "c"), False),
    ("StringNotEquals", "a", ("b", "c"), True),
    ("ForAllValues:StringEquals", ["a", "b"], ("a", "b"), True),
    ("ForAllValues:StringEquals", ["a", "b"], ("a", "c"), False),
    ("ForAllValues:StringEquals", ["a"], None, True),
    ("ForAnyValue:StringEquals", ["a"], ("a", "c"), True),
    ("ForAnyValue:StringEquals", ["a"], ("b", "c"), False),
    ("ForAnyValue:StringEquals", ["a"], None, False),
    ("ForAnyValue:StringEqualsIfExists", ["a"], None, True),
    ("ForAnyValue:StringNotEquals", ["a"], ("a", "c"), True),
    ("ForAnyValue:StringNotEquals", ["a"], None, False),
    ("ForAllValues:StringNotEquals", ["a"], ("a", "c"), False),
    ("ForAllValues:StringLike", ["a*"], "ab", True),
    ("StringEquals", "${aws:username}", "alice", True),
    ("StringEquals", "${aws:username}", "bob", False),
    ("StringEquals", "${no:such}", "alice", False),
    ("StringEquals", "${no:such, 'alice'}", "alice", True),
    ("StringLike", "${*}", "*", True),
    ("StringLike", "${*}", "a", False),
    ("ArnLike", "arn:aws:iam::*:user/${aws:username}", ALICE, True),
]


@pytest.mark.parametrize(("operator", "values", "said", "true"), CONDITIONS)
def test_a_condition_holds_as_iam_says(operator, values, said, true):
    context = {"aws:username": "alice", **({} if said is None else {"kms:x": said})}
    assert holds({operator: {"KMS:X": values}}, context, unknown=False) is true


def test_every_operator_and_every_key_must_hold():
    both = {"StringEquals": {"a": "1", "b": "2"}, "Bool": {"c": "true"}}
    context = {"a": "1", "b": "2", "c": "true"}
    assert holds(both, context, unknown=False)
    for key in context:
        assert not holds(both, {**context, key: "other"}, unknown=False)


@pytest.mark.parametrize("strange", [{"Condition": {"Roughly": {"a": "1"}}}, {"Whim": "yes"}])
def test_what_cannot_be_read_never_allows_and_always_denies(strange):
    assert ask(user(), by("*") | strange, a="1") is NO_KEY
    assert ask(user("alice", EVERYTHING | strange), by(ROOT), a="1") is NO_IDENTITY
    hers = user("alice", EVERYTHING, deny("kms:*") | strange)
    assert ask(hers, by("*"), a="1") is IDENTITY_DENY


# Whole policies against whole requests, made up

ACTIONS = some.sampled_from(["kms:Decrypt", "kms:Encrypt", "kms:*", "kms:De*", "*"])
PRINCIPALS = some.sampled_from(["*", ROOT, {"AWS": ALICE}, {"AWS": ROLE}, {"Service": RDS.arn}])
OPERATORS = some.sampled_from(["StringEquals", "StringNotLike", "Null", "ForAnyValue:StringLike"])
CONTEXTS = some.dictionaries(some.sampled_from(["a", "b"]), some.sampled_from(["true", "x"]))
BLOCKS = some.builds(
    lambda op, key, value: {op: {key: value}},
    OPERATORS,
    some.sampled_from(["a", "b"]),
    some.sampled_from(["true", "x", "*"]),
)


def statements(effect):
    return some.builds(
        lambda action, principal, condition: {
            "Effect": effect,
            "Action": action,
            "Resource": "*",
            "Principal": principal,
            "Condition": condition,
        },
        ACTIONS,
        PRINCIPALS,
        BLOCKS | some.just({}),
    )


EITHER = some.lists(statements("Allow") | statements("Deny"), max_size=4)
CALLERS = some.sampled_from([
    ADMIN, user(), user("alice", EVERYTHING), user("bob", deny("*")), SESSION, RDS,
    user("alice", EVERYTHING, account=OTHER_ACCOUNT),
])  # fmt: skip


@settings(max_examples=examples(150), deadline=None)
@given(EITHER, statements("Deny"), CALLERS, CONTEXTS)
def test_one_more_deny_never_allows_more(policy, more, caller, context):
    before, after = ask(caller, *policy, **context), ask(caller, *policy, more, **context)
    assert after is not ALLOWED or before is ALLOWED


@settings(max_examples=examples(150), deadline=None)
@given(EITHER, statements("Allow"), CALLERS, CONTEXTS)
def test_one_more_allow_never_allows_less(policy, more, caller, context):
    before, after = ask(caller, *policy, **context), ask(caller, *policy, more, **context)
    assert before is not ALLOWED or after is ALLOWED


@settings(max_examples=examples(100), deadline=None)
@given(
    some.sampled_from(
        [
            op
            for op, _, _, _ in CONDITIONS
            if "Not" not in op
            and "Null" not in op
            and not op.endswith("IfExists")
            and not op.startswith("ForAllValues")
        ]
    ),
    some.sampled_from(["*", "a", "true", "1", ""]),
    CALLERS,
)
def test_an_allow_whose_condition_key_is_not_there_never_allows(operator, value, caller):
    assert ask(caller, by("*", Condition={operator: {"kms:x": value}})) is not ALLOWED


# What AWS takes as a key policy


def document(**changed):
    statement = {**allow("kms:*", Principal=ROOT), **changed}
    return {"Version": "2012-10-17", "Statement": [{k: v for k, v in statement.items() if v}]}


@pytest.mark.parametrize(
    "good",
    [
        document(),
        {"Statement": document()["Statement"][0]},
        document(Action=""),
        document(Resource=""),
        document(Principal={"AWS": [ALICE, ACCOUNT, "*"], "Service": "rds.amazonaws.com"}),
        document(Principal="", NotPrincipal={"AWS": SESSION.arn}),
        document(Condition={"ForAnyValue:StringLikeIfExists": {"kms:x": ["a", "b"]}}),
        document(Condition={"Bool": {"kms:GrantIsForAWSResource": True}}),
        document() | {"Id": "mine"},
    ],
)
def test_a_good_key_policy_is_read(good):
    assert len(read_key_policy(json.dumps(good))) == 1


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("not json", "JSON"),
        ("[]", "object"),
        ({"Version": "2012-10-17"}, "no Statement"),
        ({"Statement": []}, "no Statement"),
        ({"Statement": ["x"]}, "not an object"),
        (document() | {"Version": "2020-01-01"}, "Version"),
        (document() | {"Mood": "good"}, "unknown elements"),
        (document(Mood="good"), "unknown elements"),
        (document(Effect=""), "Effect"),
        (document(Effect="allow"), "Effect"),
        (document(Principal=""), "principals"),
        (document(Principal="alice"), "principals"),
        (document(Principal={"AWS": "alice"}), "principals"),
        (document(Principal={"AWS": []}), "principals"),
        (document(Principal={"AWS": [ALICE, 5]}), "principals"),
        (document(Principal={"AWS": "arn:aws:s3:::bucket"}), "principals"),
        (document(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:group/all"}), "principals"),
        (document(Principal={"People": ALICE}), "principals"),
        (document(Principal={"Service": "rds"}), "principals"),
        (document(NotPrincipal="*"), "both"),
        (document(NotAction="kms:*"), "both"),
        (document(Action=5), "Action"),
        (document(Resource=[""]), "Resource"),
        (document(Condition=["x"]), "Condition"),
        (document(Condition={"Roughly": {"kms:x": "a"}}), "operator"),
        (document(Condition={"StringEquals": "a"}), "StringEquals"),
        (document(Condition={"StringEquals": {"kms:x": []}}), "plain values"),
        (document(Condition={"StringEquals": {"kms:x": {"y": "z"}}}), "plain values"),
        (document(Sid="x" * 32768), "larger"),
    ],
)
def test_a_key_policy_that_aws_would_not_take_says_why(bad, why):
    with pytest.raises(Malformed, match=why):
        read_key_policy(bad if isinstance(bad, str) else json.dumps(bad))


def test_the_tests_own_policy_is_one():
    assert len(read_key_policy(policy(deny("kms:*", Principal="*")))) == 2


def test_a_session_may_no_more_than_it_was_narrowed_to():
    narrow = ({"Statement": allow("kms:Describe*")},)
    session = replace(SESSION, policies=({"Statement": EVERYTHING},), session_policies=narrow)
    assert ask(session, by({"AWS": ROLE})) is NO_SESSION
    assert ask(session, by(ROOT), granted=Match.NAMED) is NO_SESSION
    wider = replace(session, session_policies=({"Statement": EVERYTHING},))
    assert ask(wider, by(ROOT)) is ALLOWED
    shut = ({"Statement": [EVERYTHING, deny("kms:Decrypt")]},)
    assert ask(replace(session, session_policies=shut), by(ROOT)) is IDENTITY_DENY


@pytest.mark.timeout(20)
def test_many_stars_take_no_longer_than_their_letters():
    value = "a" * 2000
    assert not matches("*a" * 9 + "*b", value, {})
    assert matches("*a" * 9 + "*", value, {})


@given(some.text("ab*?", max_size=8), some.text("ab", max_size=8))
def test_stars_and_question_marks_mean_what_they_mean_in_a_shell(pattern, value):
    assert matches(pattern, value, {}) == fnmatch.fnmatchcase(value, pattern)
