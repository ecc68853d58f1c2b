"""Operations by outcome."""

from __future__ import annotations

from chaosaws_kms_ext.checkers import operations
from chaosaws_kms_ext.history import Operation
from chaosaws_kms_ext.history.columns import Arrivals


def read(took_ms, outcome="ok", due=0):
    return Operation("main", 1, 1, "read", due, due, due + took_ms * 1_000_000, outcome, None)


def test_every_outcome_is_counted_also_those_that_never_came():
    counted = operations.count(Arrivals.of([read(1), read(1), read(1, "lost")]))
    assert counted == {
        "ok": 2,
        "error": 0,
        "timeout": 0,
        "lost": 1,
        "unsent": 0,
        "aborted": 0,
        "unrecorded": 0,
    }
