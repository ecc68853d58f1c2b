"""`chaos kms restore`: puts back what earlier runs left; also ends a run that is under way."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import click

from chaosaws_kms_ext.aws import names, rds
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.guard import leftovers
from chaosaws_kms_ext.resources import delete
from chaosaws_kms_ext.resources import ledger as ledgers
from chaosaws_kms_ext.resources.ledger import Ledger
from chaosaws_kms_ext.undo import restore, store, switch
from chaosaws_kms_ext.undo.bring_back import in_words
from chaosaws_kms_ext.undo.journal import Entry
from chaosaws_kms_ext.undo.restorer import restorer_for

__all__ = ["command"]


@click.command("restore")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--run", "run_id", default="", help="Only what this run left.")
@click.option("--dry-run", is_flag=True, help="Say what is left, and change nothing.")
@click.option("--force", is_flag=True, help="Also keys that were put back before, by their switch.")
def command(files: tuple[Path, ...], run_id: str, dry_run: bool, force: bool) -> None:
    """Put back what earlier runs left: enable the keys, start the clusters, remove what was made.

    Works from the undo journal, which every run writes before it changes anything; from FILES of
    it that were copied here from another machine; and with CHAOS_TARGET=aws from the schedules of
    the dead man's switch, without any file. It also ends a run that is still under
    way: the run notices. Exits with 0 when nothing is left to put back.
    """
    entries, problems = leftovers.readable(files, keep=dry_run)
    entries = [entry for entry in entries if run_id in ("", entry.run)]
    looked = [", ".join(map(str, files)) or f"the undo journal {store.directory()}"]
    # No other setting matters here, and a wrong one must not keep a key away.
    if not files and os.environ.get("CHAOS_TARGET") == "aws":
        try:
            known = {(entry.run, entry.key) for entry in entries}
            aws = Aws()
            armed = [a for a in switch.armed(aws) if run_id in ("", a.run)]
            looked.append(f"the schedules of group {names.GROUP} in {aws.region}")
            unknown = [a for a in armed if (a.run, a.key) not in known]
            theirs, wrong = restore.entries_from_schedules(aws, unknown, keep=not dry_run)
            entries += theirs
            problems += wrong
        except PlainError as problem:
            problems.append(str(problem))
    if dry_run:
        failed = list(filter(_would_restore, restore.in_order(entries)))
    else:
        failed = restore.restore(entries, _tell, force)
    if failed:
        again = "would be put back" if dry_run else "not put back: run it again"
        problems.append(f"{len(failed)} of {len(entries)} {again}")
    # Only now: nothing may keep a key away, and a cluster without its key may not be deletable.
    remaining, damaged = ([], []) if files else ledgers.leftovers()
    remaining = [each for each in remaining if run_id in ("", each.run)]
    problems += damaged
    left = [each for each in remaining if not (_would_remove(each) if dry_run else _removed(each))]
    if left:
        again = "would be removed" if dry_run else "is left: run it again"
        problems.append(f"what {len(left)} of {len(remaining)} runs made {again}")
    if not entries and not remaining and not problems:
        of_it = f" of run {run_id}" if run_id else ""
        _tell(f"Nothing to put back{of_it}: looked into {' and '.join(looked)}.")
    if problems:
        raise click.ClickException("; ".join(problems))


def _would_remove(ledger: Ledger) -> bool:
    """Says what would be removed; false, so that the exit status says that something is left."""
    _tell(f"Made by run {ledger.run}, by {ledger.origin.owner}")
    for resource in ledger.things:
        click.echo(f"  would remove the {resource}")
    return False


def _removed(ledger: Ledger) -> bool:
    _tell(f"Made by run {ledger.run}, by {ledger.origin.owner}")

    def say(what: str) -> None:
        _tell(f"  {what.strip()}")

    left = []
    for work in (_drop_schema, delete.remove):
        try:
            left += work(restorer_for(ledger.origin, say), ledger, say)
        except Exception as problem:  # the next one has its turn
            left.append(in_words(problem))
    for why in left:
        _tell(f"  NOT removed: {why}", err=True)
    return not left


def _drop_schema(aws: Aws, ledger: Ledger, say: Callable[[str], object]) -> list[str]:
    """Its import takes longer than all others; most restores have no schema to drop."""
    from chaosaws_kms_ext.loadgen import drop_schema

    return drop_schema.drop(aws, ledger, say)


def _tell(what: str, err: bool = False) -> None:
    """Says it to whoever still listens: a terminal that is gone must not keep the key away."""
    with contextlib.suppress(OSError):
        click.echo(what, err=err)


def _would_restore(entry: Entry) -> bool:
    """Says what would be done; true: it is left."""
    _tell(restore.named(entry))
    for call in entry.undo.calls:
        click.echo(f"  would call {call.whole}")
    for each in entry.clusters:
        click.echo(f"  would start the {rds.in_words(each)} if it is without its key")
    return True
