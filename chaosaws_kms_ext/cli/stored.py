"""What the commands share that look at stored runs: where those are, and one shown again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.files import read_plain
from chaosaws_kms_ext.report.run_files import SUMMARY
from chaosaws_kms_ext.report.summary import Judgement, StoredRun, read_run
from chaosaws_kms_ext.report.table import show
from chaosaws_kms_ext.text import printable

__all__ = ["cannot", "reports_dir", "show_again"]


def reports_dir() -> Path:
    """Where runs leave their folders: CHAOS_REPORTS_DIR.

    No other setting matters to these commands, so a wrong one is no reason to refuse.
    """
    return Path(os.environ.get("CHAOS_REPORTS_DIR") or "reports")


def show_again(folder: Path) -> tuple[StoredRun, Judgement]:
    """Judges a stored run from its records, and prints its table and timeline.

    Writes nothing. Ends the command with status 2 if the run cannot be judged.
    """
    try:
        stored = read_run(folder)
        judgement = stored.judge(folder)
    except PlainError as problem:
        raise cannot(str(problem)) from None
    show(judgement, str(folder), stored.history, stored.conditions)
    if was := _changed(folder, judgement):
        click.echo(f"The verdict was {was}, and is {judgement.verdict.word}.")
    return stored, judgement


def cannot(why: str) -> click.exceptions.Exit:
    """Nothing can be read, judged or written: one sentence, and exit status 2."""
    click.echo(f"Error: {printable(why)}", err=True)
    return click.exceptions.Exit(2)


def _changed(folder: Path, judgement: Judgement) -> str:
    """The verdict of the summary that is there, if it is another one."""
    try:
        said = json.loads(read_plain(folder / SUMMARY))
        was = printable(str(said["verdict"]))[:100]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return was if was != judgement.verdict.word else ""
