"""`chaos kms watch`: the page of a run while it happens."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import click

from chaosaws_kms_ext.cli.stored import cannot, reports_dir
from chaosaws_kms_ext.errors import PlainError

__all__ = ["command"]


@click.command("watch")
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port of the page, on 127.0.0.1; a free one if not given.",
)
@click.option(
    "--wait",
    type=click.FloatRange(0, 7 * 86400),
    default=3600.0,
    show_default=True,
    help="Seconds to wait for a run to begin.",
)
@click.option("--open", "open_", is_flag=True, help="Open the page in a browser.")
def command(run: Path | None, port: int, wait: float, open_: bool) -> None:
    """Show a run while it happens, on a page for a wall: until Ctrl-C.

    RUN is the folder of a run; without it, the one that goes on in CHAOS_REPORTS_DIR, or else the
    next that begins there. It only reads what the run writes down. After the end the page leads to
    the report. Exits with 0, or with 2 if there is no such run, or none began in time.
    """
    # Imported late: `--help` needs no server.
    from chaosaws_kms_ext.report.live.find import going_on
    from chaosaws_kms_ext.report.live.process import be_polite
    from chaosaws_kms_ext.report.live.server import LivePage
    from chaosaws_kms_ext.report.live.watched import Watched

    reports = reports_dir()
    if run is not None and not (run / "history").is_dir():
        raise cannot(f"{run} is no folder of a run: it has no history/")
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: stopped.append(number))
    be_polite()
    began = time.monotonic()
    # A link may lead to another run when this one has ended.
    folder = run.resolve() if run else None
    watched = Watched(folder, lambda: going_on(reports), "" if folder else str(reports))

    def goes_on() -> bool:
        waited = watched.folder is None and time.monotonic() - began > wait
        return not stopped and not waited

    try:
        page = LivePage(watched, port)
    except PlainError as problem:
        raise cannot(str(problem)) from None
    click.echo(f"{page.address} (Ctrl-C ends it)")
    if open_:
        click.launch(page.address)
    page.serve(goes_on)
    if not stopped:
        raise cannot(f"no run began in {reports} within {wait:g} s")
