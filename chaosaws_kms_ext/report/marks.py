"""What happened to the key and the cluster as bands, and everything else as marks, on one axis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaosaws_kms_ext.history import Event, EventName
from chaosaws_kms_ext.history.history import History

__all__ = ["Band", "Mark", "bands_of", "marks_of"]


@dataclass(frozen=True)
class Band:
    """A time in which something had one state; instants are CLOCK_MONOTONIC ns."""

    lane: str
    """What has it: `key` or `cluster`."""
    state: str
    begin: int
    end: int
    of: str = ""
    """Another cluster's id; empty: the one that the run is about."""


@dataclass(frozen=True)
class Mark:
    """An instant, CLOCK_MONOTONIC ns, and what happened."""

    at: int
    name: str
    what: str = ""
    """More of it."""


NAMES: Mapping[str, str] = {
    EventName.LOAD_STEADY: "load steady",
    EventName.OTHER_ACTION: "another extension's action",
    EventName.JOURNAL_OPENED: "undo in the journal",
    EventName.SWITCH_ARMED: "switch armed",
    EventName.INJECTED: "fault injected",
    EventName.UNDONE: "one fault undone",
    EventName.PUT_BACK: "fault put back",
    EventName.START_CALLED: "start accepted",
    EventName.JOURNAL_CLOSED: "journal closed",
    EventName.RESTORE_ORDERED: "restore ordered",
    EventName.RESTORED: "cluster restored",
    EventName.FIRST_ANSWER: "first answer of the restored cluster",
    EventName.RDS_EVENT: "RDS event",
    EventName.ALARM: "alarm",
    EventName.LOAD_DIED: "load died",
    EventName.LOAD_STARTED_AGAIN: "load started again",
    EventName.LOAD_PROCESSES: "processes of the load",
    EventName.LOAD_STOPPED: "load stopped",
}
"""Events that are marks, and what they are called."""

OF_OTHERS: Mapping[str, str] = {
    EventName.INJECTED: "key taken away",
    EventName.PUT_BACK: "key given back",
}
"""What they are called where somebody else did it and the run only watched."""

MORE = ("fault", "action", "load", "event", "alarm", "state", "present", "why", "message")
"""Details that say what happened, in this order."""


MOST = 200
"""Characters of a state, or of a detail."""


def bands_of(history: History, until: int) -> list[Band]:
    """The states of keys and clusters as they were seen, the last of each until `until` (ns)."""
    found = _bands("", history.all(EventName.STATUS), until)
    others = dict.fromkeys(str(each.details["of"]) for each in history.all(EventName.OTHER_STATUS))
    for other in others:
        found += _bands(other, history.all(EventName.OTHER_STATUS, of=other), until)
    return found


def _bands(of: str, events: Iterable[Event], until: int) -> list[Band]:
    found: list[Band] = []
    seen = list(events)
    for lane in ("key", "cluster"):
        states = [
            (each.at, str(each.details[lane])[:MOST]) for each in seen if each.details.get(lane)
        ]
        before = [None, *(state for _, state in states)]
        changes = [one for one, last in zip(states, before, strict=False) if one[1] != last]
        ends = [*(at for at, _ in changes[1:]), until][: len(changes)]
        found += [
            Band(lane, state, at, max(end, at), of)
            for (at, state), end in zip(changes, ends, strict=True)
        ]
    return found


def marks_of(history: History, times: Sequence[tuple[str, int | None]]) -> list[Mark]:
    """The events of a run and the instants that were measured, by their names, in order."""
    measured = [Mark(at, name) for name, at in times if at is not None]
    return sorted([*measured, *_events(history)], key=lambda mark: mark.at)


def _events(history: History) -> Iterator[Mark]:
    for event in history.events:
        if event.name in NAMES:
            names = OF_OTHERS if "seen_by" in event.details else NAMES
            yield Mark(event.at, names[event.name], _details(event.details))


def _details(details: dict[str, Any]) -> str:
    found = (details.get(name) for name in MORE)
    return ", ".join(str(each)[:MOST] for each in found if each not in (None, ""))
