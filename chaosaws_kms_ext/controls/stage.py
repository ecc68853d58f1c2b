"""What stands before the gate: settings, lab, guard, folder, watcher, load."""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import click
from chaoslib.types import Configuration, Experiment

from chaosaws_kms_ext import aws
from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext import settings as our_settings
from chaosaws_kms_ext.aurora.watcher import Watcher, watch
from chaosaws_kms_ext.controls.stop_conditions import StopConditions
from chaosaws_kms_ext.faults import Fault, check_arguments, named
from chaosaws_kms_ext.inject.injection import last_resort, refuse_without_switch
from chaosaws_kms_ext.inject.open_faults import OpenFaults
from chaosaws_kms_ext.inject.safeguards import Safeguards
from chaosaws_kms_ext.kms.actions import FACES
from chaosaws_kms_ext.lab_client.local_lab import LocalLab, only_the_lab
from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours, NotALab
from chaosaws_kms_ext.load import loads
from chaosaws_kms_ext.load.loads import Loads
from chaosaws_kms_ext.load.passwords import Passwords, passwords
from chaosaws_kms_ext.load.reach import reach
from chaosaws_kms_ext.load.schema import LoadFailed
from chaosaws_kms_ext.report import objectives as objective_table
from chaosaws_kms_ext.report.screen import Screen
from chaosaws_kms_ext.run import Happened, Refused, Run
from chaosaws_kms_ext.safety import guard, leftovers, made, permissions
from chaosaws_kms_ext.safety.guard import Target
from chaosaws_kms_ext.safety.needs import Needs
from chaosaws_kms_ext.settings import BadSetting
from chaosaws_kms_ext.waiting import Observer

__all__ = ["ON", "begin", "bring_up", "injects", "ours"]

logger = logging.getLogger("chaostoolkit")

ON = ("cluster", "key", "nothing")
"""What an experiment is about: this run's cluster, under load; its key alone; or only what it makes
itself."""

STRATEGIES = {
    "hypothesis": ("before-method-only", "after-method-only"),
    "rollbacks": ("always",),
}
"""With any other, a run could end with the key disabled, or not ask its hypothesis at all."""

DURING_OUTAGE = "before-method-only"
"""The only strategy of an experiment that takes the key of somebody's cluster away: there is no
fault before the gate has held, and afterwards an outage would count as a deviation."""

UNDOES = frozenset(face.undo for face in FACES.values())
"""Actions that put back every fault of the run."""

MAKERS = frozenset({
    "copy_cluster_snapshot", "create_cluster_snapshot", "create_encrypted_cluster",
    "create_is_refused", "create_key", "restore_cluster", "restore_is_refused",
})  # fmt: skip
"""Actions that make what `clean_up` removes."""

MB = 2**20
ROOM = 16 * MB
"""Bytes that a report may need beside its records."""
RECORD = 100
"""Bytes of one operation's record at most; measured: 65."""

OPTIONS = {"hypothesis": "hypothesis_strategy", "rollbacks": "rollback_strategy"}
"""The parameters of `chaos run` that override them."""


def begin(
    experiment: Experiment,
    name: str,
    objectives: list[str],
    on: str,
    configuration: Configuration,
) -> Run:
    """The run, if its settings and its experiment allow one; raises BadSetting or Refused."""
    try:
        settings = our_settings.parse(configuration, needs_cluster=on != "nothing")
    except BadSetting:
        # The rollbacks come next and must find a run in which there is nothing to undo.
        runs.begin(our_settings.Settings(), name)
        raise
    run = runs.begin(settings, name)
    if experiment.get("dry"):
        raise Refused("a dry run measures nothing: run the experiment on the lab instead")
    if on not in ON:
        raise Refused(f"the control's argument `on` must be one of {', '.join(ON)}, not {on!r:.60}")
    _check_order(experiment, on)
    if unknown := set(objectives) - set(objective_table.OBJECTIVES):
        known = ", ".join(objective_table.OBJECTIVES)
        raise Refused(f"no objective is called {', '.join(sorted(unknown))}: there are {known}")
    return run


