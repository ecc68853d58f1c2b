"""Probes of the load: is the service's own traffic answered, and how fast."""

from __future__ import annotations

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities
from chaosaws_kms_ext.load.load import Load, Window

__all__ = ["answered_share", "latency_p99"]


def answered_share(
    seconds: float = 2.0, configuration: Configuration = None, secrets: Secrets = None
) -> float:
    """The share (0 to 1) of the arrivals of the last `seconds` that were answered in time.

    Of those that were due, not of those that were sent: a database that hangs answers none of
    them. Raises ActivityFailed when no load runs: without the control
    `chaosaws_kms_ext.controls.run` there is none.
    """
    return _window(seconds, configuration).share


def latency_p99(
    seconds: float = 2.0, configuration: Configuration = None, secrets: Secrets = None
) -> float:
    """The 99th percentile of the latency in the last `seconds`, in milliseconds.

    From the instant at which an arrival was due. Raises ActivityFailed when nothing was answered,
    or no load runs.
    """
    p99 = _window(seconds, configuration).p99_ms
    if p99 is None:
        raise ActivityFailed(f"nothing was answered in the last {seconds:g} s")
    return p99


def _window(seconds: float, configuration: Configuration) -> Window:
    with activities.plainly(configuration) as run:
        if not run.has(Load):
            raise ActivityFailed(
                "no load runs: the experiment must name the control chaosaws_kms_ext.controls.run"
            )
        load = run.part(Load)
        if not load.running:
            raise ActivityFailed("the load has ended by itself")
        return load.window(seconds)
