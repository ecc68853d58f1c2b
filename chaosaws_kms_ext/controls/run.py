"""The control of a run: what stands before the gate, what is judged at the end, what goes down.

    "controls": [{"name": "run", "provider": {"type": "python",
        "module": "chaosaws_kms_ext.controls.run",
        "arguments": {"experiment_name": "kms-disable", "objectives": ["rto", "lost_writes"]}}}]

Chaos Toolkit swallows what its controls raise, except for InterruptExecution before an experiment;
so the order is held here, in one control, and the verdict fails closed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import click
import psycopg
from chaoslib.exceptions import InterruptExecution
from chaoslib.types import Configuration, Experiment, Journal

from chaosaws_kms_ext import aws
from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext import settings as our_settings
from chaosaws_kms_ext.aurora import api as aurora_api
from chaosaws_kms_ext.aurora.watcher import Watcher
from chaosaws_kms_ext.client.connection import DeadlineConnection
from chaosaws_kms_ext.faults.injection import Injections
from chaosaws_kms_ext.history import HistoryDamaged, read_history
from chaosaws_kms_ext.load.load import Load, LoadConfig
from chaosaws_kms_ext.load.schema import LoadFailed
from chaosaws_kms_ext.local_lab import LabDidNotStart, LocalLab, only_the_lab
from chaosaws_kms_ext.report import objectives as objective_table
from chaosaws_kms_ext.report.screen import Screen
from chaosaws_kms_ext.report.summary import Facts, measure
from chaosaws_kms_ext.report.table import table
from chaosaws_kms_ext.report.verdict import Course, Verdict, decide, of_journal
from chaosaws_kms_ext.run import Happened, Refused, Run
from chaosaws_kms_ext.safety import guard, leftovers
from chaosaws_kms_ext.safety.guard import Target
from chaosaws_kms_ext.safety.journal import JournalDamaged
from chaosaws_kms_ext.settings import BadSetting
from chaosaws_kms_ext.waiting import Observer

__all__ = [
    "after_experiment_control",
    "before_experiment_control",
    "cleanup_control",
]

logger = logging.getLogger("chaostoolkit")

STEADY_TIMEOUT = 30.0
"""Seconds in which a load has to be steady before anything else happens, and again at the end."""

STEADY_SHARE = 0.99
ROWS_TIMEOUT, HURRY = 30.0, 1.0
"""Seconds to read the written rows back; and when the run was interrupted."""

SEED_ROWS = 4

STRATEGIES = {"hypothesis": "before-method-only", "rollbacks": "always"}
"""With any other, a run could end with the key disabled, or call an outage a deviation."""

OPTIONS = {"hypothesis": "hypothesis_strategy", "rollbacks": "rollback_strategy"}
"""The parameters of `chaos run` that override them."""

_stack = contextlib.ExitStack()
_refused = ""


def before_experiment_control(
    context: Experiment,
    experiment_name: str = "",
    objectives: list[str] | None = None,
    configuration: Configuration = None,
    **_: Any,
) -> None:
    """Everything that has to be up before the gate; what is wrong ends the run here."""
    global _refused
    _refused = ""
    try:
        run = _begin(context, experiment_name, objectives or [], configuration)
        _bring_up(run, configuration)
    except (BadSetting, Refused, LabDidNotStart, LoadFailed, JournalDamaged) as problem:
        _refused = str(problem)
    except aws.AwsError as problem:
        _refused = str(problem)
    except Exception as problem:
        # Chaos Toolkit would swallow it and go on.
        logger.debug("the run could not begin", exc_info=True)
        _refused = f"the run could not begin: {problem!r}"
    if _refused:
        raise InterruptExecution(f"refused: {_refused}")


def after_experiment_control(
    context: Experiment,
    state: Journal,
    objectives: list[str] | None = None,
    **_: Any,
) -> None:
    """Measures, judges and writes it down."""
    status, state["status"] = state["status"], "failed"
    run = runs.current()
    try:
        verdict = _conclude(run, state, status, objectives or [])
    except (KeyboardInterrupt, SystemExit):
        verdict = Verdict("aborted", ("the run was interrupted while it was judged",))
        logger.error("verdict: aborted, while the run was judged")
    except Exception as problem:
        logger.exception("the run could not be judged")
        verdict = Verdict("failed", (f"the run could not be judged: {problem!r}",))
    state["kms"] = {"run": run.id, "verdict": verdict.word, "reasons": list(verdict.reasons)}
    if verdict.passed:
        state["status"] = status
    elif verdict.word == "aborted":
        state["status"] = "interrupted"


def cleanup_control() -> None:
    """Whatever is still up goes down; never raises, which would cost the journal."""
    try:
        _stack.close()
    except Exception:
        logger.exception("the run did not come down cleanly")
    finally:
        runs.end()


# Before


def _begin(
    experiment: Experiment, name: str, objectives: list[str], configuration: Configuration
) -> Run:
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
    if unknown := set(objectives) - set(objective_table.OBJECTIVES):
        known = ", ".join(objective_table.OBJECTIVES)
        raise Refused(f"no objective is called {', '.join(sorted(unknown))}: there are {known}")
    return run


def _strategy(experiment: Experiment, part: str) -> str:
    """The strategy that the run really has: the command line overrides the experiment."""
    command = click.get_current_context(silent=True)
    given = command.params.get(OPTIONS[part]) if command else None
    declared = (experiment.get("runtime") or {}).get(part) or {}
    return str(given or declared.get("strategy") or "")


def _bring_up(run: Run, configuration: Configuration) -> None:
    settings = run.settings
    _arm_signals(run)
    screen = Screen(lambda: _facts(run))
    run.put(Observer, screen)
    screen.open()
    _stack.callback(screen.close)
    if settings.target == "lab":
        lab = LocalLab.start(settings.lab_speed, settings.lab_profile)
        _stack.callback(lab.stop)
        run.put(LocalLab, lab)
        _stack.enter_context(only_the_lab(lab))
    door = aws.of(run)
    cluster_id = settings.cluster_id or run.part(LocalLab).clusters[0]["id"]
    leftovers.refuse(cluster_id)
    target = guard.ask(door, cluster_id, settings.key_id)
    leftovers.refuse(target.key.arn)
    run.put(Target, target)
    if configuration is not None:
        # For other extensions' activities, as ${cluster_id}.
        configuration.update(
            cluster_id=target.cluster.id, key_arn=target.key.arn, aws_region=door.region
        )
    _open_folder(run)
    watcher = Watcher(run, door, target.cluster.id, target.key.arn, settings.status_poll)
    watcher.start()
    _stack.callback(watcher.stop)
    run.put(Watcher, watcher)
    load = Load(_load_config(run, target))
    _stack.callback(_put_load_away, run, load)
    run.put(Load, load)
    load.start()
    load.wait_until_steady(2.0, STEADY_SHARE, STEADY_TIMEOUT, screen)
    run.event(Happened.LOAD_STEADY)
    run.point_latest()
    logger.info(f"Run {run.id} on {settings.target}: cluster {target.cluster.id}, {run.folder}")


def _arm_signals(run: Run) -> None:
    """SIGTERM and SIGHUP end a run as Ctrl-C does: with its rollbacks.

    Chaos Toolkit 1.19 swallows SIGTERM inside a Python activity; SystemExit it cannot swallow.
    """

    def stop(number: int, _: FrameType | None) -> None:
        run.event(Happened.INTERRUPTED, signal=signal.Signals(number).name)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(20)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        before = signal.signal(number, stop)
        _stack.callback(signal.signal, number, before)


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
    config = LoadConfig(
        database=aurora_api.conninfo(target.cluster, settings.database),
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
        load.drop(timeout=10)
    except LoadFailed as problem:
        logger.warning(f"the load's schema chaos_kms could not be dropped: {problem}")


def _facts(run: Run) -> str:
    """The live line's middle: key, cluster, load."""
    facts = []
    if run.has(Watcher) and (look := run.part(Watcher).latest):
        facts += [f"key {look.key_state}", f"cluster {look.cluster.status}"]
    if run.has(Load):
        window = run.part(Load).window(1.0)
        facts.append(f"{window.answered:.0f} answered/s, {window.failing:.0f} failing/s")
    return " · ".join(facts)


