"""Finds the run that goes on in a folder of reports, or the next one that begins there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from chaosaws_kms_ext.history import CannotBeJudged, read_conditions
from chaosaws_kms_ext.report.run_files import SUMMARY, folders_in

__all__ = ["going_on"]

NEWEST = 3
"""Runs of each experiment that are looked at: two may go on at once, and a third has just ended."""


def going_on(reports: Path) -> Path | None:
    """The folder of the newest run that goes on; None: there is none."""
    return max(
        (run for experiment in _folders(reports) for run in _of_experiment(experiment)),
        key=lambda run: run.name,
        default=None,
    )


def _of_experiment(experiment: Path) -> Iterator[Path]:
    """Its newest runs that go on. Their names are their times."""
    newest = sorted(_folders(experiment), key=lambda run: run.name, reverse=True)[:NEWEST]
    for run in newest:
        try:
            running = read_conditions(run / "history").process.is_running
        except CannotBeJudged:
            continue
        if running and not (run / SUMMARY).exists():
            yield run


def _folders(parent: Path) -> list[Path]:
    """None where there are none, or not yet."""
    try:
        return folders_in(parent)
    except OSError:
        return []
