"""`chaos kms experiments`: what comes with the package."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from chaosaws_kms_ext import shipped
from chaosaws_kms_ext.cli.stored import cannot
from chaosaws_kms_ext.errors import PlainError

__all__ = ["command"]


@click.command("experiments")
@click.option(
    "--copy",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Copy them into this folder, with the load that they use: experiments/ and probes/.",
)
def command(folder: Path | None) -> None:
    """List the experiments of this package, or copy them to change and to run them.

    Nothing is overwritten: exits with 2 if a file is there already.
    """
    if folder is None:
        titles = shipped.titles()
        width = max(map(len, titles))
        for name, title in titles.items():
            click.echo(f"{name:<{width}}  {title}")
        return
    try:
        copies = shipped.copy_to(folder)
    except PlainError as problem:
        raise cannot(str(problem)) from None
    except OSError as problem:
        raise cannot(f"{folder} cannot be written: {problem}") from None
    click.echo(f"{len(copies)} files copied. Run one from there:")
    click.echo(f"cd {shlex.quote(str(folder))} && chaos run experiments/kms-disable.json")
