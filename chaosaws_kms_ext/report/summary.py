"""The figures of a run: the checkers' results on its history, as summary.json has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from chaosaws_kms_ext.checkers import counts, durability, exactness, hang, latency, missed, outage
from chaosaws_kms_ext.checkers.durability import Durability
from chaosaws_kms_ext.checkers.exactness import Durations, Instant
from chaosaws_kms_ext.checkers.missed import Missed
from chaosaws_kms_ext.checkers.outage import Outage
from chaosaws_kms_ext.history import SECOND, Event, History, Operation, Outcome
from chaosaws_kms_ext.report.objectives import Figures
from chaosaws_kms_ext.run import Happened
from chaosaws_kms_ext.settings import Settings

__all__ = ["Facts", "Measured", "measure", "utc"]

SCHEMA = 1

MAIN = "main"
"""The load whose figures are the run's."""
END_OF_TIME = 2**63


@dataclass(frozen=True)
class Facts:
    """What is known of a run without judging anything."""

    experiment: str
    settings: Settings
    started: datetime
    ended: datetime
    region: str
    cluster: str | None
    key: str | None
    """None: the run was about no cluster."""
    outage: bool
    """Whether the key of the cluster was to be taken away, so that the load `main` suffers."""
    reconnect_spacing: Mapping[str, float]
    """Load → seconds."""


@dataclass(frozen=True)
class Measured:
    """The figures, and what could not be had."""

    summary: dict[str, Any]
    figures: Figures
    unmeasured: tuple[str, ...]
    causes: tuple[str, ...]
    """What went wrong with the loads themselves: it explains what else is missing."""
    broken: tuple[str, ...]
    """Limits that the run itself did not keep."""


def measure(facts: Facts, history: History) -> Measured:
    """Everything that is measured of a run: of its load `main`, of its others, and besides."""
    main = _load(facts, history, MAIN, facts.outage)
    names = _names(facts, history)
    others = {name: _load(facts, history, name, False) for name in names - {MAIN}}
    injected = history.first(Happened.INJECTED)
    replaced = Durations(facts.settings.status_poll)
    summary = {
        "schema": SCHEMA,
        "experiment": facts.experiment,
        "target": facts.settings.target,
        "lab": _lab(facts.settings),
        "verdict": "failed",
        "reasons": [],
        "started": utc(facts.started),
        "ended": utc(facts.ended),
        "region": facts.region,
        "cluster": facts.cluster,
        "key": facts.key,
        **main.figures,
        "loads": {name: other.figures for name, other in sorted(others.items())},
        "seed_rows": _seed_rows(history),
        "replacement": _replacement(history, replaced),
        "contexts": _contexts(history),
        "audit": _audit(history),
        "status_poll_seconds": facts.settings.status_poll,
        "objectives": [],
    }
    loads = [*others.values(), *([main] if facts.outage or MAIN in names else [])]
    spared = [*others.values(), *([] if facts.outage or MAIN not in names else [main])]
    replacement = summary["replacement"]
    figures = Figures(
        time_to_recovery=main.figures["time_to_recovery_seconds"],
        lost_writes=_sum([load.lost for load in loads]),
        missed_arrivals=_sum([load.figures["missed_arrivals"] for load in spared]),
        time_to_replacement=replacement and replacement["time_to_first_answer_seconds"],
        wrong_contexts=_wrong_contexts(summary["contexts"]),
        misattributed_calls=_misattributed(history, summary["audit"]),
    )
    unmeasured = [*main.unmeasured, *(why for other in others.values() for why in other.unmeasured)]
    if facts.outage and injected is None:
        unmeasured = ["no fault was injected"]
    unmeasured += replaced.doubts
    rows = summary["seed_rows"]
    if rows and rows["present"] is None:
        unmeasured.append("the seeded rows could not be counted")
    unmeasured += (summary["audit"] or {}).get("unknown", [])
    causes = [*main.causes, *(why for other in others.values() for why in other.causes)]
    broken = _broken_limit(facts.settings, main.figures["key_unusable_seconds"])
    return Measured(summary, figures, tuple(unmeasured), tuple(causes), tuple(broken))


def _broken_limit(settings: Settings, seconds: float | None) -> list[str]:
    limit = settings.longest_key_unusable
    if seconds is None or seconds <= limit:
        return []
    return [
        f"the key was unusable for {seconds:.1f} s, longer than CHAOS_MAX_KEY_UNUSABLE={limit:g}"
    ]


@dataclass(frozen=True)
class _Load:
    """What was measured of one load."""

    figures: dict[str, Any]
    lost: int | None
    unmeasured: list[str]
    causes: list[str]


