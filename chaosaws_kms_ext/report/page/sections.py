"""The tables of the page: what summary.json and the records have, in rows for a person."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.report.page.records import calls, guard_found, safeguards, targets
from chaosaws_kms_ext.report.page.section import Section
from chaosaws_kms_ext.report.table import objective_in_words

__all__ = ["sections"]

DEPENDENTS = (
    "what", "tried", "first failure, s after the fault", "error", "back, s after the key", "remark",
)  # fmt: skip

WINDOW = ("load", "begin", "end", "seconds", "depth")

SHOWN, LONGEST = 20, 400
"""Lost writes that are named, and letters of what a step returned."""


def sections(
    summary: Mapping[str, Any],
    rows: Sequence[tuple[str, str]],
    history: History,
    journal: Mapping[str, Any],
    conditions: Mapping[str, Any],
) -> list[Section]:
    """Those that have something to say."""
    found = [
        Section("Figures", ("what", "found"), [row for row in rows if row[0]]),
        Section("Objectives", ("objective", "met?"), list(_objectives(summary))),
        Section(
            "How exact the figures are",
            ("figure", "seconds", "at most off by"),
            list(_exact(summary)),
            "A bound is made from what was recorded: the distance of arrivals, of looks at AWS, "
            "and of attempts to connect.",
        ),
        Section("Outage windows", WINDOW, list(_windows(summary))),
        Section("What the client saw", ("load", "phase", "seen"), list(_saw(summary))),
        Section("Data", ("load", "what", "found"), list(_data(summary))),
        Section(
            "Time to know",
            ("who could know", "seconds after the fault", "at most off by", "how"),
            list(_time_to_know(summary)),
        ),
        Section(
            "What else is under the key",
            DEPENDENTS,
            list(_dependents(summary)),
            "Each second one small call of what carries the opt-in tag, and nothing of what does "
            "not.",
        ),
        Section("When each thing happened (UTC)", ("what", "when"), list(_times(summary))),
        targets(history),
        guard_found(history),
        safeguards(history),
        Section("Steps", ("step", "status", "seconds", "returned"), list(_steps(journal))),
        calls(history),
        Section("Conditions", ("what", "value"), list(_conditions(conditions))),
    ]
    return [each for each in found if each.rows]


def _objectives(summary: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for each in summary["objectives"]:
        yield each["name"], objective_in_words(each)


def _loads(summary: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "main", summary
    yield from (summary.get("loads") or {}).items()


def _exact(summary: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    bounds = summary.get("bounds") or {}
    known = {**summary, **(summary.get("recovery") or {})}
    for name, bound in bounds.items():
        if known.get(name) is not None:
            yield name.removesuffix("_seconds").replace("_", " "), f"{known[name]:g}", f"{bound:g}"


def _windows(summary: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for load, its in _loads(summary):
        for each in its.get("windows") or []:
            yield (
                load, each["begin"], each["end"] or "not over", _number(each["seconds"]),
                f"{each['depth']:.0%}",
            )  # fmt: skip


def _saw(summary: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for load, its in _loads(summary):
        for phase, seen in (its.get("client_saw") or {}).items():
            yield load, phase, ", ".join(f"{number} {what}" for what, number in seen.items())


def _data(summary: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for load, its in _loads(summary):
        for what in ("writes", "integrity", "register_reads"):
            for name, found in (its.get(what) or {}).items():
                shown = "not measured" if found is None else str(found)
                yield load, f"{what.replace('_', ' ')}: {name.replace('_', ' ')}", shown
        for kind in ("lost_writes", "changed_writes", "duplicated_writes", "reordered_writes"):
            if named := its.get(kind):
                more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
                shown = "; ".join(_write(each) for each in named[:SHOWN])
                yield load, kind.replace("_", " "), f"{shown}{more}"


def _write(named: Any) -> str:
    if isinstance(named, Mapping):
        return " ".join(f"{name} {value}" for name, value in named.items())
    return " ".join(map(str, named)) if isinstance(named, list | tuple) else str(named)


def _time_to_know(summary: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for source, found in (summary.get("time_to_know") or {}).items():
        if not found:
            yield source.replace("_", " "), "never", "", ""
            continue
        how = ", ".join(str(v) for k, v in found.items() if k not in ("seconds", "bound"))
        yield source.replace("_", " "), _number(found["seconds"]), _number(found["bound"]), how


def _dependents(summary: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for each in summary.get("dependents") or []:
        yield (
            f"{each['kind']} {each['name']}", each["canary"] or "no",
            _off_by(each["first_failure_seconds"], each["first_failure_bound"]),
            each["error"] or "", _off_by(each["back_seconds"], each["back_bound"]),
            each["why"] or "",
        )  # fmt: skip
    for name, why in (summary.get("dependents_unknown") or {}).items():
        yield name, "not known", "", "", "", why


def _off_by(seconds: float | None, bound: float | None) -> str:
    return "" if seconds is None else f"{seconds:g} ± {bound:g}"


def _times(summary: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for name, when in (summary.get("timeline") or {}).items():
        if when:
            yield name.replace("_", " "), when


def _steps(journal: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for each in [*(journal.get("run") or []), *(journal.get("rollbacks") or [])]:
        name = str(each.get("activity", {}).get("name", ""))
        output = each.get("output")
        returned = "" if output is None else json.dumps(output, ensure_ascii=False)
        if len(returned) > LONGEST:
            returned = f"{returned[:LONGEST]}…"
        yield name, str(each.get("status", "")), _number(each.get("duration")), returned


def _conditions(conditions: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    yield "run", str(conditions["run"])
    for name, value in conditions["versions"].items():
        yield f"version of {name}", str(value)
    for name, value in conditions["settings"].items():
        if value not in ("", [], ()):
            yield f"CHAOS_{name.upper()}", str(value)


def _number(value: Any) -> str:
    return "" if value is None else f"{value:g}"
