"""`chaos kms …`: one module a command, each a thin shell over what the packages below do."""

from __future__ import annotations

import click

from chaosaws_kms_ext.cli import doctor, lab, load_worker, misbehaviours, policy, report, restore

__all__ = ["kms"]


@click.group()
def kms() -> None:
    """KMS keys and the Aurora clusters that they encrypt."""


lab.command.add_command(misbehaviours.command)
for each in (doctor, lab, load_worker, policy, report, restore):
    kms.add_command(each.command)
