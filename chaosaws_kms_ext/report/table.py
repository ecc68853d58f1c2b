"""What a person sees at the end of a run: the table of its figures, and its timeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import HORIZONTALS
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaosaws_kms_ext.checkers.exactness import in_words
from chaosaws_kms_ext.history import Conditions
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.report.run_files import PAGE
from chaosaws_kms_ext.report.summary import Judgement
from chaosaws_kms_ext.report.terminal import PLAIN, timeline, timeline_of
from chaosaws_kms_ext.report.verdict import of_loads
from chaosaws_kms_ext.text import shortened

__all__ = [
    "COLOURS",
    "objective_in_words",
    "print_plain",
    "show",
    "table",
    "where_in_words",
]

COLOURS = {"passed": "bold green", "failed": "bold red"}
"""Of a verdict; of all others yellow."""

LONGEST_NAME = 60
"""Characters of a row's name."""


def show(
    judgement: Judgement,
    folder: str,
    history: History,
    conditions: Conditions,
    console: Console | None = None,
) -> None:
    """Prints the judgement and the timeline: on a terminal as wide as that is, elsewhere as plain
    lines."""
    console = console or Console(highlight=False)
    width = console.width if console.is_terminal else PLAIN
    ascii_only = not console.encoding.startswith("utf")
    lines = _timeline(history, conditions, width, ascii_only)
    if not console.is_terminal:
        plain = [table(judgement, folder), *(line.plain.rstrip() for line in lines)]
        print_plain("\n".join(plain), console)
        return
    shown = Table(box=HORIZONTALS, show_header=False, padding=(0, 1), safe_box=True)
    shown.add_column(no_wrap=True, style="dim")
    shown.add_column(overflow="fold")
    colour = COLOURS.get(judgement.verdict.word, "bold yellow")
    for name, value in _rows(judgement, folder):
        shown.add_row(name, Text(value, colour if name == "verdict" else ""))
    console.print(shown)
    for line in lines:
        console.print(line)


def _timeline(
    history: History, conditions: Conditions, width: int, ascii_only: bool
) -> Sequence[Text]:
    """Its lines; one that cannot be drawn changes no verdict."""
    try:
        drawing = timeline_of(history, conditions, width)
        return timeline(drawing, width, ascii_only) if drawing else ()
    except Exception as problem:
        return (Text(f"the timeline could not be drawn: {shortened(repr(problem), 200)}"),)


def print_plain(text: str, console: Console | None = None) -> None:
    """Prints plain lines, also to a file that has not every character."""
    console = console or Console()
    encoding = console.encoding
    print(text.encode(encoding, "replace").decode(encoding), file=console.file, flush=True)


def table(judgement: Judgement, folder: str) -> str:
    """The judgement for a person."""
    rows = list(_rows(judgement, folder))
    width = max(len(name) for name, _ in rows)
    rule = "─" * PLAIN
    lines = [f"{name:<{width}}  {value}" for name, value in rows]
    return "\n".join([rule, *lines, rule])


def _rows(judgement: Judgement, folder: str) -> Iterator[tuple[str, str]]:
    """Text of others stays text, and is no longer than a person can read."""
    for name, value in _told(judgement, folder):
        yield shortened(name, LONGEST_NAME), shortened(value)


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
    if (page := Path(folder) / PAGE).exists():
        yield "report", str(page)


def where_in_words(summary: Mapping[str, Any]) -> str:
    """Where the run was: nobody is to take a lab's times for AWS'."""
    if lab := summary["lab"]:
        ordered = f", misbehaviours ordered: {len(lab['faults'])}" if "faults" in lab else ""
        shape = f"{lab['profile']}, speed {lab['speed']:g}{ordered}"
        return f"on the lab ({shape}): its times are the lab's, not AWS'"
    return f"on AWS, {summary['cluster'] or 'no cluster'} in {summary['region']}"


def objective_in_words(objective: Mapping[str, Any]) -> str:
    """Whether it was met, what was measured, and the limit; why it was not judged, if so."""
    if "not_judged" in objective:
        return f"not judged: {objective['not_judged']}"
    if held := objective.get("not_worse_than"):
        of = f"{held['percent']:g} % from the median of the last {held['last']} runs"
        return f"{_in_words(objective)}: {of}"
    return _in_words(objective)


def _in_words(objective: Mapping[str, Any]) -> str:
    met = {True: "met", False: "MISSED", None: "could not be judged"}[objective["met"]]
    if "limit_seconds" in objective:
        limit = f"{objective['limit_seconds']:g} s"
        if objective["limit_seconds"] != objective["limit_aws_seconds"]:
            limit += f" ({objective['limit_aws_seconds']:g} AWS seconds)"
        late = objective.get("not_within_seconds")
        found = in_words(objective["measured_seconds"] if late is None else late)
        not_within = "" if late is None else "not within "
        return f"{met}: {not_within}{found}{of_loads(objective)}, limit {limit}"
    measured = objective["measured"]
    shown = "not measured" if measured is None else measured
    least = "at least " if objective.get("sense") == "at least" else ""
    return f"{met}: {shown}{of_loads(objective)}, limit {least}{objective['limit']}"
