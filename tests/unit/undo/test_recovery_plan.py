"""How a cluster is brought back, and what its statuses mean, as pure values."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.aws.statuses import AVAILABLE, RECOVERABLE, TERMINAL, meaning
from chaosaws_kms_ext.undo.recovery_plan import Plan


@pytest.mark.parametrize(
    ("strategy", "meaning_", "since", "started", "decision"),
    [
        ("wait-then-start", "recoverable", 0, False, "wait"),
        ("wait-then-start", "recoverable", 2699, False, "wait"),
        ("wait-then-start", "recoverable", 2700, False, "start"),
        ("wait-then-start", "recoverable", 9000, True, "wait"),
        ("wait-then-start", "changing", 9000, False, "wait"),
        ("start", "recoverable", 0, False, "start"),
        ("start", "recoverable", 0, True, "wait"),
        ("start", "changing", 0, False, "wait"),
        ("self-only", "recoverable", 9000, False, "wait"),
    ],
)
def test_the_decision_is_the_strategys(strategy, meaning_, since, started, decision):
    assert Plan(strategy, 2700).decide(meaning_, since, started) == decision


@pytest.mark.parametrize("strategy", ["wait-then-start", "start", "self-only"])
def test_whatever_the_strategy_available_is_back_and_terminal_is_lost(strategy):
    assert Plan(strategy, 2700).decide("accessible", 0, start_called=False) == "recovered"
    assert Plan(strategy, 2700).decide("terminal", 9000, start_called=True) == "lost"


@pytest.mark.parametrize(
    ("statuses", "word"),
    [
        ([AVAILABLE, AVAILABLE], "accessible"),
        ([AVAILABLE, RECOVERABLE], "recoverable"),
        (["starting", AVAILABLE], "changing"),
        ([RECOVERABLE, TERMINAL], "terminal"),
        (["a-status-of-tomorrow"], "changing"),
        ([], "changing"),
    ],
)
def test_the_worst_status_counts(statuses, word):
    assert meaning(statuses) == word
