"""`chaos kms plan`: several experiments in order, refused as a whole or begun."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path

import click

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.plans.checks import Checked, Refusals, check
from chaosaws_kms_ext.plans.execute import Interruptions, execute, only_plan
from chaosaws_kms_ext.plans.plan import Plan, read
from chaosaws_kms_ext.plans.report import INDEX, write_report
from chaosaws_kms_ext.plans.state import PlanState

__all__ = ["command"]


@click.command("plan")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--check",
    "--dry-run",
    "only_check",
    is_flag=True,
    help="Only look whether it may be begun: changes nothing.",
)
@click.option("--go-on", is_flag=True, help="Begin the next item also if one did not pass.")
def command(file: Path, only_check: bool, go_on: bool) -> None:
    """Run several experiments in order, as FILE (TOML) says, with one report.

    First everything is checked that would refuse one of the runs: the settings, the experiments,
    and on AWS what `chaos kms doctor` asks. If anything speaks against one of them, none is begun.
    Then each is a `chaos run`; the plan ends at the first that does not pass. Ctrl-C ends the run
    that goes on, with its rollbacks, and the plan; once more, and only the key is put back.

    Leaves plan.json, summary.json, summary.md and index.html in CHAOS_REPORTS_DIR/plans. Exits with
    0 if every run passed, else with 1.
    """
    try:
        plan = read(file)
        plan = replace(plan, go_on=plan.go_on or go_on)
        if only_check:
            _checked(plan)
            return
        with only_plan(plan):
            passed = _carry_out(plan, _checked(plan))
    except (PlainError, OSError) as problem:
        raise click.ClickException(str(problem)) from None
    if not passed:
        raise click.exceptions.Exit(1)


def _checked(plan: Plan) -> list[Checked]:
    """What may be run; says so. Raises click.ClickException with a sentence for each refusal."""
    try:
        checked = check(plan, os.environ)
    except Refusals as problem:
        for sentence in problem.sentences:
            click.echo(f"REFUSED   {sentence}")
        raise click.ClickException(
            f"the plan {plan.name} is not begun: {len(problem.sentences)} things speak against it"
        ) from None
    for each in checked:
        where = f"on AWS, {each.cluster or 'no cluster'}" if each.settings.target == "aws" else ""
        click.echo(f"ok        {each.item.name}: {each.item.experiment}, {where or 'on the lab'}")
    click.echo(f"The plan {plan.name} may be begun: {len(checked)} experiments.")
    return checked


def _carry_out(plan: Plan, checked: list[Checked]) -> bool:
    """Whether all passed. Raises OSError."""
    interruptions = Interruptions()
    with interruptions.counted():
        state = PlanState.begin(plan, checked, Path(checked[0].settings.reports_dir))
        try:
            execute(plan, checked, state, os.environ, interruptions, click.echo)
        except OSError as problem:  # a full disk, say
            with contextlib.suppress(OSError):
                state.end(str(problem))
            raise
        finally:
            write_report(state.as_json(), state.folder)
    click.echo(f"{state.state}: {state.folder / INDEX}")
    return state.state == "passed"
