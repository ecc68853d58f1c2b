"""Every outage of a load: from when to when, and how deep."""

from __future__ import annotations

from typing import TypedDict

from chaosaws_kms_ext.checkers.base import (
    Checker,
    Field,
    Result,
    checker,
    every_load,
    hit_loads,
    never_injected,
    undisturbed_until,
)
from chaosaws_kms_ext.checkers.objectives import EachLoad, Objective
from chaosaws_kms_ext.checkers.outage import all_windows
from chaosaws_kms_ext.checkers.outage_windows import Window
from chaosaws_kms_ext.checkers.phases import recorded_span
from chaosaws_kms_ext.history import MAIN, SECOND, Conditions, EventName, Utc
from chaosaws_kms_ext.history.history import History

__all__ = ["WindowsChecker", "windows_of"]

TOTAL = 0.99
"""The depth from which on an outage is called total."""
SHOWN = 5
"""Windows in the table."""


class WindowFigures(TypedDict):
    """An outage."""

    begin: Utc
    end: Utc | None
    seconds: float | None
    depth: float
    failed: int


@checker
class WindowsChecker(Checker):
    """Lists them for each load, before the fault and after it."""

    name = "windows"
    place = 36
    objectives = (
        Objective("outage_windows", "outage_windows", None),
        Objective("longest_outage", "longest_outage_seconds", None, "seconds"),
    )
    fields = {
        "windows": Field(
            list[WindowFigures] | None,
            "each outage: `begin` and `end` (UTC; no `end`: until the record ended), `seconds`, "
            "`depth` (the share of its arrivals that was not answered while it lasted: 1 is a "
            "total outage), `failed` (arrivals that were not answered in time). It ends with the "
            "first answer after which 99 % are answered for 10 AWS seconds, or for 20 arrivals "
            "if those take longer; with fewer than 10 arrivals, or 0.1 s of them, it is none",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Those in the time from when the load was steady until it was stopped."""
        found = {load: windows_of(history, conditions, load) for load in every_load(history)}
        main = found[MAIN]
        hit = {load: found[load] for load in hit_loads(history, conditions)}
        numbers = {load: None if its is None else len(its) for load, its in hit.items()}
        return Result(
            loads={
                load: {"windows": None if its is None else [_figures(history, w) for w in its]}
                for load, its in found.items()
            },
            measured={
                "outage_windows": EachLoad.of(numbers),
                "longest_outage_seconds": EachLoad.of(
                    {load: _longest(its) for load, its in hit.items()}
                ),
            },
            rows=[] if never_injected(history, conditions) else _rows(main or ()),
        )


def windows_of(history: History, conditions: Conditions, load: str) -> tuple[Window, ...] | None:
    """The outages of a load; None: it never was steady, or nothing was recorded of it."""
    span = recorded_span(history, load)
    if span is None:
        return None
    injected = history.first(EventName.INJECTED)
    until = injected.at if injected and injected.at > span.begin else span.end
    until = undisturbed_until(history, until)
    _, found = all_windows(history, conditions, load, until)
    return tuple(each for each in found if each.end is None or each.end > span.begin)


def _longest(windows: tuple[Window, ...] | None) -> float | None:
    """Seconds of the longest; None: one has not ended, or they are not known."""
    lengths = [_seconds(each) for each in windows or ()]
    known = [each for each in lengths if each is not None]
    return None if windows is None or len(known) < len(lengths) else max(known, default=0.0)


def _seconds(window: Window) -> float | None:
    return None if window.end is None else round((window.end - window.begin) / SECOND, 3)


def _figures(history: History, window: Window) -> WindowFigures:
    return {
        "begin": history.in_utc(window.begin),
        "end": None if window.end is None else history.in_utc(window.end),
        "seconds": _seconds(window),
        "depth": window.depth,
        "failed": window.failed,
    }


def _rows(windows: tuple[Window, ...]) -> list[tuple[str, str]]:
    """For a person: nothing that the row of one total outage does not say."""
    if not windows or (len(windows) == 1 and windows[0].depth >= TOTAL):
        return []
    told = [_in_words(each) for each in windows[:SHOWN]]
    more = [f"{len(windows) - SHOWN} more"] if len(windows) > SHOWN else []
    return [("outages", " · ".join([*told, *more]))]


def _in_words(window: Window) -> str:
    seconds = _seconds(window)
    length = "not ended" if seconds is None else f"{seconds:.2f} s"
    return length if window.depth >= TOTAL else f"{length}, {window.depth:.0%} not answered"
