"""Probes of the canaries: what else the key protects, as it is tried each second (CHAOS_CANARIES).

They only wait: what they return is for a person, and the records of the canaries are judged.
"""

from __future__ import annotations

import contextlib
import time

from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities
from chaosaws_kms_ext.canaries.canaries import EVERY, Canaries
from chaosaws_kms_ext.inject.key_away import time_left
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.waiting import TimedOut, Wait

__all__ = [
    "canaries_are_answered",
    "wait_until_dependents_are_back",
    "wait_until_dependents_fail",
]

LOOK_EVERY = 0.1
SLACK = 5
"""Tries that a canary has beside what its service keeps: some seconds pass until KMS is of one mind
(KMS Developer Guide, "AWS KMS eventual consistency")."""


def canaries_are_answered(configuration: Configuration = None, secrets: Secrets = None) -> bool:
    """Whether there is a canary, and the newest try of each was answered.

    Waits for the first tries, some seconds. Raises ActivityFailed without a canary.
    """
    with activities.plainly(configuration) as run:
        canaries = _canaries(run)
        limit = SLACK * EVERY + run.settings.query_deadline
        try:
            Wait("the first tries of the canaries", limit, LOOK_EVERY, run.observer).until(
                lambda: len(canaries.newest()) == len(canaries.dependents)
            )
        except TimedOut:
            return False
        return all(each.ok for each in canaries.newest().values())


def wait_until_dependents_fail(
    configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, str]:
    """Wait until what is tried fails: all of it, or as long as its services go on with data keys
    that they have, but no longer than `impact_timeout` AWS seconds.

    Returns each dependent's ARN with its newest outcome: `ok`, AWS' error code, or `no answer`.
    That one does not fail is no error: the checker of the dependents says what it means.
    """
    with activities.plainly(configuration) as run:
        canaries = _canaries(run)
        settings = run.settings
        kept = max((each.keep or 0.0 for each in canaries.dependents), default=0.0)
        limit = settings.real(kept) + SLACK * EVERY + settings.query_deadline
        longest = min(settings.real(settings.impact_timeout) + SLACK * EVERY, time_left(run))
        _wait(run, "everything that is tried to fail", min(limit, longest), canaries, False)
        return _outcomes(canaries)


def wait_until_dependents_are_back(
    configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, str]:
    """Wait until all that is tried is answered, at most `rto` AWS seconds and some tries.

    Returns as `wait_until_dependents_fail` does; the objective `dependents_rto` judges it.
    """
    with activities.plainly(configuration) as run:
        canaries = _canaries(run)
        limit = run.settings.real(run.settings.rto) + SLACK * EVERY + run.settings.query_deadline
        _wait(run, "everything that is tried to be answered", limit, canaries, True)
        return _outcomes(canaries)


# Internals


def _canaries(run: Run) -> Canaries:
    canaries = run.canaries
    if canaries is None:
        raise Refused("no canaries were started: set CHAOS_CANARIES=yes")
    if not canaries.dependents:
        raise Refused(
            "nothing under the key may be tried: tag a secret, a bucket, a queue, a table or a "
            "parameter under it with chaos:allow=kms"
        )
    return canaries


def _wait(run: Run, what: str, limit: float, canaries: Canaries, answered: bool) -> None:
    """Until the newest tries, all made since now, are so; or until the time is over."""
    began = time.monotonic_ns()

    def so() -> bool:
        newest = canaries.newest()
        return len(newest) == len(canaries.dependents) and all(
            each.ok is answered and each.at > began for each in newest.values()
        )

    with contextlib.suppress(TimedOut):  # the records say which are not
        Wait(what, limit, LOOK_EVERY, run.observer).until(so)


def _outcomes(canaries: Canaries) -> dict[str, str]:
    return {arn: each.outcome for arn, each in sorted(canaries.newest().items())}
