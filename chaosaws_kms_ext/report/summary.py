"""The figures of a run: the checkers' results on its history, as summary.json has them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from chaosaws_kms_ext.checkers import counts, durability, hang, latency, outage
from chaosaws_kms_ext.checkers.durability import Durability
from chaosaws_kms_ext.checkers.outage import Outage
from chaosaws_kms_ext.history import SECOND, Event, History, Operation, Outcome
from chaosaws_kms_ext.report.objectives import Figures
from chaosaws_kms_ext.run import Happened
from chaosaws_kms_ext.settings import Settings

__all__ = ["Facts", "Measured", "measure", "utc"]

SCHEMA = 1
END_OF_TIME = 2**63


@dataclass(frozen=True)
class Facts:
    """What is known of a run without judging anything."""

    experiment: str
    settings: Settings
    started: datetime
    ended: datetime
    region: str
    cluster: str
    key: str
    reconnect_spacing: float
    """Seconds."""


@dataclass(frozen=True)
class Measured:
    """The figures, and what could not be had."""

    summary: dict[str, Any]
    figures: Figures
    unmeasured: tuple[str, ...]


def measure(facts: Facts, history: History, load: str = "main") -> Measured:
    """Everything that is measured of one load."""
    settings = facts.settings
    injected, back = history.first(Happened.INJECTED), history.first(Happened.PUT_BACK)
    arrivals = history.arrivals(load)
    seen = _outage(facts, history, load, arrivals, injected)
    kept = durability.judge(arrivals, history.rows.get(load))
    back_at = back.at if back else None
    recovery = seen.recovery if seen else None
    by_others = _put_back_by_others(history, injected, back, recovery)
    ttr = None if by_others else _between(back_at, recovery)
    start = history.first(Happened.START_CALLED, after=back.at) if back else None
    lost = _status(history, injected, ("recoverable", "terminal"))
    available = _status(history, back, ("accessible",)) if lost else None
    at_stake = _acknowledged_before(arrivals, seen)
    path = None
    if ttr is not None:
        path = "start-db-cluster" if start else "self-restart"
    summary = {
        "schema": SCHEMA,
        "experiment": facts.experiment,
        "target": settings.target,
        "lab": _lab(settings),
        "verdict": "failed",
        "reasons": [],
        "started": utc(facts.started),
        "ended": utc(facts.ended),
        "region": facts.region,
        "cluster": facts.cluster,
        "key": facts.key,
        "timeline": _timeline(
            history,
            fault_injected=injected.at if injected else None,
            impact=seen.impact if seen else None,
            inaccessible=lost.at if lost else None,
            put_back=back_at,
            start_called=start.at if start else None,
            available=available.at if available else None,
            recovery=recovery,
        ),
        "time_to_impact_seconds": _to_impact(seen, injected),
        "time_to_inaccessible_seconds": _since(injected, lost),
        "outage_seconds": _rounded(seen.seconds) if seen else None,
        "time_to_recovery_seconds": ttr,
        "time_to_available_seconds": _since(back, available),
        "recovery_path": path,
        "recovery": {
            "waited_seconds": _since(back, start) if start else ttr,
            "start_called_after_seconds": _since(back, start),
            "start_to_available_seconds": _since(start, available),
            # The status is looked at now and then: answers may come before it is seen.
            "available_to_first_answer_seconds": _not_negative(
                _between(available.at if available else None, recovery)
            ),
        },
        "hang": _hang(history, load, seen, back),
        "seed_rows": _seed_rows(history),
        "resolution_seconds": _rounded(seen.resolution_seconds) if seen else None,
        "error_bound_seconds": _rounded(seen.error_bound_seconds) if seen else None,
        "status_poll_seconds": settings.status_poll,
        "answered_between": seen.answered_between if seen else None,
        "operations": counts.count(arrivals),
        "latency_ms": {
            "before": asdict(latency.judge(arrivals, 0, injected.at if injected else END_OF_TIME)),
            "after": asdict(latency.judge(arrivals, recovery or END_OF_TIME, END_OF_TIME)),
        },
        "writes": {
            "acknowledged": kept.acknowledged,
            "present": kept.present,
            "lost": None if kept.lost is None else len(kept.lost),
            "unknown": kept.unknown,
        },
        "lost_writes": [list(row) for row in (kept.lost or ())],
        "objectives": [],
    }
    return Measured(
        summary,
        Figures(ttr, len(kept.lost) if kept.lost is not None and at_stake else None),
        (*by_others, *_unmeasured(facts, summary, seen, kept, injected, at_stake)),
    )


def _lab(settings: Settings) -> dict[str, Any] | None:
    """What the figures of a lab depend on."""
    if settings.target != "lab":
        return None
    faults = {"faults": list(settings.lab_faults)} if settings.lab_faults else {}
    tls = {"tls": True} if settings.lab_tls == "yes" else {}
    return {"speed": settings.lab_speed, "profile": settings.lab_profile, **tls, **faults}


def utc(instant: datetime) -> str:
    """`2026-11-23T10:00:00.000Z`."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03}Z"


