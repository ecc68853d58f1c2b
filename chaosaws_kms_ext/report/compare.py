"""What changed from one run to another, and whether that is more than the error bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaosaws_kms_ext.report.figures import Number, exact, lost_writes, number_at
from chaosaws_kms_ext.text import shortened

__all__ = ["Comparison", "Row", "compare"]

Summary = Mapping[str, Any]

NAME = 60
"""Characters of what others have named."""

BOUNDED = (
    ("time_to_impact_seconds", "time to impact"),
    ("time_to_inaccessible_seconds", "status inaccessible after"),
    ("outage_seconds", "outage"),
    ("key_unusable_seconds", "key unusable"),
    ("time_to_recovery_seconds", "time to recovery"),
    ("time_to_available_seconds", "status available after"),
)
"""Durations whose bound stands in `bounds`."""

KNOWN_BY = (
    ("status", "known by status"),
    ("rds_event", "known by RDS event"),
    ("alarm", "known by alarm"),
    ("health_check", "known by health check"),
)
"""In `time_to_know`, each with its own bound."""

UNBOUNDED = (
    (("availability",), "availability", ""),
    (("lost_service_seconds",), "service lost", "s"),
    (("degraded_seconds",), "answers late for", "s"),
    (("connections", "longest_wait_seconds"), "longest wait to connect", "s"),
    (("latency_ms", "before", "p99"), "p99 before", "ms"),
    (("latency_ms", "after", "p99"), "p99 after", "ms"),
)
"""Figures of which no bound is known: they are told, and decide nothing."""

COUNTS = (
    (("integrity", "changed"), "changed writes"),
    (("integrity", "duplicated"), "duplicated writes"),
    (("integrity", "reordered"), "reordered writes"),
    (("missed_arrivals",), "missed arrivals"),
)
"""Exact: any difference is one."""

WORDS = (
    (("recovery_path",), "recovery path"),
    (("hang", "open_sessions"), "open session hung"),
    (("hang", "new_connections"), "new connections hung"),
)
"""What both runs saw, also where their figures cannot be compared."""

MUST_AGREE = ("experiment", "target")
MUST_AGREE_ON_THE_LAB = ("speed", "profile")
"""What two runs must have in common to be compared in figures."""


@dataclass(frozen=True)
class Row:
    """What was compared, what it was in either run, and what that means."""

    what: str
    a: str
    b: str
    meaning: str
    differs: bool = False
    """By more than can be an error."""


@dataclass(frozen=True)
class Comparison:
    """Of two runs."""

    differ_in: Sequence[str]
    """Why they cannot be compared in figures, each in words; empty: they can."""
    notes: Sequence[str]
    """What else was not the same, each in words."""
    rows: Sequence[Row]

    @property
    def comparable(self) -> bool:
        """Whether the rows have figures."""
        return not self.differ_in

    @property
    def differs(self) -> bool:
        """Whether anything changed by more than can be an error."""
        return any(row.differs for row in self.rows)


def compare(a: Summary, b: Summary, settings: tuple[Summary, Summary] = ({}, {})) -> Comparison:
    """Two runs by their summaries; `settings`: of either, as far as they are known."""
    differ_in = list(_differ_in(a, b))
    rows = [_verdict(a, b), *_objectives(a, b), *_words(a, b)]
    if not differ_in:
        rows += [*_bounded(a, b), *_counts(a, b), *_unbounded(a, b)]
    return Comparison(differ_in, list(_notes(a, b, *settings)), rows)


def _differ_in(a: Summary, b: Summary) -> Iterator[str]:
    for name in MUST_AGREE:
        if a[name] != b[name]:
            yield f"{name} ({_text(a[name])} and {_text(b[name])})"
    if a["lab"] and b["lab"]:
        for name in MUST_AGREE_ON_THE_LAB:
            first, second = a["lab"][name], b["lab"][name]
            if first != second:
                yield f"lab {name} ({_text(first)} and {_text(second)})"


def _notes(a: Summary, b: Summary, of_a: Summary, of_b: Summary) -> Iterator[str]:
    for name in ("region", "cluster"):
        if a.get(name) != b.get(name):
            yield f"{name}: {_text(a.get(name))} and {_text(b.get(name))}"
    for name in ("tls", "faults"):
        first, second = ((its["lab"] or {}).get(name) for its in (a, b))
        if first != second:
            what = "misbehaviours of the lab" if name == "faults" else "the lab's TLS"
            yield f"{what}: {_text(first)} and {_text(second)}"
    of_places = {
        "target", "cluster_id", "instance_id", "lab_speed", "lab_profile", "lab_tls", "lab_faults"
    }  # fmt: skip
    for name in sorted((set(of_a) & set(of_b)) - of_places):
        if of_a[name] != of_b[name]:
            yield f"CHAOS_{name.upper()}: {_text(of_a[name])} and {_text(of_b[name])}"


def _verdict(a: Summary, b: Summary) -> Row:
    first, second = _text(a["verdict"]), _text(b["verdict"])
    same = a["verdict"] == b["verdict"]
    return Row("verdict", first, second, "the same" if same else "changed", not same)


def _objectives(a: Summary, b: Summary) -> Iterator[Row]:
    met = {True: "met", False: "missed", None: "not judged"}
    first = {each["name"]: met[each.get("met")] for each in a["objectives"]}
    second = {each["name"]: met[each.get("met")] for each in b["objectives"]}
    for name in {**first, **second}:
        was, now = first.get(name, "not asked"), second.get(name, "not asked")
        both = name in first and name in second
        if was != now:
            meaning = "changed" if both else "asked of one of them only"
            yield Row(f"objective {_text(name)}", was, now, meaning, both)


def _words(a: Summary, b: Summary) -> Iterator[Row]:
    for path, what in WORDS:
        first, second = _found(a, path), _found(b, path)
        if first != second and isinstance(first, str | bool) and isinstance(second, str | bool):
            yield Row(what, _said(first), _said(second), "changed", True)


def _bounded(a: Summary, b: Summary) -> Iterator[Row]:
    for name, what in BOUNDED:
        bounds = [number_at(its, "bounds", name) for its in (a, b)]
        yield from _duration(what, number_at(a, name), number_at(b, name), *bounds)
    for name, what in KNOWN_BY:
        seen = [number_at(its, "time_to_know", name, "seconds") for its in (a, b)]
        bounds = [number_at(its, "time_to_know", name, "bound") for its in (a, b)]
        yield from _duration(what, *seen, *bounds)


def _duration(
    what: str, a: Number | None, b: Number | None, of_a: Number | None, of_b: Number | None
) -> Iterator[Row]:
    if a is None and b is None:
        return
    first, second = _shown(a, "s", of_a), _shown(b, "s", of_b)
    if a is None or b is None:
        yield Row(what, first, second, "measured in one of them only")
        return
    change = f"{_change(a, b)} s {'longer' if b > a else 'shorter'}"
    if of_a is None or of_b is None:
        yield Row(what, first, second, f"{change}; no bound is known" if a != b else "the same")
        return
    bound = round(of_a + of_b, 6)
    together = f"{exact(bound)} s together"
    if round(abs(b - a), 6) > bound:
        meaning = f"{change}: more than the bounds ({together})"
        yield Row(what, first, second, meaning, True)
    else:
        yield Row(what, first, second, f"within the bounds ({together})")


def _counts(a: Summary, b: Summary) -> Iterator[Row]:
    counts = [(what, number_at(a, *path), number_at(b, *path)) for path, what in COUNTS]
    for what, first, second in [("lost writes", lost_writes(a), lost_writes(b)), *counts]:
        if first is None and second is None:
            continue
        known = first is not None and second is not None
        meaning = "the same" if first == second else "changed"
        if not known:
            meaning = "measured in one of them only"
        yield Row(what, _shown(first), _shown(second), meaning, known and first != second)


def _unbounded(a: Summary, b: Summary) -> Iterator[Row]:
    for path, what, unit in UNBOUNDED:
        first, second = number_at(a, *path), number_at(b, *path)
        if first is None and second is None:
            continue
        meaning = "the same"
        if first is None or second is None:
            meaning = "measured in one of them only"
        elif first != second:
            more = "more" if second > first else "less"
            unit_of = f" {unit}" if unit else ""
            meaning = f"{_change(first, second)}{unit_of} {more}; no bound is known"
        yield Row(what, _shown(first, unit), _shown(second, unit), meaning)


def _change(a: Number, b: Number) -> str:
    return exact(round(abs(b - a), 6))


def _shown(value: Number | None, unit: str = "", bound: Number | None = None) -> str:
    if value is None:
        return "not measured"
    said = f"{exact(value)} {unit}".rstrip()
    return said if bound is None else f"{said} ± {exact(bound)}"


def _found(summary: Summary, path: Sequence[str]) -> Any:
    found: Any = summary
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _said(value: str | bool) -> str:
    return _text(value) if isinstance(value, str) else "yes" if value else "no"


def _text(value: Any) -> str:
    if value in (None, "", [], ()):
        return "none"
    return f"{value:g}" if isinstance(value, float) else shortened(str(value), NAME)
