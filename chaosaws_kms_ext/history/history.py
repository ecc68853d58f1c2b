"""A history: everything that was recorded of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from chaosaws_kms_ext.history.aws_calls import AwsCall
from chaosaws_kms_ext.history.canaries import CanaryTry
from chaosaws_kms_ext.history.columns import (
    Absence,
    Arrivals,
    Attempts,
    ReadBack,
    Reads,
    Recorded,
    Said,
    Writes,
)
from chaosaws_kms_ext.history.events import EventName
from chaosaws_kms_ext.history.records import END_OF_TIME, MAIN, Anchor, Event, Operation, utc
from chaosaws_kms_ext.history.shares import absent_together, unheard_at_the_end

__all__ = ["History"]

NOTHING = Recorded.of(0.0)


@dataclass(frozen=True, eq=False)
class History:
    """Everything that was recorded of a run."""

    recorded: Mapping[str, Recorded]
    """Load → what it did; one of which there is no record is not there."""
    events: Sequence[Event]
    rows: Mapping[str, ReadBack]
    """Load → its rows in the database afterwards; a load whose rows were not read is not there."""
    anchor: Anchor
    calls: Sequence[AwsCall] = ()
    """The calls to AWS that the run made, in the order of their answers."""
    canary_tries: Sequence[CanaryTry] = ()
    """What its canaries tried, in the order of their answers."""

    @cached_property
    def loads(self) -> tuple[str, ...]:
        """The loads that were recorded and those that should have been, `main` first."""
        started = {each.details["load"] for each in self.all(EventName.LOAD_STARTED)}
        return tuple(sorted({*self.recorded, *started}, key=lambda name: (name != MAIN, name)))

    def arrivals(self, load: str) -> Arrivals:
        """The load's reads and writes, in the order in which they were due."""
        return self.recorded.get(load, NOTHING).arrivals

    def attempts(self, load: str) -> Attempts:
        """The load's attempts to connect, in the order in which they began."""
        return self.recorded.get(load, NOTHING).attempts

    def said(self, load: str) -> tuple[Said, Sequence[str]]:
        """What the client saw of each arrival: numbers (-1: nothing), and their names."""
        its = self.recorded.get(load, NOTHING)
        return its.said, its.labels

    def writes(self, load: str) -> Writes:
        """The load's writes."""
        return self.recorded.get(load, NOTHING).writes

    def reads(self, load: str) -> Reads:
        """What the load saw of its registers."""
        return self.recorded.get(load, NOTHING).reads

    def last_sequences(self, load: str) -> Mapping[int, int]:
        """Writer → the last sequence that was recorded of it, reads included."""
        return self.recorded.get(load, NOTHING).last

    def witness(self, load: str, kind: str) -> Sequence[Operation]:
        """What a witness of the load saw, in order."""
        return [each for each in self.recorded.get(load, NOTHING).witnessed if each.kind == kind]

    def absences(self, load: str) -> Sequence[Absence]:
        """When some process of the load told nothing of the database; of one that has several."""
        return self.recorded.get(load, NOTHING).absences

    def gaps(self, load: str) -> list[tuple[int, int]]:
        """When nothing of a load was recorded, CLOCK_MONOTONIC ns: since it had died, from its last
        record before to the first arrival after; or since all its processes were absent."""
        return sorted([*self.deaths(load), *self.unheard(load)])

    def unheard(self, load: str) -> list[tuple[int, int]]:
        """The second kind of gap."""
        its = self.recorded.get(load, NOTHING)
        stopped = self.first(EventName.LOAD_STOPPED, load=load)
        at_the_end = (
            unheard_at_the_end(its.arrivals.due, its.rate, its.workers, stopped.at)
            if stopped
            else []
        )
        return [*absent_together(its.absences), *at_the_end]

    def deaths(self, load: str) -> list[tuple[int, int]]:
        """The first kind of gap, in the order of the deaths."""
        arrivals, found = self.arrivals(load), []
        for died in self.all(EventName.LOAD_DIED, load=load):
            again = self.first(EventName.LOAD_STARTED_AGAIN, died.at, load=load)
            started = again.at if again else died.at
            before = arrivals.done[arrivals.done <= died.at]
            after = np.searchsorted(arrivals.due, started)
            found.append(
                (
                    int(before.max()) if len(before) else died.at,
                    int(arrivals.due[after]) if after < len(arrivals) else END_OF_TIME,
                )
            )
        return found

    def in_utc(self, at: int) -> str:
        """A CLOCK_MONOTONIC instant (ns) as UTC."""
        return utc(self.anchor.utc(at))

    def first(self, name: str, after: int = 0, **details: Any) -> Event | None:
        """The first event called `name` at or after `after` that has these details."""
        found = (event for event in self.all(name, **details) if event.at >= after)
        return next(found, None)

    def all(self, name: str, **details: Any) -> Iterator[Event]:
        """The events called `name` that have these details."""
        wanted = details.items()
        for event in self.events:
            if event.name == name and wanted <= event.details.items():
                yield event

    def until_its_end(self) -> History:
        """What was there when the run was judged: a call to AWS, say, that was on its way then
        comes later, and whoever judges the run again must not count it."""
        place = next(
            (n for n, each in enumerate(self.events) if each.name == EventName.ENDED), None
        )
        if place is None:
            return self
        said = self.events[place].details
        calls, tries = (
            number if isinstance(number := said.get(name), int) else None
            for name in ("aws_calls", "canary_tries")
        )
        return replace(
            self,
            events=self.events[: place + 1],
            calls=self.calls[:calls],
            canary_tries=self.canary_tries[:tries],
        )