def _outage(
    facts: Facts, history: History, load: str, arrivals: list[Operation], injected: Event | None
) -> Outage | None:
    if injected is None or not arrivals:
        return None
    return outage.judge(
        arrivals,
        rate=history.rates[load],
        fault_at=injected.at,
        window=facts.settings.steady_window,
        reconnect_spacing=facts.reconnect_spacing,
        stalls=history.witness(load, "stall"),
    )


def _unmeasured(
    facts: Facts,
    summary: dict[str, Any],
    seen: Outage | None,
    kept: Durability,
    injected: Event | None,
    at_stake: int,
) -> list[str]:
    """Why figures are missing, and why some cannot be trusted."""
    if injected is None:
        return ["no fault was injected"]
    missing = []
    if seen is None:
        missing.append("nothing was recorded of the load, so the outage is not known")
    elif seen.reason:
        missing.append(f"the outage could not be measured: {seen.reason}")
    elif seen.doubt:
        missing.append(seen.doubt)
    if facts.settings.load_writes == "none":
        missing.append("no writes were made (CHAOS_LOAD_WRITES=none), so none can be missed")
    elif kept.reason:
        missing.append(f"lost writes could not be counted: {kept.reason}")
    elif not at_stake:
        missing.append("no write was acknowledged before the impact, so none was at stake")
    if kept.unexpected:
        missing.append(
            f"{len(kept.unexpected)} rows are there that no client can have written: "
            "the figures cannot be trusted"
        )
    if summary["time_to_inaccessible_seconds"] is None:
        missing.append("the cluster was never seen to be inaccessible")
    for kind, hung in summary["hang"].items():
        if hung is None and seen is not None and seen.impact is not None:
            missing.append(f"whether {kind.replace('_', ' ')} hung is not known: none was tried")
    rows = summary["seed_rows"]
    if rows and rows["present"] is None:
        missing.append("the seeded rows could not be counted")
    return missing


def _acknowledged_before(arrivals: list[Operation], seen: Outage | None) -> int:
    """The writes that the outage could have lost."""
    if seen is None or seen.impact is None:
        return 0
    return sum(
        1
        for o in arrivals
        if o.kind == "write" and o.outcome == Outcome.OK and o.done <= seen.impact
    )


def _put_back_by_others(
    history: History, injected: Event | None, back: Event | None, recovery: int | None
) -> list[str]:
    """What tells that the key did not come back by this run; empty if nothing does."""
    if injected is None or back is None:
        return []
    if by := back.details.get("by"):
        return [f"the key was put back by `{by}`, not by this run"]
    seen_disabled = False
    for event in history.events:
        if event.name == Happened.STATUS and injected.at < event.at < back.at:
            enabled = event.details.get("key") == "Enabled"
            if enabled and seen_disabled:
                return ["the key was Enabled before this run put it back: somebody else did"]
            seen_disabled = seen_disabled or not enabled
    if recovery is not None and recovery < back.at:
        return ["the database answered again before this run put the key back"]
    return []


def _timeline(history: History, **instants: int | None) -> dict[str, str | None]:
    """When what happened, in UTC."""
    return {
        name: None if at is None else utc(history.anchor.utc(at)) for name, at in instants.items()
    }


def _hang(
    history: History, load: str, seen: Outage | None, back: Event | None
) -> dict[str, bool | None]:
    if seen is None or seen.impact is None:
        return {"open_sessions": None, "new_connections": None}
    when = {
        "impact": seen.impact,
        "slack": round(seen.error_bound_seconds * SECOND),
        "until": back.at if back else END_OF_TIME,
    }
    return {
        "open_sessions": hang.hung(history.witness(load, "session"), **when),
        "new_connections": hang.hung(history.witness(load, "connect"), **when),
    }


def _seed_rows(history: History) -> dict[str, Any] | None:
    told = history.first(Happened.SEED_ROWS)
    return dict(told.details) if told else None


def _status(history: History, since: Event | None, meanings: tuple[str, ...]) -> Event | None:
    """The first look after `since` that saw one of these."""
    if since is None:
        return None
    return next(
        (
            event
            for event in history.events
            if event.name == Happened.STATUS
            and event.at >= since.at
            and event.details.get("meaning") in meanings
        ),
        None,
    )


def _to_impact(seen: Outage | None, injected: Event | None) -> float | None:
    if seen is None or injected is None:
        return None
    found = _between(injected.at, seen.impact)
    return None if found is None else max(found, 0.0)


def _since(begin: Event | None, end: Event | None) -> float | None:
    return _between(begin.at if begin else None, end.at if end else None)


def _between(begin: int | None, end: int | None) -> float | None:
    if begin is None or end is None:
        return None
    return _rounded((end - begin) / SECOND)


def _not_negative(seconds: float | None) -> float | None:
    return None if seconds is None else max(seconds, 0.0)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
