"""What stands before the gate: settings, lab, guard, folder, watcher, load."""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import click
from chaoslib.types import Configuration, Experiment

from chaosaws_kms_ext import aws
from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext import settings as our_settings
from chaosaws_kms_ext.aurora import api as aurora_api
from chaosaws_kms_ext.aurora.watcher import Watcher
from chaosaws_kms_ext.checkers.outage import ANSWERED
from chaosaws_kms_ext.controls.stop_conditions import StopConditions
from chaosaws_kms_ext.faults.injection import put_back
from chaosaws_kms_ext.faults.injections import Injections
from chaosaws_kms_ext.faults.nets import Nets
from chaosaws_kms_ext.lab_faults import LabFaults, NotALab
from chaosaws_kms_ext.load.load import Load, LoadConfig
from chaosaws_kms_ext.load.passwords import Passwords, passwords
from chaosaws_kms_ext.load.schema import LoadFailed
from chaosaws_kms_ext.local_lab import LocalLab, only_the_lab
from chaosaws_kms_ext.report import objectives as objective_table
from chaosaws_kms_ext.report.screen import Screen
from chaosaws_kms_ext.run import Happened, Refused, Run
from chaosaws_kms_ext.safety import guard, leftovers
from chaosaws_kms_ext.safety.guard import Target
from chaosaws_kms_ext.safety.replay import NotPutBack
from chaosaws_kms_ext.settings import BadSetting
from chaosaws_kms_ext.waiting import Observer

__all__ = ["STEADY_FOR", "STEADY_TIMEOUT", "begin", "bring_up", "last_resort"]

logger = logging.getLogger("chaostoolkit")

STEADY_FOR, STEADY_TIMEOUT = 2.0, 30.0
"""Seconds in which the arrivals are answered, and within which that has to be so."""

STRATEGIES = {"hypothesis": "before-method-only", "rollbacks": "always"}
"""With any other, a run could end with the key disabled, or call an outage a deviation."""

OPTIONS = {"hypothesis": "hypothesis_strategy", "rollbacks": "rollback_strategy"}
"""The parameters of `chaos run` that override them."""


def begin(
    experiment: Experiment, name: str, objectives: list[str], configuration: Configuration
) -> Run:
    """The run, if its settings and its experiment allow one; raises BadSetting or Refused."""
    try:
        settings = our_settings.parse(configuration)
    except BadSetting:
        # The rollbacks come next and must find a run in which there is nothing to undo.
        runs.begin(our_settings.Settings(), name)
        raise
    run = runs.begin(settings, name)
    if experiment.get("dry"):
        raise Refused("a dry run measures nothing: run the experiment on the lab instead")
    for part, wanted in STRATEGIES.items():
        if (strategy := _strategy(experiment, part)) != wanted:
            raise Refused(
                f"the {part} strategy is {strategy or 'not set'}, and must be {wanted}: leave the "
                "command line's option and the experiment's runtime block as they were"
            )
    if _injects(experiment) and not _puts_back(experiment):
        raise Refused("the experiment takes a key away: its rollbacks must call enable_key")
    if unknown := set(objectives) - set(objective_table.OBJECTIVES):
        known = ", ".join(objective_table.OBJECTIVES)
        raise Refused(f"no objective is called {', '.join(sorted(unknown))}: there are {known}")
    return run


def _injects(experiment: Experiment) -> bool:
    return "disable_key" in _functions(experiment.get("method") or [])


def _puts_back(experiment: Experiment) -> bool:
    in_turn = [a for a in experiment.get("rollbacks") or [] if not a.get("background")]
    return "enable_key" in _functions(in_turn)


def _functions(activities: list[dict[str, Any]]) -> set[str]:
    """The names of our functions that these activities call."""
    providers = [activity.get("provider", {}) for activity in activities]
    return {
        str(p.get("func"))
        for p in providers
        if str(p.get("module", "")).startswith("chaosaws_kms_ext.")
    }


def _strategy(experiment: Experiment, part: str) -> str:
    """The strategy that the run really has: the command line overrides the experiment."""
    command = click.get_current_context(silent=True)
    given = command.params.get(OPTIONS[part]) if command else None
    declared = (experiment.get("runtime") or {}).get(part) or {}
    return str(given or declared.get("strategy") or "")


