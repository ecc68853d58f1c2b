"""How long until somebody could know: by the status, an RDS event, an alarm, a health check."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypedDict

from chaosaws_kms_ext.checkers import exactness
from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker, expects_outage
from chaosaws_kms_ext.checkers.exactness import Durations
from chaosaws_kms_ext.checkers.key_events import KeyEvents
from chaosaws_kms_ext.checkers.objectives import Figure, NotWithin, Objective
from chaosaws_kms_ext.checkers.outage import put_back_by_others
from chaosaws_kms_ext.history import MAIN, SECOND, Conditions, Event, EventName, Outcome
from chaosaws_kms_ext.history.history import History

__all__ = ["TimeToKnow"]

LOST = ("RDS-EVENT-0418", "RDS-EVENT-0419")
"""Aurora User Guide, USER_Events.Messages: the key of an instance cannot be used."""

OBJECTIVE = "time_to_alarm"


class Seen(TypedDict):
    """Seconds since the key was taken away, and how far they can be off."""

    seconds: float | None
    bound: float


class SeenEvent(Seen):
    """An RDS event."""

    event: str
    by: Literal["DescribeEvents", "EventBridge"]


class SeenAlarm(Seen):
    """An alarm that went off."""

    name: str


class NoAlarm(TypedDict):
    """None went off while the key was away."""

    seconds: None
    bound: None
    name: None
    not_within_seconds: float


class ToKnow(TypedDict):
    """None: it was not seen."""

    status: Seen | None
    rds_event: SeenEvent | None
    alarm: SeenAlarm | NoAlarm | None
    health_check: Seen | None


@checker
class TimeToKnow(Checker):
    """Measures each from AWS' answer to the call that took the key away."""

    name = "time_to_know"
    place = 32
    objectives = (Objective(OBJECTIVE, "time_to_alarm_seconds", None, "seconds"),)
    fields = {
        "time_to_know": Field(
            ToKnow | None,
            "seconds from the key being taken away until somebody could know: `status`, seen "
            "inaccessible; `rds_event`, the first RDS-EVENT-0418 or 0419 (`event`) that came "
            "`by` EventBridge, where CHAOS_EVENTS_QUEUE names a queue, or else DescribeEvents; "
            "`alarm`, the first of CHAOS_ALARMS that was seen to go to ALARM (`name`; one that "
            "was in ALARM before does not count); `health_check`, the end of the first try of a "
            "new connection that failed (one every 0.25 s, which fails after "
            "CHAOS_QUERY_DEADLINE). Each has its `seconds`, and how far those can be off "
            "(`bound`); `null`: it was not seen. An alarm that went off after the key was put "
            "back is none: if there is no other, `seconds` is `null`, and `not_within_seconds` "
            "how long the key was away; the objective `time_to_alarm` is then missed, whatever "
            "its limit. `alarm` is `null` where none is named, and where AWS did not answer "
            "meanwhile",
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Only where a fault was to hit the load `main`, and was injected."""
        events = KeyEvents.of(history)
        if events.injected is None or not expects_outage(history, conditions, MAIN):
            return Result(figures={"time_to_know": None}, measured={"time_to_alarm_seconds": None})
        its = _Measured(history, conditions, events.injected)
        alarm = its.figures["alarm"]
        measured: Figure = alarm["seconds"] if alarm else None
        if alarm and "not_within_seconds" in alarm:
            measured = NotWithin(alarm["not_within_seconds"])
        asked = OBJECTIVE in conditions.objectives or OBJECTIVE in conditions.earlier
        return Result(
            figures={"time_to_know": its.figures},
            measured={"time_to_alarm_seconds": measured},
            doubts=its.doubts if asked else (),
            rows=[("time to know", " · ".join(its.in_words()))],
        )


class _Measured:
    """Everything from which somebody could know."""

    def __init__(self, history: History, conditions: Conditions, injected: Event) -> None:
        self._history, self._conditions, self._injected = history, conditions, injected
        self._durations = Durations(conditions.settings.status_poll)
        self._unknown = ""
        lost = self._lost()
        self.figures: dict[str, dict[str, Any] | None] = {
            "status": self._until("time_to_status_seconds", KeyEvents.of(history).inaccessible),
            "rds_event": self._until(
                "time_to_rds_event_seconds",
                lost,
                event=lost and lost.details.get("event"),
                by=lost and lost.details.get("by", "DescribeEvents"),
            ),
            "alarm": self._alarm() if conditions.settings.alarms else None,
            "health_check": self._until("time_to_health_check_seconds", self._failed()),
        }

    @property
    def doubts(self) -> list[str]:
        """Why the objective cannot be judged."""
        if not self._conditions.settings.alarms:
            return ["no alarm was watched: CHAOS_ALARMS names none"]
        inexact = [why for why in self._durations.doubts if why.startswith("time to alarm ")]
        unknown = f"whether an alarm went off is not known: {self._unknown}"
        return [*inexact, *([unknown] if self._unknown else [])]

    def in_words(self) -> Iterator[str]:
        """For a person."""
        its = self.figures
        yield f"status {_shown(its['status'])}"
        event = its["rds_event"]
        yield f"{event['event']} by {event['by']} {_shown(event)}" if event else "no RDS event seen"
        alarm = its["alarm"]
        if alarm and "not_within_seconds" in alarm:
            yield f"no alarm within {exactness.in_words(alarm['not_within_seconds'])}"
        elif alarm:
            yield f"alarm {alarm['name']} {_shown(alarm)}"
        elif self._conditions.settings.alarms:
            yield "alarms not known"
        check = its["health_check"]
        yield f"new connection failed {_shown(check)}" if check else "no new connection failed"

    # Internals

    def _until(self, figure: str, seen: Event | None, /, **more: Any) -> dict[str, Any] | None:
        if seen is None:
            return None
        begin, end = exactness.of(self._injected), exactness.of(seen)
        seconds = self._durations.between(figure, begin, end)
        return {"seconds": seconds, "bound": self._durations.bounds[figure], **more}

    def _lost(self) -> Event | None:
        seen = self._history.all(EventName.RDS_EVENT)
        after = (each for each in seen if each.at >= self._injected.at)
        return next((each for each in after if each.details.get("event") in LOST), None)

    def _failed(self) -> Event | None:
        """The end of the first try to connect that failed, of those that began after the fault."""
        tries = self._history.witness(MAIN, "connect")
        ends = [
            each.done
            for each in tries
            if each.due >= self._injected.at and each.outcome not in (Outcome.OK, Outcome.ABORTED)
        ]
        return Event(min(ends), "connect", {}) if ends else None

    def _alarm(self) -> dict[str, Any] | None:
        back = self._history.first(EventName.PUT_BACK, after=self._injected.at)
        if put_back_by_others(self._history, self._conditions):
            back = None  # when it was is not known
        for each in self._history.all(EventName.ALARM):
            if each.at >= self._injected.at and _went_off(each, back):
                name = each.details.get("alarm")
                return self._until("time_to_alarm_seconds", each, name=name)
        if back is None:
            self._unknown = "when the key was put back is not known"
        else:
            self._unknown = self._blind(self._injected.at, back.at)
        if back is None or self._unknown:
            return None
        away = round((back.at - self._injected.at) / SECOND, 3)
        return {"seconds": None, "bound": None, "name": None, "not_within_seconds": away}

    def _blind(self, since: int, until: int) -> str:
        """Why the alarms' states are not known of some of this time (ns); empty if they are."""
        names = (EventName.ALARM, EventName.ALARMS_UNKNOWN)
        looks = sorted(
            (each for each in self._history.events if each.name in names and each.at <= until),
            key=lambda each: each.at,
        )
        why = "no look at one is recorded before the fault"
        for each in looks:
            if why and each.at >= since:
                return why
            why = str(each.details.get("why", ""))
        return why


def _went_off(alarm: Event, back: Event | None) -> bool:
    """Whether it changed to ALARM, and perhaps before the key was put back."""
    its = alarm.details
    changed = its.get("state") == "ALARM" and its.get("before") not in (None, "ALARM")
    earliest = alarm.at - round(float(its.get("within_seconds", 0.0)) * SECOND)
    return changed and (back is None or earliest < back.at)


def _shown(figure: dict[str, Any] | None) -> str:
    return exactness.in_words(figure["seconds"], figure["bound"]) if figure else "not seen"
