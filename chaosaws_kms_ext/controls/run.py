"""The control of a run: starts what it needs, judges the run at the end, and stops everything.

    "controls": [{"name": "run", "provider": {"type": "python",
        "module": "chaosaws_kms_ext.controls.run",
        "arguments": {"experiment_name": "kms-disable", "objectives": ["rto", "lost_writes"]}}}]

`on` says what the experiment is about: `cluster` (this run's, under load: the default), `key` (that
cluster's key, and nothing else of it) or `nothing` (only what the run makes itself).
`expects_outage` is false where a fault should not be noticed, or where it is asked whether it is:
then every load should go on as if there was none, and `missed_arrivals` counts what was not
answered.

What one of our activities returned is there for later ones: `${the_activity_field}`, in the name
of the activity `_` for every other character than letters and digits; a plain value is
`${the_activity}`.

Chaos Toolkit swallows what its controls raise, except for InterruptExecution before an experiment;
so the order is kept here, in one control, and the verdict fails closed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from typing import Any

from chaoslib import substitute
from chaoslib.exceptions import InterruptExecution
from chaoslib.hypothesis import within_tolerance
from chaoslib.types import Activity, Configuration, Experiment, Journal, Secrets

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.controls.conclude import conclude
from chaosaws_kms_ext.controls.experiment_rules import ours
from chaosaws_kms_ext.controls.lifecycle import begin, bring_up
from chaosaws_kms_ext.controls.notices import tell_end
from chaosaws_kms_ext.controls.redaction import Redaction
from chaosaws_kms_ext.controls.steps import LONGEST, record_begin, record_end, record_steps
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.inject.injection import last_resort
from chaosaws_kms_ext.report.verdict import Verdict, decide, of_journal
from chaosaws_kms_ext.run import Run

__all__ = [
    "after_activity_control",
    "after_experiment_control",
    "before_activity_control",
    "before_experiment_control",
    "cleanup_control",
]

logger = logging.getLogger("chaostoolkit")

_stack = contextlib.ExitStack()
"""What is up, to be put down in turn. Chaos Toolkit copies controls, so it lives in the module."""

_refused = ""
_redaction = Redaction()


def _silence(record: logging.LogRecord) -> bool:
    """Of a refused run Chaos Toolkit plays the rollbacks, in which there is nothing to undo.

    That is not told, unless something fails in them: so the reason comes last, and once.
    """
    told_by_us = f"{os.sep}chaosaws_kms_ext{os.sep}" in record.pathname
    fails = record.levelno >= logging.ERROR and not record.getMessage().startswith("refused: ")
    return told_by_us or fails or record.levelno < logging.INFO


def before_experiment_control(
    context: Experiment,
    experiment_name: str = "",
    objectives: list[Any] | None = None,
    on: str = "cluster",
    expects_outage: bool = True,
    configuration: Configuration = None,
    secrets: Secrets = None,
    **_: Any,
) -> None:
    """Starts everything that the steady-state hypothesis needs; refuses the run if that fails."""
    global _refused, _redaction
    _refused, _redaction = "", Redaction(secrets)
    logger.addFilter(_redaction)
    try:
        start = begin(context, experiment_name, objectives or [], on, configuration, expects_outage)
        record_steps(start.run, context, _redaction.text)
        bring_up(start, _stack)
    except PlainError as problem:
        _refused = str(problem)
    except Exception as problem:
        # Chaos Toolkit would swallow it and go on.
        logger.debug("the run could not begin", exc_info=True)
        _refused = f"the run could not begin: {problem!r}"
    if _refused:
        if all(ours(each) for each in context.get("rollbacks") or []):
            logger.addFilter(_silence)
        raise InterruptExecution(f"refused: {_refused}")


def before_activity_control(context: Activity, experiment: Experiment, **_: Any) -> None:
    """Records that a step begins."""
    run = runs.current()
    record_begin(run, experiment, context)
    in_method = any(each is context for each in experiment.get("method") or [])
    if in_method and context.get("type") == "action" and not ours(context):
        name = _redaction.text(str(context.get("name", "")))
        run.event(EventName.OTHER_ACTION, action=name[:LONGEST])


def after_activity_control(
    context: Activity,
    state: dict[str, Any],
    experiment: Experiment,
    configuration: Configuration = None,
    secrets: Secrets = None,
    **_: Any,
) -> None:
    """Keeps what an activity returned, compares a probe with its tolerance, and ends a method at
    the first step that fails.

    Chaos Toolkit does the second for a hypothesis only: in a method, a tolerance is nothing to it.
    And it goes on with a method whatever fails: a key would be taken away although the backup is
    not there.
    """
    if state.get("status") == "succeeded":
        output = state.get("output")
        module = str((context.get("provider") or {}).get("module", ""))
        if configuration is not None and module.startswith("chaosaws_kms_ext."):
            name = re.sub(r"\W", "_", context.get("name", ""), flags=re.ASCII)
            configuration.update(_flat(name, output))
        if "tolerance" in context and "tolerance_met" not in state:
            state["tolerance_met"] = _met(context["tolerance"], output, configuration, secrets)
    record_end(runs.current(), experiment, context, state)
    failed = state.get("status") == "failed" or state.get("tolerance_met") is False
    if failed and any(each is context for each in experiment.get("method") or []):
        run = runs.current()
        run.failed_at = run.failed_at or str(context.get("name", ""))
        raise InterruptExecution(f"{run.failed_at} failed: nothing more of the method is done")


def _met(tolerance: Any, output: Any, configuration: Configuration, secrets: Secrets) -> bool:
    """Whether the output is in the tolerance; one that cannot be asked is not met."""
    if isinstance(tolerance, str):
        tolerance = substitute(tolerance, configuration, secrets)
    try:
        return within_tolerance(tolerance, output, configuration, secrets) is True
    except Exception as problem:
        logger.error(f"the tolerance {tolerance!r:.100} could not be asked: {problem!r:.300}")
        return False


def _flat(name: str, output: Any) -> dict[str, Any]:
    if isinstance(output, dict):
        return {f"{name}_{field}": value for field, value in output.items()}
    return {name: output}


def after_experiment_control(
    context: Experiment,
    state: Journal,
    **_: Any,
) -> None:
    """Measures, judges and writes it down.

    Fails closed: the status is `failed` first; a judged `passed` restores Chaos Toolkit's own, and
    `aborted` makes it `interrupted`.
    """
    status, state["status"] = state["status"], "failed"
    logger.removeFilter(_silence)
    run = runs.current()
    if run.failed_at and not run.interrupted:
        status = "failed"  # which Chaos Toolkit calls interrupted
    try:
        _redaction.clean(state)
        last_resort(run)
        verdict = _verdict(run, state, status)
    except (KeyboardInterrupt, SystemExit):
        verdict = Verdict("aborted", ("the run was interrupted while it was judged",))
        logger.error("verdict: aborted: the run was interrupted while it was judged")
    except Exception as problem:
        logger.debug("the run could not be judged", exc_info=True)
        verdict = Verdict("failed", (f"the run could not be judged: {problem!r}",))
        logger.error(f"verdict: failed: {verdict.reasons[0]}")
    state["kms"] = {
        "run": run.id,
        "verdict": verdict.word,
        "reasons": list(verdict.reasons),
        "folder": str(run.folder) if run.folder else None,
    }
    if verdict.passed:
        state["status"] = status
    elif verdict.word == "aborted":
        state["status"] = "interrupted"
    with contextlib.suppress(KeyboardInterrupt, SystemExit):  # the verdict stands
        tell_end(run, verdict, _redaction.text)


def cleanup_control() -> None:
    """Whatever is still up goes down; never raises, which would cost the journal."""
    for goes_down in (_stack.close, runs.end):
        try:
            goes_down()
        except (Exception, KeyboardInterrupt, SystemExit):
            logger.debug("the run did not come down cleanly", exc_info=True)
            logger.error("the run did not come down cleanly; what is left ends with this process")
    logger.removeFilter(_silence)
    logger.removeFilter(_redaction)


def _verdict(run: Run, state: Journal, status: str) -> Verdict:
    if refused := _refused or _refused_by_guard(run):
        verdict = Verdict("refused", (refused,))
    elif run.last(EventName.READY) is None:
        # Interrupted before there was anything to judge.
        nothing = "nothing was measured: the steady-state hypothesis was never checked"
        verdict = decide(of_journal(state, status), [], [nothing])
    else:
        return conclude(run, state, status)
    _stack.close()
    run.discard_folder()
    logger.error(f"verdict: {verdict.word}: {verdict.reasons[0]}")
    return verdict


def _refused_by_guard(run: Run) -> str:
    """Why the guard refused in the method, if no fault was injected and nothing made is left."""
    event = run.last(EventName.GUARD_REFUSED)
    changed = run.last(EventName.INJECTED) or (run.ledger and run.ledger.resources)
    return str(event.details["why"]) if event and not changed else ""
