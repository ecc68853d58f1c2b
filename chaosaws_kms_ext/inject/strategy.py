"""How `chaos run` was started: whether it will run the rollbacks that put a key back.

Chaos Toolkit does not tell an action. The control, where an experiment names it, checks the whole
experiment by stricter rules (controls/experiment_rules.py).
"""

from __future__ import annotations

import contextlib
from typing import Any

import click
from chaoslib.exceptions import ChaosException
from chaoslib.loader import load_experiment
from chaoslib.settings import get_loaded_settings

from chaosaws_kms_ext.run import Refused

__all__ = ["LEAVES_IT", "refuse_without_rollbacks", "rollback_strategy"]

LEAVES_IT = frozenset({"deviated", "never"})
"""Rollback strategies under which a run without a failure does not put its key back."""


STARTED = click.get_current_context(silent=True)
"""The command in which this module was imported: Chaos Toolkit does that when it looks through the
experiment, before anything is run."""


def refuse_without_rollbacks() -> None:
    """Raises Refused if the rollbacks of this run will not be run."""
    if (strategy := rollback_strategy()) in LEAVES_IT:
        raise Refused(
            f"the rollbacks strategy is {strategy}, so nobody would put the key back: the fault is "
            "not injected. Leave the option --rollback-strategy and the runtime block out, or make "
            "it always"
        )


def rollback_strategy() -> str:
    """The strategy that Chaos Toolkit uses: the command line's, else the experiment's, else that of
    the settings file.

    Empty where that is not known, as outside of `chaos run`.
    """
    # In a thread (of an activity in the background) there is no context of its own.
    command = click.get_current_context(silent=True) or STARTED
    if command is None:
        return ""
    if given := command.params.get("rollback_strategy"):
        return str(given)
    settings = get_loaded_settings() or {}
    with contextlib.suppress(ChaosException, OSError):
        experiment = load_experiment(str(command.params.get("source") or ""))
        if experiment.get("runtime"):
            return _declared(experiment)
    return _declared(settings)


def _declared(said: Any) -> str:
    try:
        return str(said["runtime"]["rollbacks"]["strategy"])
    except (KeyError, TypeError):
        return ""