def _check_order(experiment: Experiment, on: str) -> None:
    """Raises Refused where the experiment, as it would run, could leave something undone."""
    method = experiment.get("method") or []
    done, undone = _functions(method), _rollbacks(experiment)
    for part, allowed in STRATEGIES.items():
        outage = part == "hypothesis" and on != "nothing" and injects(experiment)
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
    if injected([each for each in method if each.get("background")]):
        raise Refused("a fault in the background could not be put back in order: run it in turn")
    for provider in _ours(method):
        face = FACES.get(str(provider.get("func")))
        if face and _fault_of(provider) and not UNDOES & undone:
            raise Refused(f"the experiment takes a key away: its rollbacks must call {face.undo}")
    if (making := sorted(MAKERS & done)) and "clean_up" not in undone:
        raise Refused(f"the experiment calls {making[0]}: its rollbacks must call clean_up")


def injects(experiment: Experiment) -> bool:
    """Whether it takes a key away."""
    return bool(injected(experiment.get("method") or []))


def injected(activities: list[dict[str, Any]]) -> list[type[Fault]]:
    """The faults that these activities inject; raises Refused for a name that there is not."""
    found = [_fault_of(provider) for provider in _ours(activities)]
    return [each for each in found if each]


def _fault_of(provider: dict[str, Any]) -> type[Fault] | None:
    face = FACES.get(str(provider.get("func")))
    arguments = provider.get("arguments")
    given = arguments if isinstance(arguments, dict) else {}
    name = face.fault(given) if face else ""
    if not name:
        return None
    kind = named(name)
    more = given.get("arguments")
    if provider.get("func") == "inject_fault" and isinstance(more, dict):
        check_arguments(kind, more)
    return kind


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


def bring_up(
    run: Run,
    experiment: Experiment,
    on: str,
    configuration: Configuration,
    stack: contextlib.ExitStack,
) -> None:
    """Starts what the run needs, until the load is steady; `stack` puts it down again."""
    settings = run.settings
    _arm_signals(run, stack)
    screen = Screen(lambda: _facts(run))
    run.put(Observer, screen)
    screen.open()
    stack.callback(screen.close)
    if settings.target == "lab":
        tls = settings.lab_tls == "yes"
        lab = LocalLab.start(settings.lab_speed, settings.lab_profile, tls=tls)
        stack.callback(lab.stop)
        run.put(LocalLab, lab)
        stack.enter_context(only_the_lab(lab))
        _order_misbehaviours(lab, settings.lab_faults)
    door = aws.of(run)
    _tell_of_leftovers()
    faults = [each for each in injected(experiment.get("method") or []) if each.on == "target"]
    for each in faults:
        refuse_without_switch(run, each.needs.undo)
    if on != "nothing":
        cluster_id = settings.cluster_id or run.part(LocalLab).clusters[0]["id"]
        run.put(Target, _target(run, door, cluster_id, faults))
        _keep_passwords(run, door, run.part(Target), stack)
    stack.callback(last_resort, run)
    who = permissions.identity(door)
    if configuration is not None:
        # For the experiment's own and other extensions' activities, as ${cluster_id}.
        configuration.update(
            aws_region=door.region,
            run_id=run.id,
            account=who.account,
            partition=who.arn.split(":")[1],
            caller=permissions.role_of(door, who) or who.principal,
        )
    _open_folder(run, on)
    conditions = StopConditions(run, door, settings.stop_alarms, settings.status_poll)
    conditions.start()
    stack.callback(conditions.stop)
    run.put(StopConditions, conditions)
    run.put(Loads, Loads())
    stack.callback(_put_loads_away, run)
    if run.has(Target):
        target = run.part(Target)
        if configuration is not None:
            configuration.update(cluster_id=target.cluster.id, key_arn=target.key.arn)
    if on == "cluster":
        stack.callback(watch(run, door, target.cluster.id, target.key.arn).stop)
        loads.start(run, loads.MAIN, target.cluster.id, reach(run, target.cluster))
    run.event(Happened.READY, caller=who.arn)
    what = f"cluster {run.part(Target).cluster.id}" if run.has(Target) else "nothing of others"
    logger.info(f"Run {run.id} on {settings.target}: {what}, {run.folder}")


def _tell_of_leftovers() -> None:
    found, problems = made.leftovers()
    for each in found:
        things = ", ".join(map(str, each.things))
        logger.warning(f"run {each.run} left {things}: `chaos kms restore` removes it")
    for problem in problems:
        logger.warning(problem)


