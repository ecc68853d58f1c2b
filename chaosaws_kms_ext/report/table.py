"""The small table at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.box import HORIZONTALS
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaosaws_kms_ext.checkers.exactness import in_words
from chaosaws_kms_ext.report.summary import Judgement
from chaosaws_kms_ext.text import shortened

__all__ = ["objective_in_words", "show", "table", "where_in_words"]

COLOURS = {"passed": "bold green", "failed": "bold red"}
"""Of a verdict; of all others yellow."""


def show(judgement: Judgement, folder: str, console: Console | None = None) -> None:
    """Prints the judgement: on a terminal as wide as that is, elsewhere as plain lines."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        print(table(judgement, folder), file=console.file, flush=True)
        return
    shown = Table(box=HORIZONTALS, show_header=False, padding=(0, 1))
    shown.add_column(no_wrap=True, style="dim")
    shown.add_column(overflow="fold")
    colour = COLOURS.get(judgement.verdict.word, "bold yellow")
    for name, value in _rows(judgement, folder):
        shown.add_row(name, Text(value, colour if name == "verdict" else ""))
    console.print(shown)


def table(judgement: Judgement, folder: str) -> str:
    """The judgement for a person."""
    rows = list(_rows(judgement, folder))
    width = max(len(name) for name, _ in rows)
    rule = "─" * 72
    lines = [f"{name:<{width}}  {value}" for name, value in rows]
    return "\n".join([rule, *lines, rule])


def _rows(judgement: Judgement, folder: str) -> Iterator[tuple[str, str]]:
    """Rows of text, whatever others called things."""
    for name, value in _told(judgement, folder):
        yield shortened(name), shortened(value)


def _told(judgement: Judgement, folder: str) -> Iterator[tuple[str, str]]:
    summary = judgement.summary
    yield "experiment", f"{summary['experiment']}, {where_in_words(summary)}"
    yield from judgement.rows
    for objective in summary["objectives"]:
        yield f"objective {objective['name']}", objective_in_words(objective)
    yield "verdict", judgement.verdict.word
    for reason in judgement.verdict.reasons:
        yield "", reason
    yield "files", folder


def where_in_words(summary: Mapping[str, Any]) -> str:
    """Where the run was: nobody is to take a lab's times for AWS'."""
    if lab := summary["lab"]:
        ordered = f", misbehaviours ordered: {len(lab['faults'])}" if "faults" in lab else ""
        shape = f"{lab['profile']}, speed {lab['speed']:g}{ordered}"
        return f"on the lab ({shape}): its times are the lab's, not AWS'"
    return f"on AWS, {summary['cluster'] or 'no cluster'} in {summary['region']}"


def objective_in_words(objective: Mapping[str, Any]) -> str:
    """Whether it was met, what was measured, and the limit."""
    met = {True: "met", False: "MISSED", None: "could not be judged"}[objective["met"]]
    if "limit_seconds" in objective:
        limit = f"{objective['limit_seconds']:g} s"
        if objective["limit_seconds"] != objective["limit_aws_seconds"]:
            limit += f" ({objective['limit_aws_seconds']:g} AWS seconds)"
        late = objective.get("not_within_seconds")
        found = in_words(objective["measured_seconds"] if late is None else late)
        return f"{met}: {'' if late is None else 'not within '}{found}, limit {limit}"
    measured = objective["measured"]
    shown = "not measured" if measured is None else measured
    least = "at least " if objective.get("sense") == "at least" else ""
    return f"{met}: {shown}, limit {least}{objective['limit']}"
