"""`chaos kms policy`: prints the IAM policies that are needed, for one place or for any."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import click

from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.names import MOST_CLUSTERS
from chaosaws_kms_ext.faults import FAULTS, needs_of
from chaosaws_kms_ext.iam.permissions import Caller
from chaosaws_kms_ext.iam.policies import SWITCH_ROLE, Place, policy, trust
from chaosaws_kms_ext.undo import switch

__all__ = ["USUAL", "command"]

USUAL = ("disable-key", "put-key-policy")
"""The faults of our experiments."""

TRUST = "switch-trust"
NAMES = [*(caller.value for caller in Caller), TRUST]

PRINCIPAL = r"arn:(?P<partition>aws[a-z-]*):iam::(?P<account>\d{12}):(?:role|user)/[\w+=,.@/-]+"
KEY = (
    r"(?:arn:(?P<partition>aws[a-z-]*):kms:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):key/)?"
    r"(?P<id>[0-9a-z-]+)"
)
CLUSTER = r"[A-Za-z][A-Za-z0-9-]{0,62}"
FORMS = {
    "account": (r"(?P<account>\d{12})", "an account number of 12 digits"),
    "region": (r"(?P<region>[a-z]{2,}(?:-[a-z]+)+-\d+)", "a Region: eu-west-1"),
    "cluster": (CLUSTER, "the id of a DB cluster"),
    "instance": (CLUSTER, "the id of a DB instance"),
    "other_cluster": (CLUSTER, "the id of a DB cluster"),
    "other_instance": (CLUSTER, "the id of a DB instance"),
    "key": (KEY, "a key's id or ARN (a policy takes no alias)"),
    "principal": (PRINCIPAL, "the ARN of an IAM role or user"),
    "switch_role": (PRINCIPAL, "the ARN of an IAM role"),
    "secret": (
        r"(?:arn:(?P<partition>aws[a-z-]*):secretsmanager:(?P<region>[a-z0-9-]+):"
        r"(?P<account>\d{12}):secret:)?[\w/+=.@!-]{1,519}",
        "the name or the ARN of a secret",
    ),
    "queue": (
        r"(?:arn:(?P<partition>aws[a-z-]*):sqs:(?P<region>[a-z0-9-]+):|https?://[^/\s]{1,255}/)"
        r"(?P<account>\d{12})[:/](?P<id>[\w-]{1,80})",
        "the ARN or the URL of an SQS queue",
    ),
    # It may be of another Region than the run.
    "topic": (r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}", "the ARN of an SNS topic"),
    "database_user": (r"[^\s*?/$]{1,63}", "the name of a database user"),
}
PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}


@click.command("policy")
@click.argument("name", type=click.Choice(NAMES))
@click.option("--account", default="", help="The account's number; else any, or that of an ARN.")
@click.option(
    "--region", default="", envvar=["AWS_REGION", "AWS_DEFAULT_REGION"], help="Else AWS_REGION."
)
@click.option("--cluster", default="", envvar="CHAOS_CLUSTER_ID", help="Else CHAOS_CLUSTER_ID.")
@click.option(
    "--instance",
    default="",
    envvar="CHAOS_INSTANCE_ID",
    help="In its place an instance that is no cluster's; else CHAOS_INSTANCE_ID.",
)
@click.option(
    "--other-cluster",
    "others",
    multiple=True,
    help="Under the same key, of a run with CHAOS_BLAST_RADIUS; can be repeated.",
)
@click.option("--other-instance", "alone", multiple=True, help="The same, of instances.")
@click.option("--key", default="", envvar="CHAOS_KEY_ID", help="Id or ARN; else CHAOS_KEY_ID.")
@click.option("--principal", default="", help="The ARN of the role or user that gets the policy.")
@click.option(
    "--switch-role",
    default="",
    envvar="CHAOS_SWITCH_ROLE",
    help=f"The switch's role; else CHAOS_SWITCH_ROLE, or {SWITCH_ROLE}.",
)
@click.option(
    "--secret",
    default="",
    envvar="CHAOS_DATABASE_SECRET",
    help="With the database's password; else CHAOS_DATABASE_SECRET.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    type=click.Choice(sorted(FAULTS)),
    default=USUAL,
    show_default=True,
    help="That is to be injected; can be repeated.",
)
@click.option(
    "--queue",
    default="",
    envvar="CHAOS_EVENTS_QUEUE",
    help="To which EventBridge sends RDS' events: its ARN or URL; else CHAOS_EVENTS_QUEUE.",
)
@click.option(
    "--topic",
    default="",
    envvar="CHAOS_NOTIFY_TOPIC",
    help="The SNS topic that is told of runs, by its ARN; else CHAOS_NOTIFY_TOPIC.",
)
@click.option("--database-user", default="", help="Who logs in with CHAOS_DATABASE_AUTH=iam.")
def command(
    name: str, faults: Sequence[str], others: Sequence[str], alone: Sequence[str], **given: str
) -> None:
    """Print an IAM policy: exactly what is needed, and nothing else.

    `probe` for probes and the doctor, `run` for experiments, `watch` for one that only watches what
    others do (it changes nothing), `make` beside `run` for those that make keys, clusters and
    snapshots, `secondary` beside it for those that use what a cluster's other keys encrypt (secret,
    Performance Insights, activity stream), `switch` for the role as which EventBridge Scheduler
    puts the key back, `switch-trust` for that role's trust policy.

    What is not given is `*`. The key can be taken away only where it carries the tag
    chaos:allow=kms (a custom key store cannot carry one: what is about stores is allowed for all of
    them); it can be put back where it does or is named here. What `make` makes gets the
    tag chaos:run, and nothing without it can be removed.
    """
    place = _place(given, _others(others, alone))
    target, own = needs_of(faults)
    if name == Caller.SWITCH.value and not any(switch.can(each.undo) for each in target):
        raise click.ClickException(f"no switch can put back {', '.join(faults)}")
    document = trust(place) if name == TRUST else policy(Caller(name), place, target, own)
    click.echo(json.dumps(document, indent=2))


def _others(clusters: Sequence[str], instances: Sequence[str]) -> tuple[str, ...]:
    """Raises click.ClickException as `_place`, and for more than a run brings back."""
    for option, given in (("other_cluster", clusters), ("other_instance", instances)):
        for each in given:
            _form(option, each)
    found = [*clusters, *(f"{rds.INSTANCE.prefix}{each}" for each in instances)]
    if len(found) >= MOST_CLUSTERS:
        raise click.ClickException(
            f"a run brings back at most {MOST_CLUSTERS - 1} databases beside its own, not "
            f"{len(found)}"
        )
    return tuple(dict.fromkeys(found))


def _place(given: dict[str, str], others: tuple[str, ...]) -> Place:
    """Raises click.ClickException with one sentence for what cannot be."""
    said: dict[str, str] = {}
    for option, text in given.items():
        if not text:
            continue
        fits = _form(option, text)
        for part in ("partition", "account", "region"):
            found = fits.groupdict().get(part)
            if found and said.setdefault(part, found) != found:
                raise click.ClickException(
                    f"{_option(option)} is of the {part} {found}, and the others are of "
                    f"{said[part]}"
                )
        said[option] = fits.groupdict().get("id") or text
    if instance := said.pop("instance", ""):
        if "cluster" in said:
            raise click.ClickException(
                "--cluster (or CHAOS_CLUSTER_ID) and --instance (or CHAOS_INSTANCE_ID) each name "
                "the database of the run: leave one out"
            )
        said["cluster"] = f"{rds.INSTANCE.prefix}{instance}"
    if "region" in said and "partition" not in said:
        of = (p for start, p in PARTITIONS.items() if said["region"].startswith(start))
        said["partition"] = next(of, "aws")
    return Place(others=others, **said)


def _form(option: str, text: str) -> re.Match[str]:
    """Raises click.ClickException unless the text is as the option's has to be."""
    form, what = FORMS[option]
    if fits := re.fullmatch(form, text, re.ASCII):
        return fits
    shown = text if len(text) <= 60 else f"{text[:59]}…"
    raise click.ClickException(f"{_option(option)} must be {what}, not {shown!r}")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
