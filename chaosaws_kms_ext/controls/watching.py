"""What is expected of a run that only watches what others do: that depends on its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from chaoslib.types import Experiment

from chaosaws_kms_ext.controls.experiment_rules import expects_outage, watches
from chaosaws_kms_ext.settings import Settings

__all__ = ["Expected", "expected"]

OF_AN_OUTAGE = frozenset({"degraded", "rto", "time_to_alarm", "time_to_normal_latency"})
"""Objectives on what there is only after an outage."""
UNAFFECTED = "missed_arrivals"
"""The objective on a load that has none."""


class Expected(NamedTuple):
    """What a run is judged by."""

    outage: bool
    """Whether the cluster is to lose its key."""
    by_others: bool
    """Whether somebody else is to take it away."""
    objectives: Mapping[str, float | None]


def expected(
    experiment: Experiment, settings: Settings, asked: Mapping[str, float | None]
) -> Expected:
    """For this experiment, which asks for these objectives.

    Where nobody is expected to take the key away (`expect_loss`), the objectives on an outage are
    left out, and every arrival has to be answered.
    """
    if not watches(experiment):
        return Expected(expects_outage(experiment), False, asked)
    if settings.expect_loss == "yes":
        return Expected(True, True, asked)
    kept = {name: limit for name, limit in asked.items() if name not in OF_AN_OUTAGE}
    return Expected(False, True, {UNAFFECTED: None, **kept})
