"""Only what carries the tag is tried, and nothing that says production."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.canaries import choose as choosing
from chaosaws_kms_ext.canaries.choose import MOST, choose
from chaosaws_kms_ext.dependents import SERVICES, Dependent, Request

ALLOWED = {"chaos:allow": "kms"}
REQUEST = Request("secretsmanager", "GetSecretValue", {"SecretId": "arn:s"})


class Tagged:
    """A service whose dependents have these tags."""

    canary_uses = ("secretsmanager:GetSecretValue",)

    def __init__(self, tags, made=REQUEST):
        self._tags, self._made = tags, made

    def tags(self, aws, dependent):
        if isinstance(self._tags, Exception):
            raise self._tags
        return self._tags

    def canary(self, aws, dependent, key):
        if isinstance(self._made, Exception):
            raise self._made
        return self._made


def chosen(monkeypatch, tags, made=REQUEST, number=1):
    monkeypatch.setitem(SERVICES, "x", Tagged(tags, made))
    return choose(None, [Dependent("x", "secret", f"s{n}", f"arn:{n}") for n in range(number)], "k")


def test_what_carries_the_tag_is_tried(monkeypatch):
    (choice,) = chosen(monkeypatch, ALLOWED)
    assert (choice.request, choice.why_not) == (REQUEST, "")


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        ({}, "secret s0 does not carry the tag chaos:allow=kms"),
        ({"chaos:allow": "yes"}, "does not carry the tag"),
        ({**ALLOWED, "env": "prod"}, "carries the tag env=prod: production is not attacked"),
        (AwsError("not allowed: x on *"), "it could not be asked: not allowed: x on *"),
        (KeyError("Tags"), "its description is not as it is documented"),
    ],
)
def test_what_does_not_or_cannot_be_asked_is_not(monkeypatch, tags, why):
    (choice,) = chosen(monkeypatch, tags)
    assert choice.request is None
    assert why in choice.why_not


@pytest.mark.parametrize(
    "made", ["there is nothing to read", AwsError("x got no answer"), KeyError("KeySchema")]
)
def test_where_there_is_nothing_to_try_the_reason_is_said(monkeypatch, made):
    (choice,) = chosen(monkeypatch, ALLOWED, made)
    assert choice.request is None
    assert choice.why_not


def test_a_service_without_a_canary_is_not_asked(monkeypatch):
    volume = Dependent("ec2", "volume", "v", "arn:v")
    unknown = Dependent("gone", "thing", "t", "arn:t")
    told = [each.why_not for each in choose(None, [volume, unknown], "k")]
    assert told == ["there is no canary for a volume", "there is no canary for a thing"]


def test_no_more_are_tried_than_the_most(monkeypatch):
    found = chosen(monkeypatch, ALLOWED, number=MOST + 2)
    assert sum(each.request is not None for each in found) == MOST
    assert found[-1].why_not == f"{MOST} others are tried, which is the most"
    assert choosing.MOST == 20
