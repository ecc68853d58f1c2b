"""Records the steps of an experiment: which there are, and when each began and ended.

Whoever follows a run from outside knows nothing else of where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chaoslib.types import Activity, Experiment

from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.run import Run

__all__ = ["LONGEST", "record_begin", "record_end", "record_steps"]

LONGEST = 200
"""Letters of a name."""


def record_steps(run: Run, experiment: Experiment, clean: Callable[[str], str]) -> None:
    """All of them; `clean` takes secrets out of their names."""
    steps = [
        {"part": part, "place": place, "name": clean(_name(activity))[:LONGEST]}
        for part, place, activity in _steps(experiment)
    ]
    run.event(EventName.STEPS, steps=steps)


def record_begin(run: Run, experiment: Experiment, activity: Activity) -> None:
    """That a step begins now; nothing of what is no step of this experiment."""
    if where := _where(experiment, activity):
        run.event(EventName.STEP_BEGAN, **where)


def record_end(
    run: Run, experiment: Experiment, activity: Activity, state: Mapping[str, Any]
) -> None:
    """That it ended, and how: `succeeded`, or as Chaos Toolkit says; a tolerance that is not met
    is a failure."""
    if where := _where(experiment, activity):
        status = str(state.get("status") or "")
        failed = status == "succeeded" and state.get("tolerance_met") is False
        run.event(EventName.STEP_ENDED, **where, status="failed" if failed else status)


def _steps(experiment: Experiment) -> Iterator[tuple[str, int, Activity]]:
    hypothesis = experiment.get("steady-state-hypothesis") or {}
    parts = {
        "hypothesis": hypothesis.get("probes"),
        "method": experiment.get("method"),
        "rollbacks": experiment.get("rollbacks"),
    }
    runtime = (experiment.get("runtime") or {}).get("hypothesis") or {}
    after = runtime.get("strategy") == "after-method-only"
    for part in ("method", "hypothesis", "rollbacks") if after else parts:
        for place, activity in enumerate(parts[part] or []):
            yield part, place, activity


def _where(experiment: Experiment, activity: Activity) -> dict[str, Any] | None:
    found = (
        {"part": part, "place": place}
        for part, place, each in _steps(experiment)
        if each is activity
    )
    return next(found, None)


def _name(activity: Activity) -> str:
    return str(activity.get("name") or activity.get("ref") or "")
