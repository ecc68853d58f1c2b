"""`chaos kms …`: the lab in the foreground, and what puts a key back."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from chaosaws_kms_ext import cli_policy
from chaosaws_kms_ext.aws import Aws, AwsError
from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.lab_client.local_lab import LabDidNotStart, LocalLab, only_the_lab
from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours, NotALab
from chaosaws_kms_ext.load import leftover
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.safety import (
    guard,
    journal,
    leftovers,
    made,
    removing,
    restoring,
    switch,
)
from chaosaws_kms_ext.safety.door import door
from chaosaws_kms_ext.safety.journal import Entry
from chaosaws_kms_ext.safety.made import Made
from chaosaws_kms_ext.safety.needs import Needs
from chaosaws_kms_ext.settings import BadSetting, parse

__all__ = ["kms"]


@click.group()
def kms() -> None:
    """KMS keys and the Aurora clusters that they encrypt."""


kms.add_command(cli_policy.command)


@kms.group(invoke_without_command=True)
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True, max=100_000),
    default=60.0,
    show_default=True,
    help="AWS seconds in a second: at 60 an hour takes a minute.",
)
@click.option(
    "--profile",
    type=click.Choice(["observed", "documented"]),
    default="observed",
    show_default=True,
    help="How a cluster comes back: by itself, or only by StartDBCluster.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port of the AWS endpoint; a free one if not given.",
)
@click.option(
    "--iam", is_flag=True, help="Hold users and roles to their IAM policies in every service."
)
@click.option(
    "--tls", is_flag=True, help="Take database connections by TLS only, with a CA of its own."
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@click.pass_context
def lab(
    context: click.Context,
    speed: float,
    profile: str,
    port: int,
    iam: bool,
    tls: bool,
    as_json: bool,
) -> None:
    """Run a local AWS with an encrypted Aurora cluster until Ctrl-C.

    Our own KMS and RDS, moto for the rest, a real PostgreSQL behind the cluster: disable the key
    with the AWS CLI, and the cluster becomes inaccessible.
    """
    if context.invoked_subcommand:
        return
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        running = LocalLab.start(speed, profile, port, iam, tls)
    except LabDidNotStart as problem:
        raise click.ClickException(str(problem)) from None
    try:
        click.echo(_as_json(running) if as_json else _as_text(running))
        while running.running and not stop.wait(0.5):
            pass
        if not stop.is_set():
            raise click.ClickException("the lab ended by itself")
    finally:
        running.stop()


@lab.group()
@click.option(
    "--endpoint", envvar="AWS_ENDPOINT_URL", default="", help="Of the lab; else AWS_ENDPOINT_URL."
)
@click.pass_context
def fault(context: click.Context, endpoint: str) -> None:
    """Make a running lab misbehave: its API (`add`) or its databases (`data`).

    What was ordered holds until it has happened or its time is over, or until `clear`.
    """
    context.obj = endpoint


@fault.command()
@click.argument("kind")
@click.argument("service")
@click.argument("operation", default="*")
@click.option("--count", type=click.IntRange(min=1), help="How many calls meet it.")
@click.option(
    "--for",
    "lasting",
    type=click.FloatRange(min=0, min_open=True),
    help="For how many seconds, of the wall clock.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True, max=600),
    help="How late (delay) or how old (stale), by the wall clock; these two need it.",
)
@click.pass_obj
def add(endpoint: str, /, **order: Any) -> None:
    """Order a misbehaviour of the API: KIND of SERVICE and OPERATION (every one, if none is named).

    For a number of calls (--count), for a time (--for), or until `clear`.

    Kinds: throttling, error, error-after, cut, cut-after, delay, expired-token, stale (kms
    DescribeKey only). An SDK tries again by itself: AWS_MAX_ATTEMPTS=1 shows the error.
    """
    order["for"] = order.pop("lasting")
    _show(lambda: Misbehaviours(endpoint).order(**order))


@fault.command()
@click.argument("kind")
@click.argument("cluster", required=False)
@click.option("--writes", type=click.IntRange(min=1), help="How many rows are lost (1).")
@click.option("--seed", type=int, help="Of the draw of the rows (0).")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="How much longer a slow recovery takes, in AWS seconds.",
)
@click.pass_obj
def data(endpoint: str, /, **order: Any) -> None:
    """Order a misbehaviour of the data of CLUSTER, or of what its key protects.

    For the next time that its servers come back: lose-writes (a crash loses rows that had been
    acknowledged), slow-recovery, other-address (of the cluster endpoint), no-recovery (not before
    `clear`).

    For the next copy of a snapshot of it: copy-keeps-key (it stays under the snapshot's key,
    whichever was asked for), copy-hides-key (and does not say so), row-changed-in-copy.

    Until `clear`: rotation-breaks-reads (what was encrypted before the next RotateKeyOnDemand of
    its key does not decrypt, and the cluster hangs), context-ignored (KMS decrypts with any
    encryption context; this one takes no CLUSTER).

    What really happened to data stands in the lab's truth.jsonl.
    """
    _show(lambda: Misbehaviours(endpoint).order(**order))


@fault.command("list")
@click.pass_obj
def list_(endpoint: str) -> None:
    """Show the misbehaviours that hold."""
    _show(lambda: Misbehaviours(endpoint).holding())


@fault.command()
@click.pass_obj
def clear(endpoint: str) -> None:
    """End all misbehaviours."""
    _show(lambda: Misbehaviours(endpoint).clear())


def _show(ask: Callable[[], list[dict[str, Any]]]) -> None:
    try:
        holding = ask()
    except NotALab as problem:
        raise click.ClickException(str(problem)) from None
    click.echo("\n".join(map(json.dumps, holding)) or "No misbehaviours.")


@kms.command()
@click.option(
    "--fault",
    "faults",
    multiple=True,
    type=click.Choice(sorted(name for name, each in FAULTS.items() if each.on == "target")),
    default=["disable-key"],
    show_default=True,
    help="That is to be injected; can be repeated.",
)
def doctor(faults: Sequence[str]) -> None:
    """May this target be attacked? Looks at everything that the guard asks before a fault.

    Changes nothing, and puts nothing back. The target is that of the CHAOS_ variables; without
    any it is a lab, started for this. Exits with 0 if nothing speaks against it.
    """
    try:
        settings = parse()
        with contextlib.ExitStack() as stack:
            cluster, lab_id = settings.cluster_id, ""
            if settings.target == "lab":
                lab = LocalLab.start(settings.lab_speed, settings.lab_profile)
                stack.callback(lab.stop)
                stack.enter_context(only_the_lab(lab))
                cluster, lab_id = lab.clusters[0]["id"], lab.id
            needs = Needs.all_of(FAULTS[each].needs for each in faults)
            inspection = guard.inspect(Aws(), settings, cluster, needs, settings.key_id)
            names = {cluster}
            if target := inspection.target:
                names |= {target.cluster.id, target.key.arn}
            findings = inspection.findings + leftovers.look(names, lab_id)
    except (BadSetting, LabDidNotStart, Refused) as problem:
        raise click.ClickException(str(problem)) from None
    for each in findings:
        state = each.state.upper() if each.state == "refused" else each.state
        click.echo(f"{state:<9} {each.about:<13} {each.why}")
    if wrong := sum(each.state == "refused" for each in findings):
        raise click.ClickException(f"{cluster} may not be attacked: {wrong} of these speak against")
    where = "" if settings.target == "aws" else ", on a lab that was started for this"
    click.echo(f"{cluster} may be attacked{where}.")


@kms.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--run", "run_id", default="", help="Only what this run left.")
@click.option("--dry-run", is_flag=True, help="Say what is left, and change nothing.")
@click.option("--force", is_flag=True, help="Also keys that were put back before, by their switch.")
def restore(files: tuple[Path, ...], run_id: str, dry_run: bool, force: bool) -> None:
    """Put back what earlier runs left: enable the keys, start the clusters, remove what was made.

    Works from the undo journal, which every run writes before it changes anything; from FILES of
    it that were copied here from another machine; and with CHAOS_TARGET=aws from the schedules of
    the dead man's switch, without any file. While the run is alive this is the red button: the
    run notices. Exits with 0 when nothing is left to put back.
    """
    entries, problems = leftovers.readable(files, keep=dry_run)
    entries = [entry for entry in entries if run_id in ("", entry.run)]
    looked = [", ".join(map(str, files)) or f"the undo journal {journal.directory()}"]
    # No other setting matters here, and a wrong one must not keep a key away.
    if not files and os.environ.get("CHAOS_TARGET") == "aws":
        try:
            known = {(entry.run, entry.key) for entry in entries}
            aws = Aws()
            armed = [a for a in switch.armed(aws) if run_id in ("", a.run)]
            looked.append(f"the schedules of group {switch.GROUP} in {aws.region}")
            unknown = [a for a in armed if (a.run, a.key) not in known]
            entries += restoring.adopted(aws, unknown, keep=not dry_run)
        except (AwsError, Refused) as problem:
            problems.append(str(problem))
    if dry_run:
        failed = list(filter(_would_restore, entries))
    else:
        failed = restoring.restore(entries, _tell, force)
    if failed:
        again = "would be put back" if dry_run else "not put back: run it again"
        problems.append(f"{len(failed)} of {len(entries)} {again}")
    # Only now: nothing may keep a key away, and a cluster without its key may not be deletable.
    ledgers, damaged = ([], []) if files else made.leftovers()
    ledgers = [each for each in ledgers if run_id in ("", each.run)]
    problems += damaged
    left = [each for each in ledgers if not (_would_remove(each) if dry_run else _removed(each))]
    if left:
        again = "would be removed" if dry_run else "is left: run it again"
        problems.append(f"what {len(left)} of {len(ledgers)} runs made {again}")
    if not entries and not ledgers and not problems:
        of_it = f" of run {run_id}" if run_id else ""
        _tell(f"Nothing to put back{of_it}: looked into {' and '.join(looked)}.")
    if problems:
        raise click.ClickException("; ".join(problems))


def _would_remove(ledger: Made) -> bool:
    """Says what would be removed; false, so that the exit status says that something is left."""
    _tell(f"Made by run {ledger.run}, by {ledger.owner}")
    for thing in ledger.things:
        click.echo(f"  would remove the {thing}")
    return False


def _removed(ledger: Made) -> bool:
    _tell(f"Made by run {ledger.run}, by {ledger.owner}")

    def say(what: str) -> None:
        _tell(f"  {what.strip()}")

    left = []
    for work in (leftover.drop, removing.remove):
        try:
            left += work(door(ledger, say), ledger, say)
        except Exception as problem:  # the next one has its turn
            left.append(restoring.in_words(problem))
    for why in left:
        _tell(f"  NOT removed: {why}", err=True)
    return not left


def _tell(what: str, err: bool = False) -> None:
    """Says it to whoever still listens: a terminal that is gone must not keep the key away."""
    with contextlib.suppress(OSError):
        click.echo(what, err=err)


def _would_restore(entry: Entry) -> bool:
    """Says what would be done; true: it is left."""
    _tell(restoring.named(entry))
    for call in entry.undo.calls:
        click.echo(f"  would call {call.whole}")
    if entry.cluster:
        click.echo(f"  would start the cluster {entry.cluster} if it is without its key")
    return True


UNSET = "unset AWS_PROFILE $(env | command grep -oE '^(AWS_|BOTO|PG)[A-Z0-9_]*')"
"""Whatever could lead the pasted commands elsewhere goes; one is named, since zsh wants one."""


def _as_json(running: LocalLab) -> str:
    return json.dumps({
        "endpoint": running.endpoint,
        "region": running.region,
        "environment": running.environment,
        "clusters": list(running.clusters),
    })  # fmt: skip


def _as_text(running: LocalLab) -> str:
    lines = ["# Paste into another shell:", UNSET]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in running.environment.items()]
    if running.ca:  # which the lab's own psql was built without
        lines.append("# The databases take TLS only: use a psql with TLS (postgresql-client).")
    elif running.psql:  # last, so that one's own comes first
        lines.append(f"export PATH=$PATH:{shlex.quote(str(Path(running.psql).parent))}")
    for cluster in running.clusters:
        lines += [
            "",
            f"# Cluster {cluster['id']}, encrypted under {cluster['key']}",
            f"psql {shlex.quote(cluster['database'])}",
            f"# Its password, for what knows no PGPASSFILE: {cluster['password']}",
            f"aws kms disable-key --key-id {cluster['key']}",
            f"aws kms enable-key --key-id {cluster['key']}",
            f"aws rds describe-db-clusters --db-cluster-identifier {cluster['id']} "
            "--query 'DBClusters[0].Status'",
        ]
    return "\n".join([*lines, "", "# Ctrl-C ends the lab."])
