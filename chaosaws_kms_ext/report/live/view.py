"""What a page shows beside the timeline, as plain values: text that is shown as text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from chaosaws_kms_ext.history import Conditions, Event, EventName, utc
from chaosaws_kms_ext.report.live.figure import figure_of
from chaosaws_kms_ext.report.live.moment import Moment
from chaosaws_kms_ext.report.live.steps import steps_of
from chaosaws_kms_ext.report.live.tail import Tail
from chaosaws_kms_ext.text import printable

__all__ = ["view_of", "waiting_view"]

LONGEST = 300
"""Letters of a text: what comes from a file may have any number."""

MOST_STEPS = 200
"""That are shown."""


def view_of(tail: Tail, moment: Moment, behind: bool) -> dict[str, Any]:
    """What the page of a run shows now, as JSON; `behind`: more has been recorded than was read."""
    conditions, fate = tail.conditions, moment.fate
    figure = figure_of(moment, conditions, tail.anchor.monotonic_ns if tail.anchor else None)
    shown = {name: _text(value) for name, value in asdict(figure).items()}
    steps = [
        {"part": _text(each.part), "name": _text(each.name), "state": each.state}
        for each in steps_of(tail.events, fate.over)[:MOST_STEPS]
    ]
    return {
        "title": _text(conditions.experiment if conditions else tail.folder.parent.name),
        "where": _text(_where(conditions)),
        "figure": shown,
        "facts": [_text(each) for each in _facts(tail, moment)],
        "steps": steps,
        "warnings": [_text(each) for each in _warnings(tail, moment, behind)],
        "state": fate.kind,
        "report": fate.report,
    }


def waiting_view(where: str) -> dict[str, Any]:
    """The same while there is no run."""
    label = "No run is under way"
    note = f"The next one in {where} shows here."
    figure = {
        "label": label,
        "value": "…",
        "note": note,
        "tone": "calm",
        "said": f"{label}. {note}",
    }
    return {
        "title": "waiting", "where": "", "figure": figure, "facts": [], "steps": [], "warnings": [],
        "state": "waiting", "report": False,
    }  # fmt: skip


def _text(text: str) -> str:
    """With nothing in it that is no character, and no longer than a page can show."""
    cut = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return printable(cut)


def _where(conditions: Conditions | None) -> str:
    if conditions is None:
        return ""
    settings = conditions.settings
    if settings.target == "lab":
        return f"on the lab (speed {settings.lab_speed:g}): its times are the lab's, not AWS'"
    return f"on AWS, {settings.target_id or 'no cluster'} in {conditions.region}"


def _facts(tail: Tail, moment: Moment) -> list[str]:
    """What a person on the wall asks next."""
    found = [
        f"{'' if len(moment.loads) == 1 else f'{name}: '}{now.answered:.0f} answered/s"
        for name, now in moment.loads.items()
        if now.answered is not None and not moment.fate.over
    ]
    status = _last(tail.events, EventName.STATUS)
    for name in ("key", "cluster"):
        if status is not None and status.details.get(name):
            found.append(f"{name} {status.details[name]}")
    if moment.fate.over and tail.anchor is not None and moment.at:
        found.append(f"last record {utc(tail.anchor.utc(moment.at))}")
    return found


def _last(events: list[Event], name: str) -> Event | None:
    return next((event for event in reversed(events) if event.name == name), None)


def _warnings(tail: Tail, moment: Moment, behind: bool) -> list[str]:
    found = list(tail.problems.values())
    if behind:
        found.append("what was recorded before is still being read: the figures are not yet of now")
    if not moment.fate.over:
        found += [
            f"the load {name} has recorded nothing for {now.silent:.0f} s"
            for name, now in moment.loads.items()
            if now.silent
        ]
    if moment.fate.kind == "going-on" and not moment.fate.here:
        found.append("the process of the run is not on this machine: the page is some seconds late")
    return found
