"""The canaries' threads: what they try is written down as it was, and they end with the run."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import pytest

from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.canaries import canaries as module
from chaosaws_kms_ext.canaries.canaries import Canaries, running
from chaosaws_kms_ext.canaries.choose import Choice
from chaosaws_kms_ext.dependents import Dependent, Request
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.history.canaries import read_canaries
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.settings import Settings
from tests.support.labs import until

SECRET = Dependent("secretsmanager", "secret", "s", "arn:s")
READ = Request("secretsmanager", "GetSecretValue", {"SecretId": "arn:s"})


class Body:
    def __init__(self, fails=False):
        self.fails, self.closed = fails, False

    def read(self):
        if self.fails:
            raise ConnectionError
        return b"x"

    def close(self):
        self.closed = True


class Answers:
    """AWS that gives these answers, one a call, and the last again and again."""

    def __init__(self, *said):
        self.said, self.calls = list(said), 0

    def credentials(self):
        pass

    def call(self, service, operation, params):
        said = self.said[min(self.calls, len(self.said) - 1)]
        self.calls += 1
        if isinstance(said, Exception):
            raise said
        return said() if callable(said) else said


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.02)


@pytest.fixture
def run(tmp_path):
    made = Run(Settings(canaries="yes", query_deadline=0.2, reports_dir=str(tmp_path)), "x")
    made.open_folder()
    yield made
    made.close()


def started(run, aws, *choices):
    canaries = Canaries(run, aws, choices or [Choice(SECRET, READ)])
    canaries.start(run.folder / "history")
    return canaries


def test_each_try_is_recorded_with_its_outcome(run):
    body = Body()
    aws = Answers(
        {},
        AwsError("denied", "DecryptionFailure"),
        AwsError("x got no answer"),
        {"Body": body},
        {"Body": Body(fails=True)},
        {},
    )
    canaries = started(run, aws)
    until(lambda: aws.calls >= 6)
    canaries.stop()
    tries = read_canaries(run.folder / "history")
    outcomes = ["ok", "DecryptionFailure", "no answer", "ok", "no answer", "ok"]
    assert [each.outcome for each in tries][:6] == outcomes
    assert {each.dependent for each in tries} == {"arn:s"}
    assert canaries.tries == len(tries)
    assert canaries.newest() == {"arn:s": tries[-1]}
    assert body.closed


def test_what_is_not_tried_is_said_and_has_no_thread(run):
    aws = Answers({})
    canaries = started(run, aws, Choice(SECRET, why_not="no tag"))
    time.sleep(0.05)
    canaries.stop()
    assert (aws.calls, canaries.dependents) == (0, [])
    its = run.last(EventName.CANARY).details
    assert its == {"dependent": "arn:s", "operation": "", "why_not": "no tag"}


def test_one_that_hangs_holds_neither_the_others_nor_the_end(run):
    hang = threading.Event()
    other = Dependent("secretsmanager", "secret", "t", "arn:t")

    class OneHangs(Answers):
        def call(self, service, operation, params):
            if params["SecretId"] == "arn:s":
                hang.wait(20)
            return super().call(service, operation, params)

    aws = OneHangs({})
    hurried = Request("secretsmanager", "GetSecretValue", {"SecretId": "arn:t"})
    canaries = started(run, aws, Choice(SECRET, READ), Choice(other, hurried))
    until(lambda: aws.calls > 3)
    began = time.monotonic()
    canaries.stop()
    assert time.monotonic() - began < 10
    before = len(read_canaries(run.folder / "history"))
    hang.set()
    time.sleep(0.1)
    assert len(read_canaries(run.folder / "history")) == before == canaries.tries


def test_tries_that_were_due_meanwhile_are_left_out(run):
    def slow():
        time.sleep(0.1)
        return {}

    aws = Answers(slow)
    canaries = started(run, aws)
    until(lambda: aws.calls >= 3)
    canaries.stop()
    tries = read_canaries(run.folder / "history")
    assert all(later.at >= earlier.done - 1e6 for earlier, later in pairwise(tries))


def test_a_full_disk_is_said_and_ends_nothing(run, monkeypatch):
    aws = Answers({})
    canaries = started(run, aws)

    def full(content):
        raise OSError("no space left")

    monkeypatch.setattr(canaries._lines, "write", full)
    until(lambda: run.unrecorded)
    assert run.unrecorded == "no space left"
    calls = aws.calls
    until(lambda: aws.calls > calls)
    canaries.stop()


def test_without_the_setting_there_are_none(run):
    for settings in (Settings(), Settings(canaries="yes")):
        other = Run(settings)
        with running(other):
            assert other.canaries is None


def test_where_they_cannot_be_recorded_the_run_is_refused(run, tmp_path):
    canaries = Canaries(run, Answers({}), [Choice(SECRET, READ)])
    with pytest.raises(Refused, match="cannot be written down"):
        module._start(canaries, tmp_path / "not-there")
    canaries.stop()
