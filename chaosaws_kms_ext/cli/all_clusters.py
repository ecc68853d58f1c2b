"""`chaos kms doctor --all`: every cluster of an account that would be lost with its key."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import click

from chaosaws_kms_ext.aws.client import Aws, AwsError, Patience
from chaosaws_kms_ext.cli.stored import cannot, reports_dir
from chaosaws_kms_ext.files import write_whole
from chaosaws_kms_ext.fleet.look import Exposed, Rehearsal, look, regions, rehearsals
from chaosaws_kms_ext.fleet.show import as_json, as_page, print_table
from chaosaws_kms_ext.report.kept import CannotBeRead, kept_runs
from chaosaws_kms_ext.text import printable

__all__ = ["list_all"]

AT_ONCE = 8
"""Regions that are looked at side by side: each has limits of its own."""

PATIENCE = Patience(attempts=10)
"""A list of many clusters is what AWS throttles, and nothing waits for it."""


def list_all(named: Sequence[str], form: str, output: Path | None) -> None:
    """Prints or writes the list; ends the command with 1 if a Region could not be looked at.

    `named`: Regions; by default all that the account has enabled. `form`: table, json or html.
    Raises AwsError and Refused.
    """
    home = Aws(named[0] if named else "")
    account = home.call("sts", "GetCallerIdentity", {})["Account"]
    rehearsed: dict[tuple[str, str], Rehearsal] = {}
    with contextlib.suppress(CannotBeRead):
        rehearsed = rehearsals(kept_runs(reports_dir()))
    found: list[Exposed] = []
    unread: dict[str, str] = {}

    def one(region: str) -> list[Exposed] | AwsError:
        try:
            return look(Aws(region, patience=PATIENCE), rehearsed)
        except AwsError as problem:
            return problem

    wanted = list(dict.fromkeys(named)) or regions(home)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for region, said in zip(wanted, pool.map(one, wanted), strict=True):
            if isinstance(said, AwsError):
                unread[region] = str(said)
            else:
                found += said
    found.sort(key=lambda each: (not each.concerns, each.region, each.cluster))
    _say(found, unread, account, form, output)
    for region, why in unread.items():
        click.echo(f"{region} was not looked at: {printable(why)}", err=True)
    if unread:
        raise click.exceptions.Exit(1)


def _say(
    found: list[Exposed], unread: dict[str, str], account: str, form: str, output: Path | None
) -> None:
    if form == "table" and output is None:
        print_table(found)
        return
    if form == "html":
        text = as_page(found, unread, account, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    else:
        text = as_json(found, unread, account)
    if output is None:
        click.echo(text)
        return
    try:
        write_whole(output, text + "\n")
    except OSError as problem:
        raise cannot(f"{output} cannot be written: {problem}") from None