def _names(facts: Facts, history: History) -> set[str]:
    """The loads: those that were recorded, and those that should have been."""
    return {*history.rates, *facts.reconnect_spacing}


def _load(facts: Facts, history: History, load: str, suffers: bool) -> _Load:
    """`suffers`: whether an outage is to be measured, or else that there is none."""
    injected = history.first(Happened.INJECTED) if suffers else None
    back = history.first(Happened.PUT_BACK) if suffers else None
    arrivals = history.arrivals(load)
    seen = _outage(facts, history, load, arrivals, injected)
    kept = durability.judge(arrivals, history.rows.get(load))
    spared = None if suffers else _missed(facts, history, load, arrivals)
    back_at = back.at if back else None
    recovery = seen.recovery if seen else None
    by_others = _put_back_by_others(history, injected, back, recovery)
    start = history.first(Happened.START_CALLED, after=back.at) if back else None
    lost = _status(history, injected, ("recoverable", "terminal"))
    available = _status(history, back, ("accessible",)) if lost else None
    at_stake = _acknowledged_before(arrivals, seen) if suffers else kept.acknowledged
    durations = Durations(facts.settings.status_poll)
    times = _times(durations, seen, injected, lost, None if by_others else back, start, available)
    path = None
    if times["time_to_recovery_seconds"] is not None:
        path = "start-db-cluster" if start else "self-restart"
    figures = {
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
        **times,
        "recovery_path": path,
        "hang": _hang(history, load, seen, back),
        "bounds": durations.bounds,
        "resolution_seconds": _rounded(seen.resolution_seconds) if seen else None,
        "error_bound_seconds": _rounded(seen.error_bound_seconds) if seen else None,
        "answered_between": seen.answered_between if seen else None,
        "missed_arrivals": spared.count if spared else None,
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
    }
    causes = _ended_by_itself(history, load)
    unmeasured = [*by_others]
    if load in _names(facts, history) or suffers:
        if suffers and not (causes and recovery is None):  # else nobody knows what it missed
            unmeasured += _unmeasured_outage(figures, seen, lost)
        unmeasured += durations.doubts
        unmeasured += [spared.doubt] if spared and spared.doubt else []
        unmeasured += _unmeasured_writes(facts, kept, at_stake)
        if load != MAIN:
            unmeasured = [f"of the load {load}: {why}" for why in unmeasured]
    judged = kept.lost is not None and at_stake
    return _Load(figures, len(kept.lost or ()) if judged else None, unmeasured, causes)


def _times(
    durations: Durations,
    seen: Outage | None,
    injected: Event | None,
    lost: Event | None,
    back: Event | None,
    start: Event | None,
    available: Event | None,
) -> dict[str, Any]:
    """How long everything took. `back` is None where the key was put back by others."""
    off = seen.error_bound_seconds if seen else 0.0
    impact: Instant | None = (seen.impact, off) if seen and seen.impact is not None else None
    first: Instant | None = (seen.recovery, off) if seen and seen.recovery is not None else None
    at = exactness.of
    between = durations.between
    recovered = between("time_to_recovery_seconds", at(back), first)
    started = between("start_called_after_seconds", at(back), at(start))
    return {
        "time_to_impact_seconds": _not_negative(
            between("time_to_impact_seconds", at(injected), impact)
        ),
        "time_to_inaccessible_seconds": between(
            "time_to_inaccessible_seconds", at(injected), at(lost)
        ),
        "key_unusable_seconds": between("key_unusable_seconds", at(injected), at(back)),
        "outage_seconds": durations.keep(
            "outage_seconds", _rounded(seen.seconds) if seen else None, off
        ),
        "time_to_recovery_seconds": recovered,
        "time_to_available_seconds": between("time_to_available_seconds", at(back), at(available)),
        "recovery": {
            "waited_seconds": started if start else recovered,
            "start_called_after_seconds": started,
            "start_to_available_seconds": between(
                "start_to_available_seconds", at(start), at(available)
            ),
            # The status is looked at now and then: answers may come before it is seen.
            "available_to_first_answer_seconds": _not_negative(
                between("available_to_first_answer_seconds", at(available), first)
            ),
        },
    }


def _ended_by_itself(history: History, load: str) -> list[str]:
    """Why a load ended before it was stopped, in a sentence; none if it did not."""
    stopped = history.first(Happened.LOAD_STOPPED, load=load)
    if stopped is None or stopped.details.get("ran", True):
        return []
    which = "load" if load == MAIN else f"load {load}"
    return [f"the {which} ended by itself, so nothing after that was recorded: "
            f"{stopped.details.get('why') or 'it said nothing'}"]  # fmt: skip


