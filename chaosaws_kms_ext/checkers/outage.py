"""The outage: when each step happened, how long it took, and how exact these figures are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from chaosaws_kms_ext.checkers import exactness
from chaosaws_kms_ext.checkers.base import (
    Checker,
    Field,
    Result,
    checker,
    cluster_beside,
    every_load,
    expects_outage,
    hit_loads,
    never_injected,
    of_load,
    undisturbed_until,
)
from chaosaws_kms_ext.checkers.exactness import Durations, Instant
from chaosaws_kms_ext.checkers.fault_outage import Outage, find_outage, usual_delay
from chaosaws_kms_ext.checkers.key_events import NOTHING, KeyEvents
from chaosaws_kms_ext.checkers.load_ended import why_ended
from chaosaws_kms_ext.checkers.objectives import EachLoad, Objective
from chaosaws_kms_ext.checkers.outage_figures import Bounds, RecoveryParts, Timeline
from chaosaws_kms_ext.checkers.outage_windows import Load, Window, find_windows
from chaosaws_kms_ext.history import END_OF_TIME, MAIN, SECOND, Conditions, Event, EventName, utc
from chaosaws_kms_ext.history.columns import Arrivals
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.history.shares import least_present

__all__ = [
    "OutageChecker",
    "all_windows",
    "outage_of",
    "put_back_by_others",
    "times",
    "unexplained",
]

STEADY_FOR = 2 * SECOND
"""ns for which arrivals had been answered when a load was called steady."""

NOT_SEEN = (
    "since neither the key's state nor its policy showed when it was taken away or given back"
)


@checker
class OutageChecker(Checker):
    """Answers how long everything took."""

    name = "outage"
    place = 30
    objectives = (Objective("rto", "time_to_recovery_seconds", "rto", "seconds"),)
    fields = {
        "timeline": Field(Timeline, "when each step happened, UTC", of_load=True),
        "time_to_impact_seconds": Field(
            float | None,
            "from the key being taken away to the last answer before the outage; 0 if that came "
            "first",
            of_load=True,
        ),
        "time_to_inaccessible_seconds": Field(
            float | None,
            "from the key being taken away until the status was seen to be inaccessible",
            of_load=True,
        ),
        "key_unusable_seconds": Field(
            float | None,
            "from the key being taken away to its being put back, by AWS' answers",
            of_load=True,
        ),
        "outage_seconds": Field(
            float | None, "from the last answer before to the first answer after", of_load=True
        ),
        "time_to_recovery_seconds": Field(
            float | None,
            "from the key being put back to the first answer of the first window in which 99 % "
            "of the arrivals are answered; the window is 10 AWS seconds, or 20 arrivals if those "
            "take longer",
            of_load=True,
        ),
        "time_to_available_seconds": Field(
            float | None,
            "from the key being put back until the status was seen to be available, if it was "
            "seen to be inaccessible before",
            of_load=True,
        ),
        "recovery": Field(
            RecoveryParts,
            "where the time to recovery went: until StartDBCluster or StartDBInstance was called "
            "(or all of it), from there until the status was available, from there to the first "
            "answer",
            of_load=True,
        ),
        "recovery_path": Field(
            Literal["self-restart", "start-db-cluster", "start-db-instance"] | None,
            "`self-restart`, `start-db-cluster` or `start-db-instance`",
            of_load=True,
        ),
        "bounds": Field(
            Bounds,
            "how far each of these durations can be off: how far apart the status polls, the "
            "calls and the arrivals at its two ends were. A duration that can be off by more "
            "than half of itself (and more than a second, and more than two status polls) is "
            "`null`, with a reason: this process or its load did not run for a time, or AWS did "
            "not answer",
            of_load=True,
        ),
        "resolution_seconds": Field(
            float | None, "the time between two arrivals: nothing shorter can be seen", of_load=True
        ),
        "error_bound_seconds": Field(
            float | None,
            "how far the instants of impact and recovery may be from the truth, the larger of "
            "both; `bounds` has that of each duration",
            of_load=True,
        ),
        "answered_between": Field(
            int | None,
            "arrivals that were answered between impact and recovery (if there was none: until "
            "the end)",
            of_load=True,
        ),
        "status_poll_seconds": Field(
            float,
            "the time between two status polls: a change is seen at most that much, and one "
            "call, later",
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Measures the load that the fault hits; the figures of the others are null."""
        found = {load: _Measured(history, conditions, load) for load in every_load(history)}
        hit = {load: found[load] for load in hit_loads(history, conditions)}
        took = {load: its.figures["time_to_recovery_seconds"] for load, its in hit.items()}
        told = [MAIN] if never_injected(history, conditions) else list(hit)
        return Result(
            figures={"status_poll_seconds": conditions.settings.status_poll},
            loads={load: its.figures for load, its in found.items()},
            measured={"time_to_recovery_seconds": EachLoad.of(took)},
            doubts=[why for load in told for why in of_load(load, hit[load].doubts())],
            rows=[row for its in hit.values() for row in its.rows()],
        )


