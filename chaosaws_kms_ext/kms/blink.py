"""One blink: the key is taken away as by every fault, and put back some seconds later."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence

from chaosaws_kms_ext import activities
from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws, AwsError, go_on_after
from chaosaws_kms_ext.history import Event, EventName
from chaosaws_kms_ext.inject.bisection import Blink
from chaosaws_kms_ext.inject.composition import Wanted
from chaosaws_kms_ext.inject.injection import close_recovered, put_back
from chaosaws_kms_ext.inject.key_away import KeyStaysAway, time_left
from chaosaws_kms_ext.kms import fault_step
from chaosaws_kms_ext.loadgen import loads
from chaosaws_kms_ext.loadgen.process import Load
from chaosaws_kms_ext.loadgen.schema import LoadFailed
from chaosaws_kms_ext.recoveries import recover
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.waiting import TimedOut, Wait

__all__ = ["blink", "check_length"]

logger = logging.getLogger("chaostoolkit")

CERTAIN = 3
"""Looks, one after the other, at which the load has to go without answers for an outage."""


def blink(
    run: Run, wanted: Sequence[Wanted], seconds: float, watch_for: float, cluster_id: str = ""
) -> Blink:
    """Takes the key away for `seconds`, and watches for `watch_for` more; both are AWS seconds.

    Everything that holds for a fault holds for it: guard, journal, safeguards. As soon as an outage
    is certain the key is put back, and the recovery is waited for. Recorded as the event `blink`.

    Raises Refused, also where the load is not answered before it or the key may not be away for so
    long; AwsError, NotPutBack, TimedOut, OSError.
    """
    name = cluster_id or activities.cluster_id(run)
    settings = run.settings
    check_length(run, seconds)
    _check_answered(run)
    begun = run.event(EventName.BLINK_BEGAN, asked_aws_seconds=seconds)
    fault_step.inject(run, wanted, name)
    injected = run.first_since(EventName.INJECTED, begun.at) or begun
    seen = _Outage(run, name)
    left = min(settings.real(seconds) - run.seconds_since(injected), time_left(run))
    seen.within(f"the key to be away for {seconds:.0f} AWS seconds", left, KeyStaysAway(run))
    put_back(run)
    back = run.last(EventName.PUT_BACK)
    assert back is not None
    if not seen.certain:
        seen.within("an outage that is yet to come", settings.real(watch_for))
    away = settings.aws_seconds((back.at - injected.at) / 1e9)
    found = Blink(round(away, 1), seen.certain)
    run.event(EventName.BLINK, asked_aws_seconds=seconds, outage=found.outage, why=seen.why)
    logger.info(f"A blink of {away:.0f} AWS seconds: {seen.why or 'no outage'}")
    _finish(run, name, back, found.outage)
    return found


def check_length(run: Run, seconds: float) -> None:
    """Raises Refused for a blink of so many AWS seconds, if the run may not leave the key away for
    so long."""
    settings = run.settings
    if settings.real(seconds) >= settings.put_back_after:
        raise Refused(
            f"a blink of {settings.real(seconds):.0f} s is longer than this run may leave the key "
            f"away ({settings.put_back_after:.0f} s): set CHAOS_MAX_KEY_UNUSABLE to more"
        )


# Internals


class _Outage:
    """Whether an outage is certain: by the cluster's status, or by the load."""

    def __init__(self, run: Run, cluster_id: str) -> None:
        self._run, self._cluster_id = run, cluster_id
        self._unanswered = 0
        self.why = ""
        """How it was seen, in words; empty if it was not."""

    @property
    def certain(self) -> bool:
        """Whether there is one."""
        return bool(self.why)

    def within(self, what: str, seconds: float, stays: KeyStaysAway | None = None) -> None:
        """Looks for so many seconds, or until it is certain. Raises Refused where `stays` does.

        Not in the last moments: a look takes its time, and the blink would last longer for it.
        """
        run = self._run
        end = time.monotonic() + seconds - run.settings.status_poll / 2

        def looked() -> bool:
            if time.monotonic() < end:
                if stays:
                    stays.look()
                self._look()
            return self.certain

        with contextlib.suppress(TimedOut):
            Wait(what, max(seconds, 0.0), run.settings.status_poll, run.observer).until(looked)

    def _look(self) -> None:
        run = self._run
        try:
            cluster = rds.describe(Aws.of(run), self._cluster_id)
            if cluster.meaning in ("recoverable", "terminal"):
                self.why = f"{cluster.id} is {cluster.status}"
                return
        except AwsError as problem:
            go_on_after(run, problem)
        answered = loads.are_answered(run, loads.of_target(run))
        self._unanswered = 0 if answered else self._unanswered + 1
        if self._unanswered >= CERTAIN:
            self.why = "the load is not answered"


def _check_answered(run: Run) -> None:
    """Raises Refused unless every load on the cluster is answered: else nobody could say whose
    outage it is."""
    running: list[Load] = [load for load in loads.of_target(run) if not load.ended]
    if not running:
        raise Refused("no load runs on the cluster, so no outage would be seen")
    for load in running:
        try:
            loads.steady(run, load)
        except LoadFailed as problem:
            raise Refused(f"before the blink the load is not answered: {problem}") from problem


def _finish(run: Run, cluster_id: str, back: Event, outage: bool) -> None:
    """Waits for the recovery from an outage; then nothing of the blink is left open."""
    if outage:
        recover(run, cluster_id, back)
    if left := close_recovered(run):
        raise Refused("; ".join(left))
