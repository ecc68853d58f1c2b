"""`chaos kms show`: prints a run again."""

from __future__ import annotations

import click

from chaosaws_kms_ext.cli.stored import cannot, reports_dir, show_again
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.report.kept import LATEST, find

__all__ = ["command"]


@click.command("show")
@click.argument("run", default=LATEST)
def command(run: str) -> None:
    """Print a run's table and timeline again, from its records, and write nothing.

    RUN is a folder, or a run in CHAOS_REPORTS_DIR: its time as `chaos kms runs` prints it,
    EXPERIMENT/TIME, or EXPERIMENT alone for the newest of it; `latest` if none is given. Exits with
    0 if the run passed, with 1 if it did not, with 2 if it cannot be judged.
    """
    try:
        folder = find(reports_dir(), run)
    except PlainError as problem:
        raise cannot(str(problem)) from None
    _, judgement = show_again(folder)
    if not judgement.verdict.passed:
        raise click.exceptions.Exit(1)
