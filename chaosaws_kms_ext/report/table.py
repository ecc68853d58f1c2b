"""The small table at the end of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

__all__ = ["table"]

UNKNOWN = "not measured"


def table(summary: dict[str, Any], folder: str) -> str:
    """The summary for a person."""
    rows = list(_rows(summary, folder))
    width = max(len(name) for name, _ in rows)
    rule = "─" * 72
    lines = [f"{name:<{width}}  {value}" for name, value in rows]
    return "\n".join([rule, *lines, rule])


def _rows(summary: dict[str, Any], folder: str) -> Iterator[tuple[str, str]]:
    yield "experiment", f"{summary['experiment']}, {_where(summary)}"
    if summary["timeline"]["fault_injected"]:
        yield "time to impact", _impact(summary)
        yield "outage", _bounded(summary, "outage_seconds")
        yield "time to recovery", _recovery(summary)
        yield "while it hung", _hang(summary["hang"])
    if replaced := summary["replacement"]:
        took = replaced["time_to_first_answer_seconds"]
        yield "time to replacement", _seconds(took, replaced["error_bound_seconds"])
    if any(summary["operations"].values()):
        yield "writes", _writes(summary["writes"])
    if summary["missed_arrivals"] is not None:
        yield "load main", _spared(summary)
    for name, load in summary["loads"].items():
        yield f"load {name}", f"{_spared(load)}; {_writes(load['writes'])}"
    for attempt in summary["contexts"] or ():
        context = "the same context" if attempt["same"] else "another context"
        done = "decrypted" if attempt["decrypted"] else "refused"
        yield "", f"{context}, {json.dumps(attempt['context'])}: {done}"
    if told := summary["audit"]:
        yield from _audit(told)
    if rows := summary["seed_rows"]:
        yield "seeded rows", f"{_or_unknown(rows['present'])} of {rows['expected']}"
    for objective in summary["objectives"]:
        yield f"objective {objective['name']}", _objective(objective)
    yield "verdict", summary["verdict"]
    for reason in summary["reasons"]:
        yield "", reason
    yield "files", folder


def _writes(writes: dict[str, Any]) -> str:
    lost = UNKNOWN if writes["lost"] is None else writes["lost"]
    return f"{writes['acknowledged']} acknowledged · {writes['unknown']} unknown · {lost} lost"


def _spared(load: dict[str, Any]) -> str:
    due = sum(load["operations"].values())
    return f"{_or_unknown(load['missed_arrivals'])} of {due} arrivals missed"


def _audit(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for what in ("disabled_by", "enabled_by"):
        by = told[what]
        yield what.replace("_", " "), f"{by['who']} at {by['when']}" if by else UNKNOWN
    yield "failed Decrypts", f"at least {told['failed_decrypts']}, by CloudTrail"


def _where(summary: dict[str, Any]) -> str:
    if lab := summary["lab"]:
        ordered = f", {len(lab['faults'])} fault(s) ordered" if "faults" in lab else ""
        shape = f"{lab['profile']}, speed {lab['speed']:g}{ordered}"
        return f"on the lab ({shape}): its times are its own"
    return f"on AWS, {summary['cluster'] or 'no cluster'} in {summary['region']}"


def _impact(summary: dict[str, Any]) -> str:
    impact = _bounded(summary, "time_to_impact_seconds")
    status = summary["time_to_inaccessible_seconds"]
    return impact if status is None else f"{impact}; status inaccessible after {status:.1f} s"


def _recovery(summary: dict[str, Any]) -> str:
    found = _bounded(summary, "time_to_recovery_seconds")
    paths = {"self-restart": "by itself", "start-db-cluster": "by StartDBCluster"}
    path = paths.get(summary["recovery_path"])
    return f"{found}, {path}" if path else found


def _hang(hang: dict[str, bool | None]) -> str:
    words = {True: "hung", False: "did not hang", None: UNKNOWN}
    return (
        f"open session {words[hang['open_sessions']]} · "
        f"new connections {words[hang['new_connections']]}"
    )


def _objective(objective: dict[str, Any]) -> str:
    met = {True: "met", False: "MISSED", None: "could not be judged"}[objective["met"]]
    if "limit_seconds" in objective:
        limit = f"{objective['limit_seconds']:g} s"
        if objective["limit_seconds"] != objective["limit_aws_seconds"]:
            limit += f" ({objective['limit_aws_seconds']:g} AWS seconds)"
        return f"{met}: {_seconds(objective['measured_seconds'], None)} of {limit}"
    return f"{met}: {_or_unknown(objective['measured'])} of {objective['limit']}"


def _bounded(summary: dict[str, Any], figure: str) -> str:
    return _seconds(summary[figure], summary["bounds"].get(figure))


def _seconds(value: float | None, bound: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.2f} s" + (f" ± {bound:.2f}" if bound is not None else "")


def _or_unknown(value: Any) -> str:
    return UNKNOWN if value is None else str(value)
