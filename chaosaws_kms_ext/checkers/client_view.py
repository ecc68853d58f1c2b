"""What the client saw: how arrivals failed, before the fault, in the outage and after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker, every_load
from chaosaws_kms_ext.checkers.phases import phases_of
from chaosaws_kms_ext.history import MAIN, Conditions
from chaosaws_kms_ext.history.columns import OUTCOMES, Codes, Said, blocks_of
from chaosaws_kms_ext.history.history import History

__all__ = ["ClientView"]


Phase = Literal["before", "until-impact", "outage", "after", "all"]


@checker
class ClientView(Checker):
    """Counts it for each load, in each phase of the run."""

    name = "client_view"
    place = 42
    fields = {
        "client_saw": Field(
            dict[Phase, dict[str, int]] | None,
            "arrivals by phase (`before` the fault, `until-impact`, `outage` from the impact to "
            "the recovery, `after`; `all` without an outage) and by what the client saw: `ok`, "
            "`unsent`, `aborted`, `unrecorded`; `hang` (no answer before the deadline), `reset` "
            "(the connection was closed), `refused`, `unreachable`, `no-address` (the name does "
            "not resolve), `not-ready` (the server starts or recovers), `full`, `denied`, "
            "`proxy-timeout` (an RDS Proxy got no connection to the database in time), "
            "`other`; or an SQL state (of MySQL after the error's number: `1290 (HY000)`)",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Counts every arrival that was due while the load was steady."""
        loads = {
            load: {"client_saw": _of(history, conditions, load)} for load in every_load(history)
        }
        seen = (loads[MAIN]["client_saw"] or {}).get("outage", {})
        told = ", ".join(f"{number} {what}" for what, number in seen.items() if what != "ok")
        return Result(loads=loads, rows=[("client saw", told)] if told else ())


def _of(history: History, conditions: Conditions, load: str) -> dict[str, dict[str, int]] | None:
    phases = phases_of(history, conditions, load)
    arrivals = history.arrivals(load)
    said, labels = history.said(load)
    found = {}
    for name, span in phases.items():
        its = slice(*np.searchsorted(arrivals.due, [span.begin, span.end]).tolist())
        found[name] = _count(arrivals.outcome[its], said[its], labels)
    return found or None


def _count(outcome: Codes, said: Said, labels: Sequence[str]) -> dict[str, int]:
    """By what was said, or else by outcome; the most frequent first."""
    names = [*OUTCOMES, *labels]
    counted = np.zeros(len(names), np.int64)
    for block in blocks_of(len(said)):
        its = said[block].astype(np.int64)
        codes = np.where(its >= 0, its + len(OUTCOMES), outcome[block])
        counted += np.bincount(codes, minlength=len(names))
    pairs = [(name, number) for name, number in zip(names, counted.tolist(), strict=True) if number]
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))
