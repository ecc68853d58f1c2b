"""`chaos kms report`: judges a run again, from what it has recorded."""

from __future__ import annotations

from pathlib import Path

import click

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.report.summary import judge_again
from chaosaws_kms_ext.report.table import show

__all__ = ["command"]


@click.command("report")
@click.argument("folder", default="reports/latest", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Judge a run again, from its folder alone: no lab, no AWS.

    FOLDER is what a run left: reports/latest if none is given. Writes its summary.json, the same as
    the run itself wrote, and shows the table. A run that was killed gets one too: its verdict is
    `aborted`. Exits with 0 if the run passed.
    """
    try:
        judgement = judge_again(folder)
        judgement.write(folder)
    except PlainError as problem:
        raise click.ClickException(str(problem)) from None
    except OSError as problem:
        raise click.ClickException(f"the summary could not be written: {problem}") from None
    show(judgement, str(folder))
    if not judgement.verdict.passed:
        raise click.exceptions.Exit(1)
