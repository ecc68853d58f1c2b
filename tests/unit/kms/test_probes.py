"""What probes of the key leave for the judgement, and the rotation that has to be listed."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext.checkers.contexts import Contexts
from chaosaws_kms_ext.history import Anchor, Conditions, EventName
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.kms import actions, probes
from tests.support.labs import client
from tests.support.own_run import own_run

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers]

CONTEXT = {"aws:rds:dbc-id": "cluster-x", "purpose": "chaos"}


@pytest.fixture(autouse=True)
def run(lab, monkeypatch):
    with own_run(lab, monkeypatch) as run:
        yield run


@pytest.fixture
def key(lab, run):
    tags = [{"TagKey": "chaos:run", "TagValue": run.id}]
    return client(lab, "kms").create_key(Tags=tags)["KeyMetadata"]["Arn"]


def wrong_contexts(run):
    conditions = Conditions(run=run.id, experiment="x", started="", settings=run.settings)
    found = Contexts().check(History({}, run.events, {}, Anchor(0, 0)), conditions)
    return found.measured["wrong_contexts"]


def test_each_attempt_with_a_context_is_recorded_without_the_text(run, key):
    blob = probes.sealed(CONTEXT, key)["ciphertext"]
    assert wrong_contexts(run) is None
    assert probes.decrypts(blob, CONTEXT)
    assert wrong_contexts(run) is None  # no other context was tried
    for other in ({}, {"purpose": "chaos"}, {**CONTEXT, "purpose": "Chaos"}, {**CONTEXT, "a": ""}):
        assert not probes.decrypts(blob, other)
    assert wrong_contexts(run) == 0
    told = [e for e in run.events if e.name == EventName.DECRYPTED]
    assert [e.details["decrypted"] for e in told] == [True, False, False, False, False]
    assert blob not in str(run.events)


def test_what_goes_wrong_otherwise_is_no_attempt(lab, run, key):
    blob = probes.sealed(CONTEXT, key)["ciphertext"]
    client(lab, "kms").disable_key(KeyId=key)
    with pytest.raises(ActivityFailed, match="DisabledException"):
        probes.decrypts(blob, CONTEXT)
    assert run.last(EventName.DECRYPTED) is None


def test_a_rotation_is_listed_at_the_very_instant(run, key):
    rotated = actions.rotate_key(key)["rotation_date"]
    assert probes.rotation_is_listed(rotated, key)
    in_tokyo = datetime.fromisoformat(rotated).astimezone(timezone(timedelta(hours=9)))
    assert probes.rotation_is_listed(in_tokyo.isoformat(), key)
    assert not probes.rotation_is_listed("2026-01-01T00:00:00+00:00", key)
    before = actions.create_key("other")["key"]
    assert not probes.rotation_is_listed(rotated, before)
    actions.rotate_key(key)
    assert probes.rotation_is_listed(rotated, key)
