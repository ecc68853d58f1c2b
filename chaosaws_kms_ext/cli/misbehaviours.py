"""`chaos kms lab fault`: what a running lab is to do wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours

__all__ = ["command"]

POSITIVE = click.FloatRange(min=0, min_open=True)


@click.group("fault")
@click.option(
    "--endpoint", envvar="AWS_ENDPOINT_URL", default="", help="Of the lab; else AWS_ENDPOINT_URL."
)
@click.pass_context
def command(context: click.Context, endpoint: str) -> None:
    """Make a running lab misbehave: its API (`add`) or its databases (`data`).

    What was ordered holds until it has happened or its time is over, or until `clear`.
    """
    context.obj = endpoint


@command.command()
@click.argument("kind")
@click.argument("service")
@click.argument("operation", default="*")
@click.option("--count", type=click.IntRange(min=1), help="How many calls meet it.")
@click.option(
    "--for",
    "lasting",
    type=POSITIVE,
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


@command.command()
@click.argument("kind")
@click.argument("cluster", required=False)
@click.option("--writes", type=click.IntRange(min=1), help="How many rows are lost or changed (1).")
@click.option("--seed", type=int, help="Of the draw of the rows (0).")
@click.option(
    "--seconds",
    type=POSITIVE,
    help="How long an outage lasts, a key is away, or how much longer something takes, in AWS "
    "seconds.",
)
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), help="Of the sessions.")
@click.option(
    "--milliseconds", type=click.FloatRange(1), help="Of every answer, by the wall clock."
)
@click.option("--times", type=click.IntRange(min=1), help="How often the servers hang.")
@click.option("--down", type=POSITIVE, help="How long each time, in AWS seconds.")
@click.option("--up", type=POSITIVE, help="How long they work between, in AWS seconds.")
@click.option(
    "--when",
    type=click.Choice(["key-lost", "now"]),
    help="An outage begins when the key is lost the next time (so by default), or now.",
)
@click.option(
    "--code", help="Why a key store does not connect: a ConnectionErrorCode (NETWORK_ERRORS)."
)
@click.option(
    "--after",
    type=click.FloatRange(min=0),
    help="Until somebody takes the key away, in AWS seconds (0).",
)
@click.option(
    "--call",
    type=click.Choice(["DisableKey", "PutKeyPolicy"]),
    help="With which they do it (DisableKey).",
)
@click.pass_obj
def data(endpoint: str, /, **order: Any) -> None:
    """Order a misbehaviour of the data of CLUSTER, or of what its key protects.

    For the next time that its servers come back: lose-writes (a crash loses rows that had been
    acknowledged), change-writes (it changes them), slow-recovery, other-address (of the cluster
    endpoint), no-recovery (not before `clear`), drop-packets (until then, connections are neither
    refused nor answered).

    In place of the outage of the whole cluster when its key is lost the next time, or with --when
    now at once: freeze-share (a --share of the sessions hangs for --seconds), slow (every answer
    takes --milliseconds, for --seconds), flap (everything hangs for --down, --times times with --up
    between), lose-reader (the readers hang for --seconds).

    For the next copy of a snapshot of it: copy-keeps-key (it stays under the snapshot's key,
    whichever was asked for), copy-hides-key (and does not say so), row-changed-in-copy.

    Until `clear`: rotation-breaks-reads (what was encrypted before the next RotateKeyOnDemand of
    its key does not decrypt, and the cluster hangs), context-ignored (KMS decrypts with any
    encryption context), key-store-fails (custom key stores do not connect, and say --code),
    key-store-slow (they take --seconds longer), secret-outlives-key (secrets are read without their
    key), dependents-stay-lost (objects, queues, parameters and tables that lost their key do not
    come back with it), deny-ignored (no Deny of a key policy counts), import-breaks-reads (material
    that is imported again decrypts nothing), create-ignores-key (a new cluster is encrypted under
    RDS' own key). These eight take no CLUSTER. And terminal-comes-back (a cluster that is lost for
    good comes back once its key is usable), secondary-key-stops-cluster (without the key of its
    secret, insights or activity stream it goes down).

    Somebody else: key-taken-away (another caller takes its key away, --after so long, by --call,
    and gives it back --seconds later; CloudTrail names them).

    What really happened to data stands in the lab's truth.jsonl.
    """
    _show(lambda: Misbehaviours(endpoint).order(**order))


@command.command("list")
@click.pass_obj
def list_(endpoint: str) -> None:
    """Show the misbehaviours that hold."""
    _show(lambda: Misbehaviours(endpoint).holding())


@command.command()
@click.pass_obj
def clear(endpoint: str) -> None:
    """End all misbehaviours."""
    _show(lambda: Misbehaviours(endpoint).clear())


def _show(ask: Callable[[], list[dict[str, Any]]]) -> None:
    try:
        holding = ask()
    except PlainError as problem:
        raise click.ClickException(str(problem)) from None
    click.echo("\n".join(map(json.dumps, holding)) or "No misbehaviours.")
