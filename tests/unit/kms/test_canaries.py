"""The probes that wait for the canaries: they wait for tries that are newer than the wait."""

from __future__ import annotations

import threading
import time

import pytest
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.dependents import Dependent
from chaosaws_kms_ext.history.canaries import CanaryTry
from chaosaws_kms_ext.kms import canaries as probes
from chaosaws_kms_ext.settings import Settings

SECRET = Dependent("secretsmanager", "secret", "s", "arn:s")


class Told:
    """Canaries whose newest try is this one."""

    def __init__(self, outcome="", dependents=(SECRET,)):
        self.dependents = list(dependents)
        self.say(outcome)

    def say(self, outcome):
        self._at = time.monotonic_ns()
        self._outcome = outcome

    def newest(self):
        if not self._outcome:
            return {}
        return {"arn:s": CanaryTry(self._at, 0.0, "arn:s", self._outcome)}


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(probes, "SLACK", 0)
    monkeypatch.setattr(probes, "time_left", lambda run: 60.0)
    made = runs.begin(Settings(lab_speed=10_000, query_deadline=0.3, canaries="yes"), "x")
    yield made
    runs.end()


def test_without_canaries_the_reason_is_said(run):
    with pytest.raises(ActivityFailed, match="set CHAOS_CANARIES=yes"):
        probes.canaries_are_answered()
    run.canaries = Told(dependents=())
    with pytest.raises(ActivityFailed, match="tag a secret, a bucket"):
        probes.wait_until_dependents_fail()


@pytest.mark.parametrize(
    ("outcome", "answered"), [("ok", True), ("DecryptionFailure", False), ("", False)]
)
def test_the_gate_is_open_when_the_newest_of_each_was_answered(run, outcome, answered):
    run.canaries = Told(outcome)
    assert probes.canaries_are_answered() is answered


def test_an_old_try_ends_no_wait(run):
    run.canaries = told = Told("DecryptionFailure")
    threading.Timer(0.1, told.say, ["InvalidKeyId"]).start()
    assert probes.wait_until_dependents_fail() == {"arn:s": "InvalidKeyId"}


def test_what_does_not_fail_in_its_time_is_returned_and_is_no_error(run):
    run.canaries = Told("ok")
    began = time.monotonic()
    assert probes.wait_until_dependents_fail() == {"arn:s": "ok"}
    assert probes.wait_until_dependents_are_back() == {"arn:s": "ok"}
    assert time.monotonic() - began < 10
