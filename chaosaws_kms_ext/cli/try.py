"""`chaos kms try`: the main job on a local lab, from any folder."""

from __future__ import annotations

import os
import sys

import click

from chaosaws_kms_ext import shipped
from chaosaws_kms_ext.cli.stored import cannot, reports_dir

__all__ = ["command"]


@click.command("try")
@click.argument(
    "name", default="kms-disable", type=click.Choice(list(shipped.titles())), metavar="[EXPERIMENT]"
)
def command(name: str) -> None:
    """Run an experiment of this package on a local lab: kms-disable, if none is named.

    It needs no AWS account, and reaches none: the variables AWS_… are left out. Other CHAOS_
    variables hold. The run leaves its folder in CHAOS_REPORTS_DIR, or else in reports/ here. This
    is `chaos run`: it exits as that does, 0 only if the run has passed.
    """
    reports = reports_dir()
    try:
        reports.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise cannot(f"{reports} cannot be made: {problem}") from None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment["CHAOS_TARGET"] = "lab"
    if not environment.get("CHAOS_LOAD_FILE"):
        environment["CHAOS_LOAD_FILE"] = str(shipped.QUERY_LOAD)
    run = ["--no-version-check", "run", "--journal-path", str(reports / "journal.json")]
    what = [sys.executable, "-m", "chaostoolkit", *run, str(shipped.experiment(name))]
    sys.stdout.flush()
    # In place of this process: who stops it stops the run.
    os.execve(sys.executable, what, environment)