@lru_cache(maxsize=32)
def outage_of(history: History, conditions: Conditions, load: str) -> Outage | None:
    """The outage of a load after the fault; None: no fault, or nothing recorded of the load."""
    injected = history.first(EventName.INJECTED)
    arrivals = history.arrivals(load)
    if not expects_outage(history, conditions, load) or injected is None or not len(arrivals):
        return None
    events = KeyEvents.of(history, load)
    started = history.first(EventName.LOAD_STARTED, load=load)
    spacing = started.details["reconnect_spacing_seconds"] if started else 0.0
    usual_until = undisturbed_until(history, events.fault_at)
    known, windows = all_windows(history, conditions, load, usual_until)
    return find_outage(
        arrivals,
        known,
        windows,
        fault_at=events.fault_at,
        reconnect_spacing=spacing,
        gaps=history.gaps(load),
        clock_error=history.recorded[load].clock_error,
        attempts=history.attempts(load),
        showed=events.inaccessible is not None,
        back_at=events.put_back.at if events.put_back else None,
    )


@lru_cache(maxsize=32)
def all_windows(
    history: History, conditions: Conditions, load: str, usual_until: int
) -> tuple[Load, Sequence[Window]]:
    """Every outage of a load, and what the search for them had to know of it; nothing was wrong
    until `usual_until` (ns)."""
    arrivals = history.arrivals(load)
    stopped = history.first(EventName.LOAD_STOPPED, load=load)
    steady = history.first(EventName.LOAD_STEADY, load=load)
    absences = [e for e in history.absences(load) if steady is None or e.end > steady.at]
    known = Load(
        rate=history.recorded[load].rate,
        window=conditions.settings.steady_window_at(history.recorded[load].rate),
        deadline=conditions.settings.query_deadline,
        usual=usual_delay(_from_steady(arrivals, steady), usual_until),
        stalls=history.witness(load, "stall"),
        lags=history.witness(load, "lag"),
        stopped=stopped.at if stopped else END_OF_TIME,
        present=least_present(absences),
    )
    return known, find_windows(arrivals, known)


def _from_steady(arrivals: Arrivals, steady: Event | None) -> Arrivals:
    """Without those from before the load was steady: how long the first answers take on a busy
    machine is not how long an answer takes."""
    if steady is None:
        return arrivals
    return arrivals.due_between(steady.at - STEADY_FOR, END_OF_TIME)


def times(history: History, conditions: Conditions, load: str) -> dict[str, Any]:
    """The durations of a load, as summary.json has them."""
    return _Measured(history, conditions, load).figures


