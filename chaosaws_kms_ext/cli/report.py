"""`chaos kms report`: judges a run again, from what it has recorded."""

from __future__ import annotations

from pathlib import Path

import click

from chaosaws_kms_ext.cli.stored import cannot, reports_dir, show_again
from chaosaws_kms_ext.report.files import Found, write_files

__all__ = ["command"]


@click.command("report")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
def command(folder: Path | None) -> None:
    """Judge a run again, from its folder alone: no lab, no AWS.

    FOLDER is what a run left: `latest` in CHAOS_REPORTS_DIR if none is given. Shows the table and
    the timeline, and writes summary.json and CHAOS_REPORT_FILES: what the run itself wrote, if this
    is the same version. A run that was killed gets them too: its verdict is `aborted`. Exits with 0
    if the run passed, with 1 if it did not, with 2 if it cannot be judged.
    """
    where = folder or reports_dir() / "latest"
    stored, judgement = show_again(where)
    try:
        judgement.write(where)
    except OSError as problem:
        raise cannot(f"the summary could not be written: {problem}") from None
    found = Found(judgement, stored.history, stored.conditions, stored.journal)
    for why_not in write_files(where, found):
        click.echo(f"Warning: {why_not}", err=True)
    if not judgement.verdict.passed:
        raise click.exceptions.Exit(1)