# After


def _conclude(run: Run, state: Journal, status: str, objectives: list[str]) -> Verdict:
    if refused := _refused or _refused_by_guard(run):
        run.discard_folder()
        logger.error(f"verdict: refused: {refused}")
        return Verdict("refused", (refused,))
    course = of_journal(state, status)
    if run.folder is None:  # interrupted before there was anything to judge
        return decide(course, [], [])
    if still := [entry.key for entry in run.part(Injections, Injections).open]:
        why = f"the key was NOT put back: {', '.join(still)}; run `chaos kms restore`"
        course = Course(course.refused, course.interrupted, (*course.failures, why))
    problems = _stop_and_collect(run, course)
    try:
        history = read_history(run.folder / "history")
    except HistoryDamaged as problem:
        raise RuntimeError(f"the history is damaged: {problem}") from problem
    target = run.part(Target)
    measured = measure(
        Facts(
            experiment=run.experiment,
            settings=run.settings,
            started=run.started,
            ended=datetime.now(UTC),
            region=aws.of(run).region,
            cluster=target.cluster.id,
            key=target.key.arn,
            reconnect_spacing=_load_config(run, target).reconnect_spacing,
        ),
        history,
    )
    judged = objective_table.judge(objectives, measured.figures, run.settings)
    seeds = measured.summary["seed_rows"]
    if seeds and seeds["present"] not in (None, seeds["expected"]):
        why = f"{seeds['present']} of {seeds['expected']} seeded rows are there"
        course = Course(course.refused, course.interrupted, (*course.failures, why))
    verdict = decide(course, judged, [*measured.unmeasured, *problems])
    summary = {
        **measured.summary,
        "verdict": verdict.word,
        "reasons": list(verdict.reasons),
        "objectives": judged,
    }
    state["status"] = status if verdict.passed else "failed"
    _write(run.folder / "summary.json", summary)
    _write(run.folder / "journal.json", {**state, "kms": {"verdict": verdict.word}})
    print(table(summary, str(run.folder)), flush=True)
    return verdict


