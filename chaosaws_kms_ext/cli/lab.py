"""`chaos kms lab`: the lab in the foreground."""

from __future__ import annotations

import json
import shlex
import signal
import threading
from pathlib import Path
from typing import Any

import click

from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.cli import misbehaviours
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.lab_client.local_lab import LocalLab

__all__ = ["UNSET", "command"]


@click.group("lab", invoke_without_command=True)
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
@click.option(
    "--readers",
    type=click.IntRange(0, 15),
    default=0,
    help="How many readers the cluster has beside its writer.",
)
@click.option(
    "--clusters",
    type=click.IntRange(1, 4),
    default=1,
    show_default=True,
    help="How many clusters there are, all under one key; readers has the first.",
)
@click.option(
    "--database",
    type=click.Choice(["cluster", "instance"]),
    default="cluster",
    show_default=True,
    help="What the first is: an Aurora cluster, or a DB instance of RDS for PostgreSQL.",
)
@click.option(
    "--dependents",
    is_flag=True,
    help="Put a secret, an object, a queue, a table and a parameter under that key, too.",
)
@click.option(
    "--key-store",
    type=click.Choice(["no", "cloudhsm", "external"]),
    default="no",
    show_default=True,
    help="The custom key store of KMS that their key is in.",
)
@click.option(
    "--secondary-keys",
    is_flag=True,
    help="The first has a secret, Performance Insights and an activity stream under own keys.",
)
@click.option(
    "--recoverable-for",
    type=click.FloatRange(min=1, max=604_800),
    default=604_800.0,
    help="AWS seconds until a cluster without its key is lost for good: 7 days, as on AWS.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@click.pass_context
def command(context: click.Context, /, as_json: bool, **options: Any) -> None:
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
        running = LocalLab.start(**options)
    except PlainError as problem:
        raise click.ClickException(str(problem)) from None
    try:
        click.echo(_as_json(running) if as_json else _as_text(running))
        while running.running and not stop.wait(0.5):
            pass
        if not stop.is_set():
            raise click.ClickException("the lab ended by itself")
    finally:
        running.stop()


UNSET = "unset AWS_PROFILE $(env | command grep -oE '^(AWS_|BOTO|PG)[A-Z0-9_]*')"
"""Whatever could lead the pasted commands elsewhere goes; one is named, since zsh wants one."""


command.add_command(misbehaviours.command)


def _status_of(reference: str) -> str:
    """The command that shows its status."""
    kind = rds.kind_of(reference)
    name = kind.id_of(reference)
    if kind is rds.INSTANCE:
        query = "DBInstances[0].DBInstanceStatus"
        return f"aws rds describe-db-instances --db-instance-identifier {name} --query '{query}'"
    query = "DBClusters[0].Status"
    return f"aws rds describe-db-clusters --db-cluster-identifier {name} --query '{query}'"


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
            f"# {rds.in_words(cluster['id']).capitalize()}, encrypted under {cluster['key']}",
            f"psql {shlex.quote(cluster['database'])}",
            f"# Its password, for what knows no PGPASSFILE: {cluster['password']}",
            f"aws kms disable-key --key-id {cluster['key']}",
            f"aws kms enable-key --key-id {cluster['key']}",
            _status_of(cluster["id"]),
        ]
    return "\n".join([*lines, "", "# Ctrl-C ends the lab."])
