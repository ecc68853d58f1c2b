"""What became of the attempts to connect: how many at once, refused, hung, and to which address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from chaosaws_kms_ext.checkers.base import Checker, Result, checker, every_load
from chaosaws_kms_ext.checkers.objectives import Objective
from chaosaws_kms_ext.checkers.phases import recorded_span
from chaosaws_kms_ext.history import MAIN, SECOND, Conditions, Operation, Outcome
from chaosaws_kms_ext.history.history import History

__all__ = ["Connections", "longest_wait", "most_in_a_second"]


@checker
class Connections(Checker):
    """Counts the attempts of each load while it was steady."""

    name = "connections"
    place = 43
    objectives = (Objective("connection_wait", "longest_wait_seconds", None, "seconds"),)
    fields = {
        "connections": "`attempts`: to connect, from when the load was steady; `failed`: how many "
        "saw what (`refused`, `hang`, `reset`, `unreachable`, `no-address`, an SQL state); "
        "`most_per_second`: attempts that began within one second; `longest_wait_seconds`: from "
        "the first attempt that failed to the end of the first that succeeded (`null`: none did); "
        "`addresses`: each server address that answered, and when first (UTC)",
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Each attempt is recorded with the address, or with what the client saw."""
        loads = {load: {"connections": _of(history, load)} for load in every_load(history)}
        main = loads[MAIN]["connections"]
        measured = main["longest_wait_seconds"] if main else None
        return Result(
            loads=loads,
            measured={"longest_wait_seconds": measured},
            rows=[("connections", _in_words(main))] if main and main["failed"] else (),
        )


def _of(history: History, load: str) -> dict[str, Any] | None:
    span = recorded_span(history, load)
    if span is None:
        return None
    every = history.witness(load, "attempt")
    attempts = [o for o in every if span.begin <= o.due < span.end]
    failed = Counter(o.sqlstate or o.detail or o.outcome for o in attempts if not _ended_well(o))
    addresses: dict[str, str] = {}
    for o in every:
        if o.outcome == Outcome.OK and o.detail:
            addresses.setdefault(o.detail, history.in_utc(o.done))
    wait = longest_wait(attempts)
    return {
        "attempts": len(attempts),
        "failed": dict(sorted(failed.items(), key=lambda pair: (-pair[1], pair[0]))),
        "most_per_second": most_in_a_second(attempts),
        "longest_wait_seconds": None if wait is None else round(wait, 3),
        "addresses": addresses,
    }


def _ended_well(o: Operation) -> bool:
    """Whether it succeeded, or the end of the load cut it."""
    return o.outcome in (Outcome.OK, Outcome.ABORTED)


def most_in_a_second(attempts: Sequence[Operation]) -> int:
    """The most that began within one second; `attempts` in the order in which they began."""
    most = first = 0
    for place, each in enumerate(attempts):
        while each.due - attempts[first].due >= SECOND:
            first += 1
        most = max(most, place - first + 1)
    return most


def longest_wait(attempts: Sequence[Operation]) -> float | None:
    """Seconds from the first attempt that failed to the end of the first success after it.

    The longest of them; None: after the last failure none succeeded.
    """
    longest, since, succeeded = 0.0, None, 0
    for each in sorted(attempts, key=lambda o: o.done):
        if each.outcome == Outcome.OK:
            if since is not None:
                longest, since = max(longest, (each.done - since) / SECOND), None
            succeeded = each.done
        elif since is None and not _ended_well(each):
            since = max(each.due, succeeded)  # one that began before that says nothing of later
    return longest if since is None else None


def _in_words(found: dict[str, Any]) -> str:
    failed = ", ".join(f"{number} {what}" for what, number in found["failed"].items())
    wait = found["longest_wait_seconds"]
    waited = "none succeeded again" if wait is None else f"longest wait {wait:.2f} s"
    moved = f"; {len(found['addresses'])} addresses" if len(found["addresses"]) > 1 else ""
    return f"{failed}; at most {found['most_per_second']} a second; {waited}{moved}"
