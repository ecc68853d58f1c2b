"""`chaos kms report`: judges a run again, from what it has recorded."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.report.files import Found, write_files
from chaosaws_kms_ext.report.summary import Judgement, read_run
from chaosaws_kms_ext.report.table import show

__all__ = ["command"]


@click.command("report")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
def command(folder: Path | None) -> None:
    """Judge a run again, from its folder alone: no lab, no AWS.

    FOLDER is what a run left: `latest` in CHAOS_REPORTS_DIR if none is given. Shows the table, and
    writes summary.json and CHAOS_REPORT_FILES: what the run itself wrote, if this is the same
    version. A run that was killed gets them too: its verdict is `aborted`. Exits with 0 if the run
    passed, with 1 if it did not, with 2 if it cannot be judged.
    """
    where = folder or Path(os.environ.get("CHAOS_REPORTS_DIR") or "reports") / "latest"
    try:
        stored = read_run(where)
        judgement = stored.judge(where)
    except PlainError as problem:
        raise _cannot(str(problem)) from None
    show(judgement, str(where))
    if was := _changed(where, judgement):
        click.echo(f"The verdict was {was}, and is {judgement.verdict.word}.")
    try:
        judgement.write(where)
    except OSError as problem:
        raise _cannot(f"the summary could not be written: {problem}") from None
    found = Found(judgement, stored.history, stored.conditions, stored.journal)
    for why_not in write_files(where, found):
        click.echo(f"Warning: {why_not}", err=True)
    if not judgement.verdict.passed:
        raise click.exceptions.Exit(1)


def _cannot(why: str) -> click.exceptions.Exit:
    """Nothing can be judged, or written: one sentence, and exit status 2."""
    click.echo(f"Error: {why}", err=True)
    return click.exceptions.Exit(2)


def _changed(folder: Path, judgement: Judgement) -> str:
    """The verdict of the summary that is there, if it is another one."""
    try:
        said = json.loads((folder / "summary.json").read_bytes())
        was = str(said["verdict"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return was if was != judgement.verdict.word else ""