def _refused_by_guard(run: Run) -> str:
    """Why the guard refused in the method, if it did and no fault was injected before."""
    event = run.last(Happened.GUARD_REFUSED)
    return str(event.details["why"]) if event and not run.last(Happened.INJECTED) else ""


def _stop_and_collect(run: Run, course: Course) -> list[str]:
    """The steady state once more, then everything is stopped and read; what went wrong with it."""
    problems = []
    load = run.part(Load)
    if run.last(Happened.PUT_BACK) and not course.interrupted and not course.failures:
        try:
            load.wait_until_steady(2.0, STEADY_SHARE, STEADY_TIMEOUT, run.part(Observer))
        except LoadFailed as problem:
            problems.append(f"the steady state did not hold again: {problem}")
    ran = load.running
    load.stop()
    if not ran:
        problems.append("the load had ended by itself")
    if course.interrupted and run.has(LocalLab):
        problems.append("nothing was read back: the run was interrupted")
        return problems
    try:
        load.read_rows_back(HURRY if course.interrupted else ROWS_TIMEOUT)
    except LoadFailed as problem:
        problems.append(f"the written rows could not be read back: {problem}")
    if run.has(LocalLab):
        _count_seed(run, load.config.database)
    run.part(Watcher).stop()
    return problems


def _count_seed(run: Run, database: str) -> None:
    """The origin's four rows: are they still there?"""
    present = None
    with (
        contextlib.suppress(psycopg.Error),
        DeadlineConnection.connect(database, connect_timeout=2) as connection,
    ):
        row = connection.execute("SELECT count(*) FROM users").fetchone()
        present = row[0] if row else None
    run.event(Happened.SEED_ROWS, expected=SEED_ROWS, present=present)


def _write(path: Path, content: Any) -> None:
    """In one step: the file is there whole or not at all."""
    new = path.with_suffix(".new")
    with new.open("w") as file:
        json.dump(content, file, indent=2, default=str, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
