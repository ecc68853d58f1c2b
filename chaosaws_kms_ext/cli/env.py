"""`chaos kms env`: the settings that a CloudFormation stack has as outputs, for a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

import click

from chaosaws_kms_ext.aws import stacks
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.settings.sources import NAMES, parse

__all__ = ["command", "variables"]

WORD = re.compile(r"[A-Z][a-z0-9]*")


@click.command("env")
@click.option(
    "--stack", required=True, help="The name or the ARN of the stack (deploy/staging.yaml)."
)
@click.option("--region", default="", help="Where it is; else AWS_REGION, or the profile's.")
def command(stack: str, region: str) -> None:
    """Print the variables of a CloudFormation stack: eval "$(chaos kms env --stack NAME)".

    An output ChaosClusterId becomes CHAOS_CLUSTER_ID, if that is a setting; other outputs are left
    out. AWS_REGION is the stack's own. Changes nothing; takes cloudformation:DescribeStacks. If the
    stack is not there, is not finished or has a value that is no good, no variable is printed but
    `false`, by which eval fails as well; the exit status is 1, and the reason is on stderr.
    """
    try:
        found = stacks.describe(Aws(region), stack)
        exported = {"AWS_REGION": found.region, **_settings(found)}
    except PlainError as problem:
        # The shell's eval has no other status: what comes after it would run with other settings,
        # on the lab, say.
        click.echo("false")
        raise click.ClickException(str(problem)) from None
    for name, value in exported.items():
        click.echo(f"export {name}={shlex.quote(value)}")


def variables(outputs: Mapping[str, str]) -> dict[str, str]:
    """The variables of our settings among a stack's outputs, whose names take letters only."""
    named = {_variable(name): value for name, value in outputs.items()}
    return {name: named[name] for name in sorted(named) if name in NAMES}


def _settings(stack: stacks.Stack) -> dict[str, str]:
    """Raises PlainError if there are none, or a run would refuse them."""
    found = variables(stack.outputs)
    if not found:
        raise PlainError(
            f"the stack {stack.name} has no output that is a setting (ChaosClusterId, say): it is "
            "not one of deploy/staging.yaml"
        )
    parse(environ=found)
    return found


def _variable(output: str) -> str:
    words = WORD.findall(output)
    return "_".join(words).upper() if "".join(words) == output else ""
