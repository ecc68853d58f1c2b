"""What is recorded of the RDS Proxy that a load goes through."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext import proxy_watcher
from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.aws.proxies import Proxy
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.proxy_watcher import watch_proxy
from chaosaws_kms_ext.run import Run
from chaosaws_kms_ext.settings import Settings
from tests.support.labs import until

FRONT = Proxy("front", "available", "a", "POSTGRESQL", (), frozenset(), (), {})
UP = {"RdsResourceId": "o-1", "Role": "READ_WRITE", "TargetHealth": {"State": "AVAILABLE"}}
DOWN = UP | {"TargetHealth": {"State": "UNAVAILABLE", "Reason": "AUTH_FAILURE"}}
READER = UP | {"RdsResourceId": "o-2", "Role": "READ_ONLY"}


class Rds:
    """Says one thing after the other, the last one again and again; of an error too."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0

    def pages(self, service, operation, params, member):
        assert params == {"DBProxyName": "front"}
        self.asked += 1
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(said, Exception):
            raise said
        return said


@pytest.fixture
def run():
    running = Run(Settings(status_poll_every=0.1))
    running.proxy = FRONT
    yield running
    running.at_end.close()


def seen(run, aws, looks):
    watch_proxy(run, aws)
    until(lambda: aws.asked >= looks)
    run.at_end.close()
    return [(each.name, each.details) for each in run.events]


def test_every_change_is_recorded_with_how_exact_it_is(run):
    aws = Rds([READER, UP], [READER, UP], [READER, DOWN], [READER, DOWN], [])
    first, down, gone = (its for _, its in seen(run, aws, 7))
    assert {name: first[name] for name in ("proxy", "state", "reason", "within_seconds")} == {
        "proxy": "front", "state": "AVAILABLE", "reason": "", "within_seconds": 0.0,
    }  # fmt: skip
    assert (down["state"], down["reason"]) == ("UNAVAILABLE", "AUTH_FAILURE")
    assert down["within_seconds"] > 0
    assert (gone["state"], gone["description"]) == ("", "")


def test_a_look_that_fails_is_recorded_once_and_the_next_may_succeed(run):
    aws = Rds(AwsError("no"), AwsError("no"), [UP])
    (unknown, why), (name, its) = seen(run, aws, 5)
    assert (unknown, why) == (EventName.PROXY_TARGET_UNKNOWN, {"why": "no"})
    assert (name, its["state"]) == (EventName.PROXY_TARGET, "AVAILABLE")


def test_without_a_proxy_nobody_is_asked(run, monkeypatch):
    monkeypatch.setattr(proxy_watcher, "ProxyWatcher", None)
    run.proxy = None
    watch_proxy(run, None)