def bring_up(run: Run, configuration: Configuration, stack: contextlib.ExitStack) -> None:
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
        _order_faults(lab, settings.lab_faults)
    door = aws.of(run)
    cluster_id = settings.cluster_id or run.part(LocalLab).clusters[0]["id"]
    leftovers.refuse(cluster_id)
    target = guard.ask(door, settings, cluster_id, settings.key_id)
    run.put(Target, target)
    _keep_passwords(run, door, target, stack)
    Nets.over(run, door, target.cluster.id, target.key.arn)
    stack.callback(last_resort, run)
    if configuration is not None:
        # For other extensions' activities, as ${cluster_id}.
        configuration.update(
            cluster_id=target.cluster.id, key_arn=target.key.arn, aws_region=door.region
        )
    _open_folder(run)
    watcher = Watcher(run, door, target.cluster.id, target.key.arn, settings.status_poll)
    watcher.start()
    stack.callback(watcher.stop)
    run.put(Watcher, watcher)
    conditions = StopConditions(run, door, settings.stop_alarms, settings.status_poll)
    conditions.start()
    stack.callback(conditions.stop)
    run.put(StopConditions, conditions)
    load = Load(_load_config(run, target))
    stack.callback(_put_load_away, run, load)
    run.put(Load, load)
    load.start()
    load.wait_until_steady(STEADY_FOR, ANSWERED, STEADY_TIMEOUT, screen)
    run.event(Happened.LOAD_STEADY)
    logger.info(f"Run {run.id} on {settings.target}: cluster {target.cluster.id}, {run.folder}")


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
    if not run.part(Injections, Injections).open:
        return "no key is away; what is up goes down."
    if run.settings.target == "lab":
        return "the key is put back, and the lab goes down."
    return (
        "the key is put back, and the recovery measured; once more (Ctrl-C), and only the key "
        "is put back."
    )


def _order_faults(lab: LocalLab, orders: Iterable[Mapping[str, Any]]) -> None:
    try:
        for order in orders:
            LabFaults(lab.endpoint).order(**order)
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


def last_resort(run: Run) -> None:
    """Puts back what the rollbacks did not, whatever kept them from it; safe to call again."""
    if not run.part(Injections, Injections).open:
        return
    logger.warning("the rollbacks left a key away: putting it back now")
    try:
        put_back(run)
    except (NotPutBack, OSError) as problem:
        logger.error(f"the key was NOT put back: {problem}; run `chaos kms restore`")


def _open_folder(run: Run) -> None:
    try:
        run.open_folder()
    except OSError as problem:
        raise Refused(
            f"no report can be written to CHAOS_REPORTS_DIR={run.settings.reports_dir}: {problem}"
        ) from None


def _load_config(run: Run, target: Target) -> LoadConfig:
    settings = run.settings
    assert run.folder is not None
    if run.has(Passwords):
        database = run.part(Passwords).database
    else:
        database = aurora_api.conninfo(target.cluster, settings.database)
    config = LoadConfig(
        database=database,
        rate=settings.load_rate,
        users=settings.load_users,
        writes=settings.load_writes == "own-schema",
        deadline=settings.query_deadline,
        folder=run.folder / "history",
        log=run.folder / "load.log",
    )
    if not settings.load_file:
        return config
    return LoadConfig(**{**vars(config), "file": Path(settings.load_file)})


def _put_load_away(run: Run, load: Load) -> None:
    load.stop()
    if run.has(LocalLab):
        return  # its database goes with it
    try:
        load.drop(timeout=1 if run.interrupted else 10)
    except LoadFailed as problem:
        logger.warning(f"the load's schema chaos_kms could not be dropped: {problem}")


def _facts(run: Run) -> str:
    """The live line's end: load, key, and the cluster's status, which is the longest."""
    facts = []
    if run.has(Load):
        window = run.part(Load).window(1.0)
        facts.append(f"{window.answered:.0f} answered/s, {window.failing:.0f} failing/s")
    if run.has(Watcher) and (look := run.part(Watcher).latest):
        facts += [f"key {look.key_state}", f"cluster {look.cluster.status}"]
    return " · ".join(facts)
