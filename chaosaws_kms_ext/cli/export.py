"""`chaos kms export`: the records of a run as Parquet or CSV."""

from __future__ import annotations

from pathlib import Path

import click

from chaosaws_kms_ext.cli.stored import cannot, reports_dir
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.report.export import FORMATS, export
from chaosaws_kms_ext.report.kept import LATEST, find
from chaosaws_kms_ext.text import printable

__all__ = ["command"]


@click.command("export")
@click.argument("run", default=LATEST)
@click.option(
    "--format", "kind", type=click.Choice(list(FORMATS)), default="parquet", show_default=True,
    help="What the files are.",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path),
    help="The folder to write into: `export` in that of the run if none is given.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
def command(run: str, kind: str, output: Path | None, overwrite: bool) -> None:
    """Write the records of a run for a notebook, a spreadsheet or a database.

    RUN is named as for `chaos kms show`. Writes `operations` (those of all loads, on one clock),
    `events`, and of a run with canaries what these tried (`canaries`). Exits with 1 if something of
    the records is damaged or missing, which is said: what is whole is written; with 2 if nothing is
    written.
    """
    try:
        where = find(reports_dir(), run)
        done = export(where, output or where / "export", kind, overwrite=overwrite)
    except PlainError as problem:
        raise cannot(str(problem)) from None
    for path, rows in done.files.items():
        click.echo(f"{path}: {rows} rows")
    for why in done.missing:
        click.echo(f"Warning: {printable(why)}", err=True)
    if done.missing:
        raise click.exceptions.Exit(1)
