"""Consent: the opt-in tag, the allowed accounts, and what looks like production."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.guard import consent

ALLOWED = {"chaos:allow": "kms"}


def refusals(**carried):
    return [f.why for f in consent.tags("it", carried) if f.state == "refused"]


def says_production(key, value):
    found = consent.tags("it", {**ALLOWED, key: value})
    return [f.about for f in found if f.state == "refused"] == ["production"]


def test_the_tag_allows_it_and_is_named_where_it_is_missing():
    assert refusals(**ALLOWED) == []
    (why,) = refusals(app="shop")
    assert why == "it does not carry the tag chaos:allow=kms: add it to allow this"


@pytest.mark.parametrize("value", ["", "KMS", "kms ", "yes", "true", "rds", "kms,rds"])
def test_only_the_exact_tag_allows_it(value):
    assert refusals(**{"chaos:allow": value})
    assert refusals(**{"Chaos:Allow": "kms"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Environment", "prod"),
        ("env", "production"),
        ("Stage", "PRD"),
        ("app:env", "live"),
        ("ENV", "Production"),
        ("environment", "prod-eu"),
        ("Env", "eu-prod"),
        ("env", "prod1"),
        ("Environment", "Live 2"),
        ("acme/stage", "eu1prod"),
        ("tier", "PROD_BLUE"),
        ("AppEnvironment", "Prod"),
        ("EnvironmentType", "Production"),
        ("env-name", "prod"),
        ("env", "dev/prod"),
        ("env", "production-like"),
        ("env", " prod "),
        ("env", "PRODuction"),
        ("env", "nonprod, prod"),
        ("env", "post-prod"),
        ("Production", "true"),
        ("prod", "yes"),
        ("is-production", "1"),
        ("acme:live", ""),
    ],
)
def test_what_looks_like_production_refuses_whatever_else_is_allowed(key, value):
    assert says_production(key, value)
    (why,) = refusals(**ALLOWED, **{key: value})
    assert f"{key}={value}" in why


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Environment", "staging"),
        ("env", "non-prod"),
        ("env", "preprod"),
        ("env", "NonProd"),
        ("env", "nonproduction"),
        ("stage", "pre-production"),
        ("Stage", "not_live"),
        ("env", "preProd"),
        ("env", "no production"),
        ("env", "NONPROD"),
        ("env", "non prod 2"),
        ("product", "prod-line"),
        ("Name", "orders-prod"),
        ("team", "live"),
        ("env", "delivery"),
        ("env", "product"),
        ("env", "reproduction"),
        ("env", ""),
        ("environmental", "prod"),
        ("production", "false"),
        ("production", "no"),
        ("non-production", "true"),
        ("preprod", "yes"),
        ("live-chat", "true"),
        ("producer", "true"),
        ("", "prod"),
    ],
)
def test_what_does_not_say_production_is_let_be(key, value):
    assert not says_production(key, value)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=5))
def test_without_the_exact_tag_nothing_consents(carried):
    carried.pop("chaos:allow", None)
    assert "consent" in [f.about for f in consent.tags("it", carried) if f.state == "refused"]


@given(
    key=st.sampled_from(["env", "Environment", "STAGE", "app:tier", "Env-Type"]),
    before=st.sampled_from(["", "eu-", "1", "blue_", "the "]),
    word=st.sampled_from(["prod", "PROD", "Prod", "production", "prd", "LIVE"]),
    after=st.sampled_from(["", "-eu", "1", "_blue", ".2"]),
)
def test_production_is_found_wherever_it_stands(key, before, word, after):
    assert says_production(key, f"{before}{word}{after}")
    assert not says_production(key, f"{before}non-{word}{after}")


def test_an_account_is_one_of_those_allowed_if_any_are():
    assert consent.account("1" * 12, ()).state == "ok"
    assert consent.account("1" * 12, ("2" * 12, "1" * 12)).state == "ok"
    finding = consent.account("1" * 12, ("2" * 12, "3" * 12))
    assert finding.state == "refused"
    assert finding.why == f"{'1' * 12} is none of CHAOS_ALLOWED_ACCOUNTS ({'2' * 12}, {'3' * 12})"
