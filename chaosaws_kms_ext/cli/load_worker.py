"""`chaos kms load-worker`: a part of another machine's load."""

from __future__ import annotations

import os
import sys

import click

from chaosaws_kms_ext.loadgen.locust_processes import for_the_load
from chaosaws_kms_ext.settings import parsers

__all__ = ["command"]


@click.command("load-worker")
@click.argument("address", metavar="HOST:PORT")
def command(address: str) -> None:
    """Be one process of the load of a run that waits at HOST:PORT.

    The run prints this command (CHAOS_LOAD_WORKERS=remote). What to do comes from there, also the
    Locust file: connect only to a machine that you trust. The database's password is looked for
    here, as libpq does it (PGPASSWORD, ~/.pgpass). Ends with the load.
    """
    try:
        parsers.address(address)
    except ValueError as wrong:
        raise click.UsageError(f"HOST:PORT {wrong}") from None
    host, _, port = address.rpartition(":")
    locust = [
        sys.executable, "-m", "locust", "--locustfile", "-", "--worker", "--skip-log-setup",
        "--master-host", host.strip("[]"), "--master-port", port,
    ]  # fmt: skip
    os.execve(sys.executable, locust, for_the_load(os.environ))
