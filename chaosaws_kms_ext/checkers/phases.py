"""The times that a run is divided into: before the fault, the outage, after it."""

from __future__ import annotations

from dataclasses import dataclass

from chaosaws_kms_ext.checkers.base import expects_outage
from chaosaws_kms_ext.checkers.key_events import KeyEvents
from chaosaws_kms_ext.checkers.outage import outage_of
from chaosaws_kms_ext.history import Conditions, EventName
from chaosaws_kms_ext.history.history import History

__all__ = ["Span", "phases_of", "recorded_span", "since_fault"]


@dataclass(frozen=True)
class Span:
    """A time; instants are CLOCK_MONOTONIC ns."""

    begin: int
    end: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end - self.begin) / 1e9


def recorded_span(history: History, load: str) -> Span | None:
    """From when the load was steady until it was stopped; None: it never was steady.

    Of a run that was killed, until the last arrival.
    """
    steady = history.first(EventName.LOAD_STEADY, load=load)
    arrivals = history.arrivals(load)
    if steady is None or not len(arrivals):
        return None
    stopped = history.first(EventName.LOAD_STOPPED, load=load)
    end = stopped.at if stopped else int(arrivals.due[-1])
    return Span(steady.at, end) if end > steady.at else None


def since_fault(history: History, conditions: Conditions, load: str) -> Span | None:
    """The time that the fault can have had an effect in: from the fault to the recovery, or until
    the load was stopped; all of it for a load that it should not affect."""
    span = recorded_span(history, load)
    if span is None or not expects_outage(history, conditions, load):
        return span
    events, seen = KeyEvents.of(history), outage_of(history, conditions, load)
    if events.injected is None:
        return None
    end = seen.recovery if seen is not None and seen.recovery is not None else span.end
    return Span(events.fault_at, max(end, events.fault_at + 1))


def phases_of(history: History, conditions: Conditions, load: str) -> dict[str, Span]:
    """The run in pieces, by name: `before` the fault, `until-impact`, `outage` (from the impact to
    the recovery), `after`; `all` of it where there was no outage. Empty: the load never was
    steady."""
    whole = recorded_span(history, load)
    if whole is None:
        return {}
    events, seen = KeyEvents.of(history), outage_of(history, conditions, load)
    if events.injected is None or seen is None or seen.impact is None:
        return {"all": whole}
    fault_at = events.fault_at
    impact = max(seen.impact, fault_at)
    end = whole.end if seen.recovery is None else seen.recovery
    found = {
        "before": Span(whole.begin, fault_at),
        "until-impact": Span(fault_at, impact),
        "outage": Span(impact, end),
        "after": Span(end, whole.end),
    }
    return {name: span for name, span in found.items() if span.end > span.begin}