def _target(run: Run, door: aws.Aws, cluster_id: str, faults: Sequence[type[Fault]]) -> Target:
    """The cluster and its key: guarded if the key is to be taken away, else as they are."""
    if not faults:
        return guard.find(door, cluster_id, run.settings.key_id)
    lab = run.find(LocalLab)
    leftovers.refuse(cluster_id, lab.id if lab else "")
    needs = Needs.all_of(each.needs for each in faults)
    target = guard.ask(door, run.settings, cluster_id, needs, run.settings.key_id)
    Safeguards.ensure(run, door, target.cluster.id, target.key.arn, needs.undo)
    return target


def _arm_signals(run: Run, stack: contextlib.ExitStack) -> None:
    """Every signal that ends a run ends it as Ctrl-C does: with its rollbacks.

    Chaos Toolkit 1.19 swallows SIGTERM inside a Python activity, and SIGUSR2 would skip the
    rollbacks; SystemExit with this code does neither.
    """

    def stop(number: int, _: FrameType | None) -> None:
        name = signal.Signals(number).name
        if not run.interrupted:
            run.interrupted = run.stopping or name
            logger.warning(f"Stopped by {run.interrupted}: {_what_follows(run)}")
        else:
            logger.warning(
                f"Stopped again, by {name}: the key is put back, and nothing waited for."
            )
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(20)

    for number in (
        signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2,
    ):  # fmt: skip
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue  # nohup
        before = signal.signal(number, stop)
        stack.callback(signal.signal, number, before)


def _what_follows(run: Run) -> str:
    """What a run still does that was interrupted once."""
    if not run.part(OpenFaults, OpenFaults).key_away:
        return "no key is away; what is up goes down."
    if run.settings.target == "lab":
        return "the key is put back, and the lab goes down."
    return (
        "the key is put back, and the recovery measured; once more (Ctrl-C), and only the key "
        "is put back."
    )


def _order_misbehaviours(lab: LocalLab, orders: Iterable[Mapping[str, Any]]) -> None:
    try:
        for order in orders:
            Misbehaviours.of(lab).order(**order)
    except (NotALab, TypeError) as problem:
        raise Refused(f"CHAOS_LAB_FAULTS: {problem}") from None


def _keep_passwords(run: Run, door: aws.Aws, target: Target, stack: contextlib.ExitStack) -> None:
    """Sees to it that whoever connects finds the newest password."""
    if run.settings.database_auth == "libpq":
        return  # which finds it by itself
    kept = passwords(door, run.settings, target.cluster, target.key.arn)
    stack.callback(kept.stop)
    kept.start()
    run.put(Passwords, kept)


def _open_folder(run: Run, on: str) -> None:
    """Makes it, if there is room for all that the run may write; raises Refused."""
    settings = run.settings
    where = f"CHAOS_REPORTS_DIR={settings.reports_dir}"
    records = settings.load_rate * settings.longest_run if on == "cluster" else 0.0
    needed = int(ROOM + records * RECORD)
    try:
        disk = shutil.disk_usage(_existing(Path(settings.reports_dir)))
        if disk.total and disk.free < needed:  # one without any room is none: /proc, say
            raise Refused(
                f"there is room for {disk.free / MB:.0f} MB at {where}, and a run as long as its "
                f"limits may write {needed / MB:.0f} MB: make room, or lower CHAOS_LOAD_RATE"
            )
        run.open_folder()
    except OSError as problem:
        raise Refused(f"no report can be written to {where}: {problem}") from None


def _existing(path: Path) -> Path:
    """The folder, or the one in which it would be made."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())


def _put_loads_away(run: Run) -> None:
    for load in run.part(Loads):
        load.stop()
        try:
            loads.drop_schema(run, load, timeout=1 if run.interrupted else 10)
        except LoadFailed as problem:
            logger.warning(
                f"the load's schema chaos_kms could not be dropped: {problem}; "
                "`chaos kms restore` drops it"
            )


def _facts(run: Run) -> str:
    """The live line's end: load, key, and the cluster's status, which is the longest."""
    facts = []
    main = run.part(Loads, Loads).get(loads.MAIN)
    if main and main.running:
        window = main.window(1.0)
        facts.append(f"{window.answered:.0f} answered/s, {window.failing:.0f} failing/s")
    if run.has(Watcher) and (look := run.part(Watcher).latest):
        facts += [f"key {look.key_state}", f"cluster {look.cluster.status}"]
    return " · ".join(facts)
