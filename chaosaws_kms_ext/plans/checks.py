"""Whether a plan may be begun: everything that would refuse one of its runs, looked at before.

Changes nothing. The guard is asked of AWS for each item, as `chaos kms doctor` asks it; a lab has
nothing that could be harmed.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaoslib.exceptions import ChaosException
from chaoslib.experiment import ensure_experiment_is_valid

from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.controls import experiment_rules, guarded
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.files import read_plain
from chaosaws_kms_ext.guard import guard, leftovers
from chaosaws_kms_ext.loadgen.conninfo import refuse_unspoken, spoken
from chaosaws_kms_ext.plans.plan import Item, Plan
from chaosaws_kms_ext.report.files import kinds_of
from chaosaws_kms_ext.settings import Settings, parse
from chaosaws_kms_ext.text import shortened
from chaosaws_kms_ext.undo import switch

__all__ = ["Checked", "Refusals", "check"]

CONTROL = "chaosaws_kms_ext.controls.run"


class Refusals(PlainError):
    """Why a plan may not be begun: each in a sentence that names its item."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("; ".join(sentences))
        self.sentences = tuple(sentences)


@dataclass(frozen=True)
class Checked:
    """An item that may be run."""

    item: Item
    settings: Settings
    experiment: str
    """What its runs' folder is called."""
    cluster: str = ""
    """On AWS, where it is about one."""
    losing: Mapping[str, int] = field(default_factory=dict)
    """The ARN of a key that it takes away on AWS → how many things lose it."""


def check(plan: Plan, environ: Mapping[str, str]) -> list[Checked]:
    """Every item; raises Refusals with everything that speaks against the plan."""
    found, wrong = [], []
    for item in plan.items:
        try:
            found.append(_check(item, environ))
        except Refusals as problem:
            wrong += [f"{item.name}: {each}" for each in problem.sentences]
        except PlainError as problem:
            wrong.append(f"{item.name}: {problem}")
    wrong += _limit(plan, found)
    if wrong:
        raise Refusals(wrong)
    return found


def _limit(plan: Plan, checked: Sequence[Checked]) -> list[str]:
    """Why the plan as a whole takes too much away."""
    losing: dict[str, int] = {}
    for each in checked:
        for key, number in each.losing.items():
            losing[key] = max(losing.get(key, 0), number)
    together = sum(losing.values())
    if together <= plan.blast_radius:
        return []
    named = ", ".join(f"{key} ({number})" for key, number in losing.items())
    return [
        f"{together} things would lose their key over the whole plan, {named}, and blast_radius "
        f"is {plan.blast_radius}: set it to {together} if that is wanted"
    ]


def _check(item: Item, environ: Mapping[str, str]) -> Checked:
    experiment = _experiment(item)
    arguments = _arguments(experiment)
    on = str(arguments.get("on", "cluster"))
    configuration = {
        name: value
        for name, value in (experiment.get("configuration") or {}).items()
        if not isinstance(value, dict)  # what Chaos Toolkit finds out when the run begins
    }
    settings = parse(configuration, item.environment(environ), on != "nothing")
    kinds_of(settings.report_files)
    experiment_rules.check(experiment, arguments.get("objectives") or [], on)
    experiment_rules.expects_outage(experiment, arguments.get("expects_outage", True))
    name = str(arguments.get("experiment_name") or item.experiment.stem)
    if settings.target != "aws" or on == "nothing":
        return Checked(item, settings, name)
    try:
        return _on_aws(item, settings, name, experiment, on == "cluster")
    except AwsError as problem:
        raise Refusals([str(problem)]) from None


def _on_aws(
    item: Item, settings: Settings, name: str, experiment: Mapping[str, Any], loaded: bool
) -> Checked:
    """What the guard says of the cluster and of every key of it that is taken away; `loaded`:
    whether a load asks it. Raises PlainError."""
    aws = Aws(region=item.region)
    losses = experiment_rules.losses(list(experiment.get("method") or []))
    losses = [each for each in losses if each.fault.on == "target"]
    needs = guarded.needs_by_key(aws, settings.target_id, losses)
    if not needs:
        found = guard.find(aws, settings.target_id, settings.key_id)
        if loaded:
            refuse_unspoken(found.cluster, settings.database)
        return Checked(item, settings, name, found.cluster.id)
    wrong = []
    for undo in dict.fromkeys(each.fault.needs.undo for each in losses):
        can = not settings.switch_role or switch.can(undo)
        if not can and settings.without_switch == "no":
            wrong.append(switch.cannot(undo))
    names, cluster, losing = {settings.target_id}, "", dict[str, int]()
    for key_of, its in needs.items():
        key_id = guarded.named(settings, key_of)
        inspection = guard.inspect(aws, settings, settings.target_id, its, key_id, key_of)
        wrong += inspection.refusals
        if target := inspection.target:
            cluster = target.cluster.id
            names |= {cluster, target.key.arn}
            losing[target.key.arn] = 1 + settings.blast_radius
            load = spoken(target.cluster, settings.database)
            wrong += [load.why] if loaded and load.state == "refused" else []
    wrong += [each.why for each in leftovers.look(names, "") if each.state == "refused"]
    if wrong := list(dict.fromkeys(wrong)):  # what is said of the cluster is said for each key
        raise Refusals(wrong)
    return Checked(item, settings, name, cluster, losing)


def _experiment(item: Item) -> dict[str, Any]:
    """The experiment of an item; raises Refusals."""
    path = item.experiment
    try:
        content = json.loads(read_plain(path))
    except FileNotFoundError:
        raise Refusals([f"there is no experiment {path}: it is looked for from here"]) from None
    except OSError as problem:
        raise Refusals([f"{path} cannot be read: {problem.strerror or problem}"]) from None
    except (ValueError, RecursionError) as problem:
        raise Refusals([f"{path} is no JSON: {shortened(str(problem), 200)}"]) from None
    if not isinstance(content, dict) or _control(content) is None:
        raise Refusals([f"{path} is no experiment with the control {CONTROL}"])
    try:
        with _quiet():
            ensure_experiment_is_valid(content)
    except ChaosException as problem:
        why = shortened(" ".join(str(problem).split()), 300)
        raise Refusals([f"{path} is no valid experiment: {why}"]) from None
    return content


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Inside, Chaos Toolkit does not say that it looks at an experiment."""
    logger = logging.getLogger("chaostoolkit")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _control(experiment: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The provider of our control."""
    controls = experiment.get("controls")
    for control in controls if isinstance(controls, list) else []:
        provider = control.get("provider") if isinstance(control, dict) else None
        if isinstance(provider, dict) and provider.get("module") == CONTROL:
            return provider
    return None


def _arguments(experiment: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those of our control."""
    arguments = (_control(experiment) or {}).get("arguments")
    return arguments if isinstance(arguments, dict) else {}
