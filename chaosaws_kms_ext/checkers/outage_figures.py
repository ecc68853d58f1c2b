"""What the outage's checker has in summary.json, where a figure is more than a number."""

from __future__ import annotations

from typing import TypedDict

from chaosaws_kms_ext.history import Utc

__all__ = ["Bounds", "RecoveryParts", "Timeline"]


class Timeline(TypedDict):
    """None: it did not happen, or was not seen."""

    fault_injected: Utc | None
    impact: Utc | None
    inaccessible: Utc | None
    put_back: Utc | None
    start_called: Utc | None
    available: Utc | None
    recovery: Utc | None


class RecoveryParts(TypedDict):
    """Seconds."""

    waited_seconds: float | None
    start_called_after_seconds: float | None
    start_to_available_seconds: float | None
    available_to_first_answer_seconds: float | None


class Bounds(TypedDict, total=False):
    """Seconds; of the durations of which something is known."""

    time_to_impact_seconds: float
    time_to_inaccessible_seconds: float
    key_unusable_seconds: float
    outage_seconds: float
    time_to_recovery_seconds: float
    time_to_available_seconds: float
    start_called_after_seconds: float
    start_to_available_seconds: float
    available_to_first_answer_seconds: float
