"""`chaos kms run`: `chaos run`, with an exit status that a scheduler understands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from chaosaws_kms_ext.cli.stored import cannot, reports_dir

__all__ = ["STATUSES", "command"]

STATUSES = {"passed": 0, "failed": 1, "refused": 2, "inconclusive": 3, "aborted": 130}
"""Verdict → exit status. 130 is that of a program that Ctrl-C ended."""


@click.command("run")
@click.option(
    "--journal-path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where Chaos Toolkit's journal is written; by default in CHAOS_REPORTS_DIR.",
)
@click.argument("experiment")
@click.pass_context
def command(ctx: click.Context, journal_path: Path | None, experiment: str) -> None:
    """Run an experiment as `chaos run` does, and say by the exit status how it ended.

    Exits with 0 if it passed, 1 if it failed, 2 if it was refused before anything was touched, 3 if
    it is inconclusive, and 130 if it was aborted. `chaos run` itself knows 0 and 1 only.
    """
    journal_path = journal_path or reports_dir() / "journal.json"
    try:
        journal_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise cannot(f"{journal_path.parent} cannot be made: {problem}") from None
    root = ctx.find_root()
    run = root.command.get_command(root, "run")  # type: ignore[attr-defined]
    arguments = ["--journal-path", str(journal_path), experiment]
    try:
        with run.make_context("run", arguments, parent=root) as context:
            context.params["no_exit"] = True  # a parameter that has no option
            journal = run.invoke(context)
    except click.exceptions.Exit as ended:  # there is no such experiment, or it is not valid
        raise click.exceptions.Exit(STATUSES["refused"] if ended.exit_code else 0) from None
    raise click.exceptions.Exit(_status(journal))


def _status(journal: Mapping[str, Any]) -> int:
    """That of the verdict; of an experiment that is none of ours that of `chaos run`."""
    ours = journal.get("kms")
    if not ours:
        return int(journal["status"] != "completed" or bool(journal.get("deviated")))
    return STATUSES.get(str(ours.get("verdict")), STATUSES["failed"])
