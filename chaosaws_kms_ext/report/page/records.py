"""The tables that are made from the records: what was attacked, who allowed it, what was called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaosaws_kms_ext.history import SECOND, EventName
from chaosaws_kms_ext.history.aws_calls import AwsCall
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.report.page.section import Section

__all__ = ["Repeated", "calls", "guard_found", "repeated", "safeguards", "targets"]


def targets(history: History) -> Section:
    """What was attacked, and who did it."""
    rows: list[Sequence[str]] = []
    for event in history.all(EventName.TARGET):
        rows.append(("cluster of the run", str(event.details["cluster"])))
        rows.append(("its key", str(event.details["key"])))
    for event in history.all(EventName.INJECTED):
        of = event.details.get("cluster")
        key = f"{event.details['key']}{f', of {of}' if of else ''}"
        rows.append((str(event.details.get("fault", "fault")), key))
        rows += [("lost its key with it", str(it)) for it in event.details.get("others", ())]
    ready = history.first(EventName.READY)
    if ready:
        watched = any("seen_by" in each.details for each in history.all(EventName.INJECTED))
        rows.append(("watched by" if watched else "by", str(ready.details["caller"])))
    return Section("What was attacked, and by whom", ("what", "which"), rows)


def guard_found(history: History) -> Section:
    """What the guard said: consent is a part of it."""
    rows = [
        (*(str(found[part]) for part in ("about", "state", "why")), history.in_utc(event.at))
        for event in history.all(EventName.GUARD)
        for found in event.details["findings"]
    ]
    head = ("about", "state", "why", "when (UTC)")
    return Section("Consent, and what the guard found", head, rows)


def safeguards(history: History) -> Section:
    """What would have put the key back, and when each was ready."""
    rows: list[Sequence[str]] = []
    for event in history.events:
        when, said = history.in_utc(event.at), event.details
        if event.name == EventName.SAFEGUARDS:
            rows += [(str(name), str(what), when) for name, what in said["armed"].items()]
        elif event.name == EventName.JOURNAL_OPENED:
            rows.append(("undo journal", f"the undo was written: {said['entry']}", when))
        elif event.name == EventName.SWITCH_ARMED:
            named = ", ".join(map(str, said["schedules"]))
            rows.append(("switch", f"armed: {named}, due {said['due']}", when))
        elif event.name == EventName.JOURNAL_CLOSED:
            rows.append(("undo journal", f"closed: {said['entry']}", when))
    return Section("Safeguards", ("which", "what", "when (UTC)"), rows)


@dataclass(frozen=True)
class Repeated:
    """The same call, answered in the same way, once or more."""

    first: AwsCall
    last: AwsCall
    times: int


def repeated(made: Sequence[AwsCall]) -> list[Repeated]:
    """The calls in the order of their first answers.

    A call that only reads and is made again is counted, until one is made that may change
    something: from there on it stands again.
    """
    found: list[Repeated] = []
    places: dict[tuple[str, str, str], int] = {}
    for call in made:
        if call.changes:
            places.clear()
            found.append(Repeated(call, call, 1))
            continue
        place = places.setdefault((call.name, call.named, call.outcome), len(found))
        if place == len(found):
            found.append(Repeated(call, call, 1))
        else:
            found[place] = Repeated(found[place].first, call, found[place].times + 1)
    return found


def calls(history: History) -> Section:
    """Every call to AWS that the run made, in order."""
    return Section(
        "Calls to AWS",
        ("when (UTC)", "call", "of", "answer", "seconds", "times"),
        list(_calls(history)),
        "In the order of their answers. A call that only reads and was made again is one row, "
        "until a call that may change something. Calls of other extensions, and of the watchdog "
        "after this run, are not here.",
    )


def _calls(history: History) -> Iterator[Sequence[str]]:
    for each in repeated(history.calls):
        call = each.first
        tries = f", tried {call.retries + 1} times" if call.retries else ""
        until = f", the last at {history.in_utc(_end(each.last))}" if each.times > 1 else ""
        yield (
            history.in_utc(call.at), call.name, call.named, f"{call.outcome}{tries}",
            f"{call.seconds:.3f}", f"{each.times}{until}",
        )  # fmt: skip


def _end(call: AwsCall) -> int:
    return call.at + round(call.seconds * SECOND)
