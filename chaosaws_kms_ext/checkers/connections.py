"""What became of the attempts to connect: how many at once, refused, hung, and to which address."""

from __future__ import annotations

from collections import Counter
from typing import TypedDict

import numpy as np

from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker, every_load, hit_loads
from chaosaws_kms_ext.checkers.objectives import EachLoad, Objective
from chaosaws_kms_ext.checkers.phases import recorded_span
from chaosaws_kms_ext.history import MAIN, SECOND, Conditions, Utc
from chaosaws_kms_ext.history.columns import OUTCOMES, Attempts, blocks_of
from chaosaws_kms_ext.history.history import History

__all__ = ["Connections", "longest_wait", "most_in_a_second"]


class ConnectionFigures(TypedDict):
    """The attempts of one load."""

    attempts: int
    failed: dict[str, int]
    most_per_second: int
    longest_wait_seconds: float | None
    addresses: dict[str, Utc]


@checker
class Connections(Checker):
    """Counts the attempts of each load while it was steady."""

    name = "connections"
    place = 43
    objectives = (Objective("connection_wait", "longest_wait_seconds", None, "seconds"),)
    fields = {
        "connections": Field(
            ConnectionFigures | None,
            "`attempts`: to connect, from when the load was steady; `failed`: how many saw what "
            "(`refused`, `hang`, `reset`, `unreachable`, `no-address`, an SQL state); "
            "`most_per_second`: attempts that began within one second; `longest_wait_seconds`: "
            "from the first attempt that failed to the end of the first that succeeded (`null`: "
            "none did); `addresses`: each server address that answered, and when first (UTC)",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Each attempt is recorded with the address, or with what the client saw."""
        loads = {load: {"connections": _of(history, load)} for load in every_load(history)}
        main = loads[MAIN]["connections"]
        waits = {
            load: its["longest_wait_seconds"] if (its := loads[load]["connections"]) else None
            for load in hit_loads(history, conditions)
        }
        return Result(
            loads=loads,
            measured={"longest_wait_seconds": EachLoad.of(waits)},
            rows=[("connections", _in_words(main))] if main and main["failed"] else (),
        )


def _of(history: History, load: str) -> ConnectionFigures | None:
    span = recorded_span(history, load)
    if span is None:
        return None
    every = history.attempts(load)
    attempts = every.only(slice(*np.searchsorted(every.due, [span.begin, span.end]).tolist()))
    wait = longest_wait(attempts)
    return {
        "attempts": len(attempts),
        "failed": _failed(attempts),
        "most_per_second": most_in_a_second(attempts),
        "longest_wait_seconds": None if wait is None else round(wait, 3),
        "addresses": {
            address: history.in_utc(at) for address, at in _first_of_each_address(every).items()
        },
    }


def _failed(attempts: Attempts) -> dict[str, int]:
    """How many failed with what the client saw; the most frequent first."""
    its = attempts.only(attempts.failed)
    outcomes = np.bincount(its.outcome[its.said < 0], minlength=len(OUTCOMES)).tolist()
    labels = np.bincount(its.said[its.said >= 0], minlength=len(its.labels)).tolist()
    found = Counter(dict(zip(OUTCOMES, outcomes, strict=True)))
    found.update(dict(zip(its.labels, labels, strict=True)))
    pairs = [(what, number) for what, number in found.items() if number]
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


def _first_of_each_address(attempts: Attempts) -> dict[str, int]:
    """The end of the first attempt that succeeded, of each address; CLOCK_MONOTONIC ns."""
    its = attempts.only(attempts.succeeded & (attempts.said >= 0))
    numbers, places = np.unique(its.said, return_index=True)
    ordered = sorted(zip(places.tolist(), numbers.tolist(), strict=True))
    return {its.labels[number]: int(its.done[place]) for place, number in ordered}


def most_in_a_second(attempts: Attempts) -> int:
    """The most that began within one second."""
    due, most = attempts.due, 0
    for block in blocks_of(len(attempts)):
        before = np.searchsorted(due, due[block] - SECOND, side="right")
        since_then = np.arange(block.start, block.stop) - before + 1
        most = max(most, int(since_then.max()))
    return most


def longest_wait(attempts: Attempts) -> float | None:
    """Seconds from the first attempt that failed to the end of the first success after it.

    The longest of them; None: after the last failure none succeeded.
    """
    its = attempts.only(attempts.failed | attempts.succeeded)
    order = np.argsort(its.done, kind="stable")
    due, done, succeeded = its.due[order], its.done[order], its.succeeded[order]
    before = np.concatenate(([True], succeeded[:-1]))[: len(succeeded)]
    first = np.flatnonzero(~succeeded & before)
    # One that began before the last success says nothing of later.
    since = np.maximum(due[first], np.concatenate(([0], done[:-1]))[first])
    successes = np.flatnonzero(succeeded)
    following = np.searchsorted(successes, first)
    if len(following) and following[-1] == len(successes):
        return None
    return float((done[successes[following]] - since).max(initial=0)) / SECOND


def _in_words(found: ConnectionFigures) -> str:
    failed = ", ".join(f"{number} {what}" for what, number in found["failed"].items())
    wait = found["longest_wait_seconds"]
    waited = "none succeeded again" if wait is None else f"longest wait {wait:.2f} s"
    moved = f"; {len(found['addresses'])} addresses" if len(found["addresses"]) > 1 else ""
    return f"{failed}; at most {found['most_per_second']} a second; {waited}{moved}"
