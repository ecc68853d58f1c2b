"""`chaos kms runs`: the kept runs, as a list or as a page."""

from __future__ import annotations

import click

from chaosaws_kms_ext.cli.stored import cannot, reports_dir
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.files import write_whole
from chaosaws_kms_ext.report.kept import kept_runs
from chaosaws_kms_ext.report.listing import list_runs

__all__ = ["PAGE", "command"]

PAGE = "index.html"


@click.command("runs")
@click.option("--html", "as_page", is_flag=True, help=f"Write {PAGE} there: the trend as a page.")
def command(as_page: bool) -> None:
    """List the runs that CHAOS_REPORTS_DIR keeps, the newest last.

    Seconds to recover and of outage, and lost writes, are those of summary.json; `-` was not
    measured. A run without a readable summary is listed with the reason. With --html, a page of all
    of them, with their figures over time. Exits with 0, or with 2 if the folder cannot be read or
    the page not be written.
    """
    reports = reports_dir()
    try:
        runs = kept_runs(reports)
    except PlainError as problem:
        raise cannot(str(problem)) from None
    if as_page:
        from chaosaws_kms_ext.report.page.index import index_of  # it imports Bokeh

        page = reports / PAGE
        try:
            write_whole(page, index_of(runs, reports))
        except OSError as problem:
            raise cannot(f"{page} cannot be written: {problem}") from None
        click.echo(f"{page}: {len(runs)} runs")
    elif runs:
        list_runs(runs)
    else:
        click.echo(f"No run is kept in {reports}.")
