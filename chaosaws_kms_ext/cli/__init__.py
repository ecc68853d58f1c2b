"""`chaos kms …`: one module a command, each a thin shell over what the packages below do."""

from __future__ import annotations

import importlib
from typing import cast

import click

__all__ = ["kms"]

COMMANDS = (
    "compare", "doctor", "env", "experiments", "export", "lab", "load-worker", "new", "plan",
    "policy", "report", "restore", "run", "runs", "show", "try", "watch",
)  # fmt: skip
"""The commands, each the `command` of the module of its name."""


class _Commands(click.Group):
    """Imports a command when it is asked for: every call of `chaos` imports this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        return cast(click.Command, module.command)


@click.group(cls=_Commands)
def kms() -> None:
    """KMS keys and the Aurora clusters that they encrypt."""