def _missed(facts: Facts, history: History, load: str, arrivals: list[Operation]) -> Missed | None:
    """None: it was never steady, or nothing was recorded of it."""
    begin = history.first(Happened.LOAD_STEADY, load=load)
    end = history.first(Happened.LOAD_STOPPED, load=load)
    if begin is None or end is None or load not in history.rates:
        return None
    return missed.judge(
        arrivals,
        history.witness(load, "stall"),
        begin.at,
        end.at,
        rate=history.rates[load],
        deadline=facts.settings.query_deadline,
    )


def _replacement(history: History, durations: Durations) -> dict[str, Any] | None:
    """How long it took until something restored from a snapshot answered for the first time."""
    restored = {e.details["cluster"] for e in history.events if e.name == Happened.RESTORE_ORDERED}
    answers = [e for e in history.events if e.name == Happened.FIRST_ANSWER]
    answer = next((e for e in answers if e.details["cluster"] in restored), None)
    if answer is None:
        return None
    cluster = answer.details["cluster"]
    ordered = exactness.of(history.first(Happened.RESTORE_ORDERED, cluster=cluster))
    available = exactness.of(history.first(Happened.RESTORED, cluster=cluster))
    between = durations.between
    first = "time_to_first_answer_seconds"
    return {
        "cluster": cluster,
        "time_to_available_seconds": between("time_to_available_seconds", ordered, available),
        first: between(first, ordered, exactness.of(answer)),
        "error_bound_seconds": durations.bounds[first],
    }


def _contexts(history: History) -> list[dict[str, Any]] | None:
    """Each attempt to decrypt: with which context, whether that was the one, what came of it."""
    sealed = {e.details["digest"]: e.details["context"] for e in history.events
              if e.name == Happened.SEALED}  # fmt: skip
    if not sealed:
        return None
    return [
        {
            "context": event.details["context"],
            "same": event.details["context"] == sealed.get(event.details["digest"]),
            "decrypted": event.details["decrypted"],
        }
        for event in history.events
        if event.name == Happened.DECRYPTED
    ]


def _wrong_contexts(attempts: list[dict[str, Any]] | None) -> int | None:
    """None: not both were tried, the same context and another."""
    if {each["same"] for each in attempts or ()} != {True, False}:
        return None
    return sum(bool(each["same"] != each["decrypted"]) for each in attempts or ())


def _audit(history: History) -> dict[str, Any] | None:
    told = history.first(Happened.AUDIT)
    return dict(told.details) if told else None


def _misattributed(history: History, audit: dict[str, Any] | None) -> int | None:
    ready = history.first(Happened.READY)
    if not audit or not ready or not audit["disabled_by"] or not audit["enabled_by"]:
        return None
    by = (audit["disabled_by"]["who"], audit["enabled_by"]["who"])
    return sum(bool(who != ready.details["caller"]) for who in by)


def _sum(counts: list[int | None]) -> int | None:
    """None: there is none, or one is not known."""
    known = [each for each in counts if each is not None]
    return sum(known) if known and len(known) == len(counts) else None


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
        reconnect_spacing=facts.reconnect_spacing[load],
        stalls=history.witness(load, "stall"),
    )


def _unmeasured_outage(
    figures: dict[str, Any], seen: Outage | None, lost: Event | None
) -> list[str]:
    """Why figures of the outage are missing, and why some cannot be trusted."""
    missing = []
    if seen is None:
        missing.append("nothing was recorded of the load, so the outage is not known")
    elif seen.reason:
        missing.append(f"the outage could not be measured: {seen.reason}")
    elif seen.doubt:
        missing.append(seen.doubt)
    if lost is None:
        missing.append("the cluster was never seen to be inaccessible")
    for kind, hung in figures["hang"].items():
        if hung is None and seen is not None and seen.impact is not None:
            missing.append(f"whether {kind.replace('_', ' ')} hung is not known: none was tried")
    return missing


def _unmeasured_writes(facts: Facts, kept: Durability, at_stake: int | None) -> list[str]:
    missing = []
    if facts.settings.load_writes == "none":
        missing.append("no writes were made (CHAOS_LOAD_WRITES=none), so none can be missed")
    elif kept.reason:
        missing.append(f"lost writes could not be counted: {kept.reason}")
    elif at_stake == 0:
        missing.append("no write was acknowledged before the impact, so none was at stake")
    if kept.unexpected:
        missing.append(
            f"{len(kept.unexpected)} rows are there that no client can have written: "
            "the figures cannot be trusted"
        )
    return missing


def _acknowledged_before(arrivals: list[Operation], seen: Outage | None) -> int | None:
    """The writes that the outage could have lost; None: when it began is not known."""
    if seen is None or seen.impact is None:
        return None
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


def _not_negative(seconds: float | None) -> float | None:
    return None if seconds is None else max(seconds, 0.0)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
