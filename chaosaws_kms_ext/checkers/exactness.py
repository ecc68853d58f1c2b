"""How exact a figure is: a duration is as exact as the two instants that it lies between."""

from __future__ import annotations

from chaosaws_kms_ext.history import SECOND, Event

__all__ = ["USUAL", "Durations", "Instant", "in_words", "of"]

Instant = tuple[int, float]
"""CLOCK_MONOTONIC (ns), and the seconds that it can be off."""

LEAST = 1.0
"""Seconds that any figure may be off."""
USUAL = "since this process or its load did not run for a time, or AWS did not answer"
SHARE = 0.5
"""The part of a figure that it may be off."""


def of(event: Event | None) -> Instant | None:
    """The instant of an event."""
    return None if event is None else (event.at, float(event.details.get("within_seconds", 0.0)))


def in_words(seconds: float | None, bound: float | None = None) -> str:
    """`38.20 s ± 0.06`; one that is not known, `not measured`."""
    if seconds is None:
        return "not measured"
    return f"{seconds:.2f} s" + (f" ± {bound:.2f}" if bound is not None else "")


class Durations:
    """The durations of a run, and the bound of each; a duration that is too inexact is left out.

    `usual`: seconds between two looks; two of them are no reason to leave a figure out. `why`: why
    a figure can be inexact.
    """

    def __init__(self, usual: float, why: str = USUAL) -> None:
        self._why = why
        self._tolerated = max(LEAST, 2 * usual)
        self.bounds: dict[str, float] = {}
        """Figure → seconds that it can be off."""
        self.doubts: list[str] = []
        """Why figures were left out, each in a sentence."""

    def between(
        self, name: str, begin: Instant | None, end: Instant | None, *, short: bool = False
    ) -> float | None:
        """Seconds from one instant to the other; None: one is not known, or too inexact.

        `short`: it is often shorter than its bound, so that to leave it out is no doubt.
        """
        if begin is None or end is None:
            return None
        seconds = round((end[0] - begin[0]) / SECOND, 3)
        return self.keep(name, seconds, begin[1] + end[1], short=short)

    def keep(
        self, name: str, seconds: float | None, bound: float, *, short: bool = False
    ) -> float | None:
        """The figure, if it is exact enough; raises nothing."""
        if seconds is None:
            return None
        self.bounds[name] = round(bound, 3)
        if bound <= max(self._tolerated, SHARE * seconds):
            return seconds
        if short:
            return None
        what = name.removesuffix("_seconds").replace("_", " ")
        self.doubts.append(
            f"{what} is not known: {seconds:.1f} s can be off by {bound:.1f} s, {self._why}"
        )
        return None