def unexplained(history: History, conditions: Conditions, load: str = MAIN) -> bool:
    """Whether missing figures still need a reason: not where the load ended, which is one, and not
    where the run waited until the cluster was lost for good: then there is no recovery."""
    seen = outage_of(history, conditions, load)
    lost = history.first(EventName.TERMINAL) is not None and not cluster_beside(history, load)
    if lost and seen is not None and seen.impact is not None and seen.recovery is None:
        return False
    return not (why_ended(history, load) and (seen is None or seen.recovery is None))


def put_back_by_others(history: History, conditions: Conditions) -> str:
    """How it is known that not this run put the key back, in a sentence; empty if it is not."""
    events = KeyEvents.of(history)
    injected, back = events.injected, events.put_back
    if not conditions.expects_outage or injected is None or back is None or conditions.by_others:
        return ""
    if by := back.details.get("by"):
        return f"the key was put back by `{by}`, not by this run"
    seen_disabled = False
    for event in history.all(EventName.STATUS):
        if injected.at < event.at < back.at:
            enabled = event.details.get("key") == "Enabled"
            if enabled and seen_disabled:
                return "the key was Enabled before this run put it back: somebody else did"
            seen_disabled = seen_disabled or not enabled
    for load in hit_loads(history, conditions):
        seen = outage_of(history, conditions, load)
        if seen is not None and seen.recovery is not None and seen.recovery < back.at:
            (why,) = of_load(load, ["the database answered again before this run put the key back"])
            return why
    return ""


PATHS = {
    "self-restart": ", by itself",
    "start-db-cluster": ", by StartDBCluster",
    "start-db-instance": ", by StartDBInstance",
}


