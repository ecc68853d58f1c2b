"""`chaos kms compare`: what changed from one run to another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from chaosaws_kms_ext.cli.stored import cannot, reports_dir
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.history import CannotBeJudged, read_conditions
from chaosaws_kms_ext.report.compare import Comparison, compare
from chaosaws_kms_ext.report.kept import find, read_summary
from chaosaws_kms_ext.report.table import print_plain
from chaosaws_kms_ext.text import printable

__all__ = ["command"]

DIFFERENT, NOT_COMPARABLE = 1, 3
"""Exit statuses; 0 where nothing changed by more than can be an error, 2 where a run cannot be
read."""


@click.command("compare")
@click.argument("a")
@click.argument("b")
def command(a: str, b: str) -> None:
    """Say what changed from run A to run B, and whether that is more than the error bounds.

    A and B are named as for `chaos kms show`. Reads their summary.json, and writes nothing. Two
    durations differ if they are further apart than both bounds together; that is what cannot be an
    error of measuring: runs vary by themselves as well.

    Exits with 0 if nothing differs by more than the bounds; with 1 if something does, for the
    better or for the worse: a duration, a count of writes, an objective, the verdict; with 2 if a
    run cannot be read; with 3 if the two cannot be compared in figures, since their experiment,
    their target, or their lab's speed or profile is not the same.
    """
    reports = reports_dir()
    try:
        folders = [find(reports, name) for name in (a, b)]
        first, second = (read_summary(folder) for folder in folders)
    except PlainError as problem:
        raise cannot(str(problem)) from None
    settings = (_settings(folders[0]), _settings(folders[1]))
    found = compare(first, second, settings)
    print_plain("\n".join(_lines(found, folders)))
    if not found.comparable:
        raise click.exceptions.Exit(NOT_COMPARABLE)
    if found.differs:
        raise click.exceptions.Exit(DIFFERENT)


def _settings(folder: Path) -> dict[str, object]:
    """Those of a run; none, if they cannot be read."""
    try:
        settings = read_conditions(folder / "history").settings
    except CannotBeJudged:
        return {}
    return {name: getattr(settings, name) for name, *_ in settings.documented()}


def _lines(found: Comparison, folders: list[Path]) -> Iterator[str]:
    for name, folder in zip("AB", folders, strict=True):
        yield f"{name}: {printable(str(folder))}"
    if not found.comparable:
        differ = ", ".join(found.differ_in)
        yield f"These runs cannot be compared in figures: not the same {differ}."
    for note in found.notes:
        yield f"Not the same: {note}"
    if not found.comparable:
        yield "What can be compared:"
    rows = [(row.what, f"{row.a} → {row.b}", row.meaning) for row in found.rows]
    widths = [max(len(row[place]) for row in rows) for place in (0, 1)]
    for what, values, meaning in rows:
        yield f"{what:<{widths[0]}}  {values:<{widths[1]}}  {meaning}".rstrip()
    if found.comparable:
        yield "They differ." if found.differs else "They do not differ by more than the bounds."
