"""The rules for an experiment, so that nothing is left broken and everything is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click
from chaoslib.types import Experiment

from chaosaws_kms_ext.checkers.objectives import (
    BadObjective,
    read_not_worse,
    read_objectives,
)
from chaosaws_kms_ext.faults import Fault, named
from chaosaws_kms_ext.history.earlier import NotWorse
from chaosaws_kms_ext.kms.faces import FACES
from chaosaws_kms_ext.run import Refused

__all__ = [
    "ON",
    "Asked",
    "Loss",
    "check",
    "expects_outage",
    "injected",
    "injects",
    "losses",
    "ours",
    "refuse_on_aws",
    "watches",
]

ON = ("cluster", "key", "nothing")
"""What an experiment is about: this run's cluster, under load; its key alone; or only what it makes
itself."""

STRATEGIES = {
    "hypothesis": ("before-method-only", "after-method-only"),
    "rollbacks": ("always",),
}
"""With any other, a run could end with the key disabled, or never check its hypothesis."""

DURING_OUTAGE = "before-method-only"
"""The only strategy of an experiment that takes the key of somebody's cluster away: the
hypothesis has to hold before the fault, and after it an outage would count as a deviation."""

UNDOES = frozenset(face.undo for face in FACES.values())
"""Actions that put back every fault of the run."""

MAKERS = frozenset({
    "copy_cluster_snapshot", "create_cluster_snapshot", "create_encrypted_cluster",
    "create_is_refused", "create_key", "restore_latest_is_refused", "restore_cluster",
    "restore_is_refused", "restore_latest",
})  # fmt: skip
"""Actions that make what `clean_up` removes."""

WATCHES = "wait_until_key_is_taken"
"""The probe of an experiment that only watches what somebody else does."""
LAB_ONLY = frozenset({"stays_terminal", "wait_until_terminal"})
"""What an experiment calls only if it loses a cluster for good."""

OPTIONS = {"hypothesis": "hypothesis_strategy", "rollbacks": "rollback_strategy"}
"""The parameters of `chaos run` that override them."""


class Asked(NamedTuple):
    """What an experiment asks for."""

    objectives: Mapping[str, float | None]
    """Each with its own limit, or None."""
    not_worse: Mapping[str, NotWorse]
    """Those that are held against earlier runs."""


class Loss(NamedTuple):
    """A fault of an experiment, and the key that it takes."""

    fault: type[Fault]
    key_of: str
    """Which secondary key of the cluster (aws/secondary_keys.py); empty: that of its storage."""
    if_there: bool
    """Whether a cluster without such a key is no reason to refuse the run."""


def check(experiment: Experiment, objectives: Sequence[Any], on: str) -> Asked:
    """The objectives; raises Refused for an experiment that may not be run as it is."""
    if experiment.get("dry"):
        raise Refused("a dry run measures nothing: run the experiment on the lab instead")
    if on not in ON:
        raise Refused(f"the control's argument `on` must be one of {', '.join(ON)}, not {on!r:.60}")
    _check_order(experiment, on)
    try:
        return Asked(read_objectives(objectives), read_not_worse(objectives))
    except BadObjective as problem:
        raise Refused(str(problem)) from None


def refuse_on_aws(experiment: Experiment) -> None:
    """Raises Refused for an experiment that is for the lab only."""
    calls = {
        str((each.get("provider") or {}).get("func"))
        for each in _activities(experiment)
        if ours(each)
    }
    if calls & LAB_ONLY:
        raise Refused(
            "this experiment loses its cluster for good, so it runs on the lab only: leave "
            "CHAOS_TARGET out"
        )


def _check_order(experiment: Experiment, on: str) -> None:
    """Raises Refused where the experiment, as it would run, could leave something undone."""
    method = experiment.get("method") or []
    done, undone = _functions(method), _rollbacks(experiment)
    for part, allowed in STRATEGIES.items():
        loses_key = injects(experiment) or watches(experiment)
        outage = part == "hypothesis" and on != "nothing" and loses_key
        wanted = (DURING_OUTAGE,) if outage else allowed
        declared, given = _strategies(experiment, part)
        strategy = given or declared
        if strategy not in wanted or strategy != (declared or strategy):
            raise Refused(
                f"the {part} strategy is {strategy or 'not set'}, and must be "
                f"{declared if declared in wanted else ' or '.join(wanted)}: leave the command "
                "line's option and the experiment's runtime block as they were"
            )
    if any(each.on == "target" for each in injected(method)) and on != "cluster":
        raise Refused(
            "the experiment takes a cluster's key away: its control's argument `on` must be cluster"
        )
    if dry := [each for each in _activities(experiment) if each.get("dry")]:
        raise Refused(f"{dry[0].get('name')} is dry: what does not run measures nothing")
    for control in experiment.get("controls") or []:
        module = (control.get("provider") or {}).get("module")
        if module == "chaosaws_kms_ext.controls.run" and control.get("scope"):
            raise Refused("the control has a scope, so nobody would judge the run: leave it out")
    if watches(experiment):
        _check_watching(experiment, on)
    if injected([each for each in method if each.get("background")]):
        raise Refused("a fault in the background could not be put back in order: run it in turn")
    for provider in _ours(method):
        face = FACES.get(str(provider.get("func")))
        if face and _losses_of(provider) and not UNDOES & undone:
            raise Refused(f"the experiment takes a key away: its rollbacks must call {face.undo}")
    if (making := sorted(MAKERS & done)) and "clean_up" not in undone:
        raise Refused(f"the experiment calls {making[0]}: its rollbacks must call clean_up")


def injects(experiment: Experiment) -> bool:
    """Whether it takes a key away."""
    return bool(injected(experiment.get("method") or []))


def expects_outage(experiment: Experiment, said: object = True) -> bool:
    """Whether it takes a key away without which a cluster goes down (not a secondary one), and the
    control's argument `expects_outage` (`said`) does not say no.

    Raises Refused for what that argument cannot be.
    """
    if not isinstance(said, bool):
        raise Refused(f"the control's argument `expects_outage` is true or false, not {said!r:.60}")
    if not said and watches(experiment):
        raise Refused(
            f"an experiment with {WATCHES} takes no argument `expects_outage`: leave it out, and "
            "set CHAOS_EXPECT_LOSS=no if nobody is to take the key away"
        )
    return said and any(not each.key_of for each in losses(experiment.get("method") or []))


def watches(experiment: Experiment) -> bool:
    """Whether it only watches what somebody else does to the key."""
    return WATCHES in _functions(experiment.get("method") or [])


def _check_watching(experiment: Experiment, on: str) -> None:
    """Raises Refused where an experiment that watches would change something itself."""
    if on != "cluster":
        raise Refused(f"{WATCHES} watches a cluster: the control's argument `on` must be cluster")
    for activity in filter(ours, _activities(experiment)):
        provider = activity["provider"]
        _, package, module = str(provider["module"]).split(".", 2)
        changes = module == "actions" and package != "load"
        if changes or provider.get("func") in FACES:
            raise Refused(
                f"an experiment with {WATCHES} changes nothing of AWS, and {activity.get('name')} "
                f"may: leave {provider.get('func')} out"
            )


def injected(activities: list[dict[str, Any]]) -> list[type[Fault]]:
    """The faults that these activities inject, in their order; raises Refused for a name that there
    is not, and for faults of one step that cannot be composed."""
    return [each.fault for each in losses(activities)]


def losses(activities: list[dict[str, Any]]) -> list[Loss]:
    """The same, each with the key that it takes."""
    return [loss for provider in _ours(activities) for loss in _losses_of(provider)]


def _losses_of(provider: dict[str, Any]) -> list[Loss]:
    face = FACES.get(str(provider.get("func")))
    if face is None:
        return []
    arguments = provider.get("arguments")
    given = arguments if isinstance(arguments, dict) else {}
    key_of, if_there = face.key_of(given), given.get("if_there") is True
    return [Loss(named(each.name), key_of, if_there) for each in face.faults(given)]


def _rollbacks(experiment: Experiment) -> set[str]:
    return _functions([a for a in experiment.get("rollbacks") or [] if not a.get("background")])


def _functions(activities: list[dict[str, Any]]) -> set[str]:
    """The names of our functions that these activities call."""
    return {str(provider.get("func")) for provider in _ours(activities)}


def _ours(activities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [activity["provider"] for activity in activities if ours(activity)]


def ours(activity: dict[str, Any]) -> bool:
    """Whether an activity is one of this extension's."""
    return str(activity.get("provider", {}).get("module", "")).startswith("chaosaws_kms_ext.")


def _activities(experiment: Experiment) -> list[dict[str, Any]]:
    hypothesis = experiment.get("steady-state-hypothesis") or {}
    parts = (experiment.get("method"), hypothesis.get("probes"), experiment.get("rollbacks"))
    return [activity for part in parts for activity in part or []]


def _strategies(experiment: Experiment, part: str) -> tuple[str, str]:
    """The experiment's own strategy, and that of the command line, which overrides it."""
    command = click.get_current_context(silent=True)
    given = command.params.get(OPTIONS[part]) if command else None
    declared = (experiment.get("runtime") or {}).get(part) or {}
    return str(declared.get("strategy") or ""), str(given or "")
