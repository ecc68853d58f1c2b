"""Was the server started anew, and does that fit the fault?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from chaosaws_kms_ext.checkers.base import (
    Checker,
    Field,
    Result,
    checker,
    every_load,
    expects_outage,
    hit_loads,
    of_load,
)
from chaosaws_kms_ext.checkers.key_events import KeyEvents
from chaosaws_kms_ext.checkers.outage import outage_of
from chaosaws_kms_ext.history import MAIN, SECOND, Conditions, Utc, utc
from chaosaws_kms_ext.history.history import History

__all__ = ["Servers"]

APART = 60.0
"""AWS seconds between the last answer and the status that says why, at most. Assumed: the origin
saw both "within minutes"."""
LISTED = 100
CLOCKS = 1.0
"""Seconds that the server's clock and ours may differ. Assumed: both follow NTP."""


@checker
class Servers(Checker):
    """Compares when answers stopped with when the status turned, and when the server started."""

    name = "servers"
    place = 44
    fields = {
        "server_starts": Field(
            list[Utc],
            "when each server process that the load met had started, UTC, by the server's own "
            f"clock; the first {LISTED} of them",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Says what does not fit the fault: something else may have caused the outage."""
        starts = {
            load: list(
                dict.fromkeys(o.detail for o in history.witness(load, "server") if o.detail)
            )[:LISTED]
            for load in every_load(history)
        }
        return Result(
            loads={
                load: {"server_starts": [_utc(each) for each in its]}
                for load, its in starts.items()
            },
            doubts=_misfits(history, conditions),
        )


def _utc(seconds: str) -> Utc:
    return utc(datetime.fromtimestamp(0, UTC) + timedelta(seconds=float(seconds)))


def _misfits(history: History, conditions: Conditions) -> list[str]:
    if not expects_outage(history, conditions, MAIN):
        return []
    found = []
    for load in hit_loads(history, conditions):
        events = KeyEvents.of(history, load)
        whys = [*_too_early(history, conditions, events, load), *_restarted(history, events, load)]
        found += of_load(load, whys)
    return found


def _too_early(history: History, conditions: Conditions, events: KeyEvents, load: str) -> list[str]:
    seen = outage_of(history, conditions, load)
    if seen is None or seen.impact is None or events.inaccessible is None:
        return []
    within = float(events.inaccessible.details.get("within_seconds", 0.0))
    early = (events.inaccessible.at - seen.impact) / SECOND - within - seen.error_bound_seconds
    if early <= conditions.settings.real(APART) + 2 * conditions.settings.status_poll:
        return []
    return [
        f"the database stopped answering {early:.1f} s before the status said that its key is not "
        "usable: something else may have stopped it"
    ]


def _restarted(history: History, events: KeyEvents, load: str) -> list[str]:
    """A server whose key is away cannot start."""
    if events.injected is None or events.put_back is None:
        return []
    away = [history.anchor.utc(each.at).timestamp() for each in (events.injected, events.put_back)]
    starts = [o.detail for o in history.witness(load, "server") if o.detail]
    return [
        f"the server was started anew while the key was away, at {_utc(start)}: something else "
        "than the key may have stopped it"
        for start in starts
        if away[0] + CLOCKS < float(start) < away[1] - CLOCKS
    ]
