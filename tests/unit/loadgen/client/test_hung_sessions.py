"""Sessions that hang are followed until the server sends something, or the connection is closed."""

from __future__ import annotations

import os
import resource
import time

import psutil
import pytest

from chaosaws_kms_ext.history import Outcome
from chaosaws_kms_ext.history.reader import read_history
from tests.support.labs import until
from tests.support.postgres import RATE

SECOND = 1_000_000_000

EDGE = 0.25 * SECOND
"""How far a session's own instants may be from those of the freeze: other tests run beside."""


def idle_sessions(server):
    """The processes of the users' sessions, but for those that the witnesses ask."""
    its = psutil.Process(server.postmaster.pid).children()
    return [each for each in its if each.cmdline() and "idle" in each.cmdline()[0]]


@pytest.fixture
def found(postgres, start_load):
    """Of three pieces: half of the sessions freeze and go on; some freeze, and their processes are
    killed, so that the server starts again; some freeze until the load is stopped."""
    load = start_load(users=8)
    pieces = []
    for end in ("resume", "kill", None):
        half = idle_sessions(postgres)[::2]
        frozen = time.monotonic_ns()
        for each in half:
            each.suspend()
        time.sleep(1.5)
        ended = time.monotonic_ns()
        for each in half if end else ():
            getattr(each, end)()
        time.sleep(1.5 if end else 0)
        pieces.append((frozen, ended))
    load.stop()
    hung = read_history(load.config.folder).witness("main", "hung")
    return [
        (frozen, ended, [each for each in hung if frozen <= each.due <= ended])
        for frozen, ended in pieces
    ]


def test_each_is_recorded_with_since_when_and_until_when_it_hung_and_how_that_ended(found):
    first, second, third = found
    for (frozen, ended, hung), outcome in ((first, Outcome.OK), (second, Outcome.LOST)):
        assert len(hung) >= 3
        assert {each.outcome for each in hung} == {outcome}
        assert all(each.due - frozen < 8 / RATE * SECOND + EDGE for each in hung)
        assert all(0 <= each.done - ended < EDGE for each in hung)
        assert all(each.sent < frozen for each in hung)  # opened before
    _, stopped, hung = third
    assert len(hung) >= 3
    assert {each.outcome for each in hung} == {Outcome.ABORTED}
    assert all(each.done >= stopped for each in hung)
    assert len({each.sequence for _, _, its in found for each in its}) == sum(
        len(its) for _, _, its in found
    )


def test_those_that_are_followed_leave_descriptors_for_the_users_to_connect_anew(
    postgres, start_load
):
    load = start_load(users=40)
    until(lambda: len(idle_sessions(postgres)) >= 40)
    pid = load._processes.children[0].process.pid
    few = len(os.listdir(f"/proc/{pid}/fd")) + 10
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (few, few))
    frozen = idle_sessions(postgres)[:24]
    for each in frozen:
        each.suspend()
    time.sleep(1.5)
    for each in frozen:
        each.resume()
    time.sleep(0.5)
    load.stop()
    history = read_history(load.config.folder)
    hung = history.witness("main", "hung")
    assert len(hung) >= 20
    assert {each.outcome for each in hung} == {Outcome.ABORTED}
    assert not history.attempts("main").failed.any()
