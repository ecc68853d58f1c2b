"""The tables of the page: what summary.json has, in rows for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaosaws_kms_ext.report.table import objective_in_words

__all__ = ["Section", "sections"]


@dataclass(frozen=True)
class Section:
    """A table with a heading; the first row of `rows` follows `head`."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]] = field(default_factory=list)
    note: str = ""


WINDOW = ("load", "begin", "end", "seconds", "depth")


def sections(
    summary: Mapping[str, Any],
    rows: Sequence[tuple[str, str]],
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
        Section("When each thing happened (UTC)", ("what", "when"), list(_times(summary))),
        Section("Steps", ("step", "status", "seconds"), list(_steps(journal))),
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


def _times(summary: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for name, when in (summary.get("timeline") or {}).items():
        if when:
            yield name.replace("_", " "), when


def _steps(journal: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for each in [*(journal.get("run") or []), *(journal.get("rollbacks") or [])]:
        name = str(each.get("activity", {}).get("name", ""))
        yield name, str(each.get("status", "")), _number(each.get("duration"))


def _conditions(conditions: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    yield "run", str(conditions["run"])
    for name, value in conditions["versions"].items():
        yield f"version of {name}", str(value)
    for name, value in conditions["settings"].items():
        if value not in ("", [], ()):
            yield f"CHAOS_{name.upper()}", str(value)


def _number(value: Any) -> str:
    return "" if value is None else f"{value:g}"
