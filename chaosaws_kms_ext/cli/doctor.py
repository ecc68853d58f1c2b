"""`chaos kms doctor`: may this target be attacked?"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import click

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.cli.all_clusters import list_all
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.guard import guard, leftovers
from chaosaws_kms_ext.guard.findings import Finding
from chaosaws_kms_ext.iam.needs import Needs
from chaosaws_kms_ext.lab_client.local_lab import LocalLab, only_the_lab
from chaosaws_kms_ext.lab_client.misbehaviours import order_all
from chaosaws_kms_ext.loadgen.conninfo import spoken
from chaosaws_kms_ext.settings import Settings, parse

__all__ = ["command"]


@click.command("doctor")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    type=click.Choice(sorted(name for name, each in FAULTS.items() if each.on == "target")),
    default=["disable-key"],
    show_default=True,
    help="That is to be injected; can be repeated.",
)
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="List every database of the account instead, and what would be lost with its key.",
)
@click.option(
    "--region",
    "regions",
    multiple=True,
    help="With --all: only this Region; can be repeated. By default all that are enabled.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "html"]),
    default="table",
    show_default=True,
    help="With --all.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --all, as json or html: the file to write; else it is printed.",
)
def command(
    faults: Sequence[str], every: bool, regions: Sequence[str], form: str, output: Path | None
) -> None:
    """May this target be attacked? Looks at everything that the guard asks before a fault.

    Changes nothing, and puts nothing back. The target is that of the CHAOS_ variables; without
    any it is a lab, started for this. Exits with 0 if nothing speaks against it.

    With --all, by the credentials of the environment and on AWS: the clusters of the account and
    the encrypted instances that are no cluster's (as db:ID), their keys, what else of RDS is under
    these, backups under another key, and the newest run that CHAOS_REPORTS_DIR keeps of each. Exits
    with 1 if a Region could not be looked at.
    """
    if output and (not every or form == "table"):
        raise click.UsageError("--output goes with --all and --format json or html")
    if every:
        try:
            list_all(regions, form, output)
        except PlainError as problem:
            raise click.ClickException(str(problem)) from None
        return
    if regions:
        raise click.UsageError("--region goes with --all; one target's Region is AWS_REGION")
    try:
        settings = parse()
        cluster, findings = _findings(settings, [FAULTS[each].needs for each in faults])
    except PlainError as problem:
        raise click.ClickException(str(problem)) from None
    for each in findings:
        state = each.state.upper() if each.state == "refused" else each.state
        click.echo(f"{state:<9} {each.about:<13} {each.why}")
    if wrong := sum(each.state == "refused" for each in findings):
        raise click.ClickException(f"{cluster} may not be attacked: {wrong} of these speak against")
    where = "" if settings.target == "aws" else ", on a lab that was started for this"
    click.echo(f"{cluster} may be attacked{where}.")


def _findings(settings: Settings, needs: Sequence[Needs]) -> tuple[str, list[Finding]]:
    """The target's id, and what the guard finds; a lab is there while it looks."""
    with contextlib.ExitStack() as stack:
        cluster, lab_id = settings.target_id, ""
        if settings.target == "lab":
            lab = LocalLab.of(settings)
            stack.callback(lab.stop)
            order_all(lab, settings.lab_faults)
            stack.enter_context(only_the_lab(lab))
            cluster, lab_id = lab.clusters[0]["id"], lab.id
        inspection = guard.inspect(Aws(), settings, cluster, Needs.all_of(needs), settings.key_id)
        names, load = {cluster}, []
        if target := inspection.target:
            names |= {target.cluster.id, target.key.arn}
            load = [spoken(target.cluster, settings.database)]
        return cluster, [*inspection.findings, *load, *leftovers.look(names, lab_id)]