class _Measured:
    """The instants and durations of one load."""

    def __init__(self, history: History, conditions: Conditions, load: str) -> None:
        self._history, self._conditions = history, conditions
        self._load, hit = load, expects_outage(history, conditions, load)
        self._events = KeyEvents.of(history, load) if hit else NOTHING
        self._seen = outage_of(history, conditions, load)
        seen_by = self._events.injected and self._events.injected.details.get("seen_by")
        why = NOT_SEEN if seen_by == "cluster-status" else exactness.USUAL
        self._durations = Durations(conditions.settings.status_poll, why)
        times = self._times()
        seen, path = self._seen, None
        if times["time_to_recovery_seconds"] is not None:
            path = self._events.recovery_path if self._events.start else self._by_itself()
        self.figures: dict[str, Any] = {
            "timeline": self._timeline(),
            **times,
            "recovery_path": path,
            "bounds": self._durations.bounds,
            "resolution_seconds": _rounded(seen.resolution_seconds) if seen else None,
            "error_bound_seconds": _rounded(seen.error_bound_seconds) if seen else None,
            "answered_between": seen.answered_between if seen else None,
        }

    def doubts(self) -> list[str]:
        """Why figures are missing, and why some cannot be trusted."""
        if never_injected(self._history, self._conditions):
            return [] if self._conditions.by_others else ["no fault was injected"]
        if not self._conditions.expects_outage:
            return []
        doubts = []
        if self._second_outage():
            doubts.append("the key was taken away again: of two outages only one can be measured")
        if unexplained(self._history, self._conditions, self._load):
            if self._seen is None:
                doubts.append("nothing was recorded of the load, so the outage is not known")
            elif self._seen.reason:
                doubts.append(f"the outage could not be measured: {self._seen.reason}")
            elif self._seen.doubt:
                doubts.append(self._seen.doubt)
            if self._events.inaccessible is None:
                doubts.append("the cluster was never seen to be inaccessible")
        if not self._history.first(EventName.LOAD_STARTED, load=self._load):
            doubts.append("how often the load reconnects is not recorded: its bounds are not known")
        return doubts + self._durations.doubts

    def rows(self) -> Sequence[tuple[str, str]]:
        """For a person."""
        if self._events.injected is None:
            return ()
        gone = self.figures["time_to_inaccessible_seconds"]
        status = "" if gone is None else f"; status inaccessible after {gone:.1f} s"
        path = PATHS.get(self.figures["recovery_path"], "")
        of_it = "" if self._load == MAIN else f" ({self._load})"
        return (
            (f"time to impact{of_it}", f"{self._bounded('time_to_impact_seconds')}{status}"),
            (f"outage{of_it}", self._bounded("outage_seconds")),
            (f"time to recovery{of_it}", f"{self._bounded('time_to_recovery_seconds')}{path}"),
        )

    # Internals

    def _second_outage(self) -> bool:
        """Whether a fault that came after the key was put back had an outage of its own."""
        back = self._events.put_back
        again = self._history.first(EventName.INJECTED, back.at) if back else None
        return bool(again and self._seen and any(w.begin >= again.at for w in self._seen.windows))

    def _bounded(self, figure: str) -> str:
        return exactness.in_words(self.figures[figure], self._durations.bounds.get(figure))

    def _times(self) -> dict[str, Any]:
        """How long everything took."""
        its, seen = self._events, self._seen
        impact: Instant | None = None
        first: Instant | None = None
        if seen is not None and seen.impact is not None:
            impact = (seen.impact, seen.begin_bound_seconds)
        if seen is not None and seen.recovery is not None:
            first = (seen.recovery, seen.end_bound_seconds)
        injected, gone = exactness.of(its.injected), exactness.of(its.inaccessible)
        start, available = exactness.of(its.start), exactness.of(its.available)
        # A key that others put back was not back at the instant that this run knows.
        others = put_back_by_others(self._history, self._conditions)
        back = None if others else exactness.of(its.put_back)
        between = self._durations.between
        watched = self._conditions.by_others  # then what is seen less exactly is no doubt
        recovered = between("time_to_recovery_seconds", back, first)
        # A look may see the key's return later than the load does.
        recovered = _not_negative(recovered) if watched else recovered
        started = between("start_called_after_seconds", back, start, short=watched)
        impact_after = between("time_to_impact_seconds", injected, impact, short=watched)
        return {
            "time_to_impact_seconds": _not_negative(impact_after),
            "time_to_inaccessible_seconds": between(
                "time_to_inaccessible_seconds", injected, gone, short=watched
            ),
            "key_unusable_seconds": between("key_unusable_seconds", injected, back, short=watched),
            "outage_seconds": between("outage_seconds", impact, first),
            "time_to_recovery_seconds": recovered,
            "time_to_available_seconds": between(
                "time_to_available_seconds", back, available, short=watched
            ),
            "recovery": {
                "waited_seconds": started if start else recovered,
                "start_called_after_seconds": started,
                "start_to_available_seconds": between(
                    "start_to_available_seconds", start, available, short=watched
                ),
                # The status is polled: answers may come before a poll sees the change.
                "available_to_first_answer_seconds": _not_negative(
                    between("available_to_first_answer_seconds", available, first, short=True)
                ),
            },
        }

    def _by_itself(self) -> str | None:
        """The path where no StartDBCluster is known; None: others may have called it."""
        audit = self._history.first(EventName.AUDIT)
        known = audit is not None and "started_by" in audit.details
        return "self-restart" if known or not self._conditions.by_others else None

    def _timeline(self) -> dict[str, str | None]:
        its, seen = self._events, self._seen
        instants: dict[str, int | None] = {
            "fault_injected": its.injected and its.injected.at,
            "impact": seen.impact if seen else None,
            "inaccessible": its.inaccessible and its.inaccessible.at,
            "put_back": its.put_back and its.put_back.at,
            "start_called": its.start and its.start.at,
            "available": its.available and its.available.at,
            "recovery": seen.recovery if seen else None,
        }
        anchor = self._history.anchor
        return {name: None if at is None else utc(anchor.utc(at)) for name, at in instants.items()}


def _not_negative(seconds: float | None) -> float | None:
    return None if seconds is None else max(seconds, 0.0)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
