"""Signals that wait while a key is being put back."""

from __future__ import annotations

import os
import signal

import pytest

from chaosaws_kms_ext.undo.deferred_signals import deferred


@pytest.fixture
def handled():
    """The signals whose handlers have run; each raises, as those of a run do."""
    seen = []

    def handle(number, _):
        seen.append(number)
        raise SystemExit(number)

    wanted = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, handle) for number in wanted}
    yield seen
    for number, handler in before.items():
        signal.signal(number, handler)


def test_signals_wait_and_then_every_one_is_handled_in_turn(handled):
    done = []
    with pytest.raises(SystemExit), deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        done.append(list(handled))
    assert done == [[]]
    assert sorted(handled) == [signal.SIGINT, signal.SIGTERM]


def test_without_a_signal_nothing_is_raised(handled):
    with deferred():
        pass
    assert handled == []
