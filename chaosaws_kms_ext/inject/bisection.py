"""The search for the longest blink of a key without an outage: which blink comes next, as a value.

A blink: the key is away for so many seconds, and is put back. The shorter ones are taken to be
harmless where a longer one was; so the search halves what lies between the longest blink without an
outage and the shortest with one. All seconds are AWS seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["LONGEST", "MOST_STEPS", "BadSearch", "Bisection", "Blink"]

LONGEST = 7 * 86400.0
"""AWS seconds of a blink: after 7 days a cluster is lost for good (Aurora User Guide,
Overview.Encryption)."""

MOST_STEPS = 20


class BadSearch(ValueError):
    """Why these are no bounds of a search: one sentence."""


@dataclass(frozen=True)
class Blink:
    """One blink that was tried."""

    seconds: float
    """For how long the key was away: that was asked for, or less where an outage began before."""
    outage: bool


@dataclass(frozen=True)
class Bisection:
    """A search, and what it has tried so far."""

    shortest: float
    """The blink that is tried first."""
    longest: float
    """None is longer."""
    resolution: float
    """It ends when both bounds are so near."""
    steps: int
    """Blinks at most."""
    outages: int = 1
    """Outages that it may cause: it ends with the last of them."""
    tried: tuple[Blink, ...] = ()

    @classmethod
    def asked(
        cls, shortest: object, longest: object, resolution: object, steps: object, outages: object
    ) -> Bisection:
        """A search that has not begun, from an experiment's arguments; raises BadSearch."""
        seconds = {"shortest": shortest, "longest": longest, "resolution": resolution}
        for name, value in seconds.items():
            if not _is_number(value) or not 0 < value <= LONGEST:  # type: ignore[operator]
                raise BadSearch(
                    f"`{name}` is a number of AWS seconds, more than 0 and at most {LONGEST:.0f}, "
                    f"not {value!r:.60}"
                )
        for name, value in {"steps": steps, "outages": outages}.items():
            if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MOST_STEPS:
                raise BadSearch(f"`{name}` is a number from 1 to {MOST_STEPS}, not {value!r:.60}")
        found = cls(shortest, longest, resolution, steps, outages)  # type: ignore[arg-type]
        if found.shortest >= found.longest:
            raise BadSearch(
                f"`shortest` ({found.shortest:g}) must be less than `longest` ({found.longest:g})"
            )
        return found

    @property
    def lower(self) -> float | None:
        """The longest blink without an outage."""
        return max((each.seconds for each in self.tried if not each.outage), default=None)

    @property
    def upper(self) -> float | None:
        """The shortest blink with one."""
        return min((each.seconds for each in self.tried if each.outage), default=None)

    @property
    def next(self) -> float | None:
        """The blink that is tried next, in AWS seconds; None: the search is over."""
        if self.why_over:
            return None
        if self.lower is None:
            return self.shortest
        end = self.longest if self.upper is None else self.upper
        return (self.lower + end) / 2

    @property
    def why_over(self) -> str:
        """Why the search is over, in words; empty if it is not."""
        lower, upper = self.lower, self.upper
        if lower is None and upper is not None:
            return "the shortest blink has an outage already"
        if lower is not None and upper is not None and upper <= lower:
            return "a shorter blink had an outage than one that had none: it is not always the same"
        end = self.longest if upper is None else upper
        if lower is not None and end - lower <= self.resolution:
            near = "both bounds are so near" if upper is not None else "no blink had an outage"
            return f"{near}, as was asked for"
        if sum(each.outage for each in self.tried) >= self.outages:
            return f"it has had its {self.outages} outages"
        if len(self.tried) >= self.steps:
            return f"it has had its {self.steps} steps"
        return ""

    def after(self, seconds: float, outage: bool) -> Bisection:
        """The search after one more blink."""
        return replace(self, tried=(*self.tried, Blink(seconds, outage)))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
