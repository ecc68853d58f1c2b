"""StartDBCluster, or StartDBInstance, until AWS accepts it: what can pass is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable

from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.waiting import Observer, TimedOut, Wait

__all__ = ["start"]

PASSING = frozenset({"KMSKeyNotAccessibleFault", *(kind.wrong_state for kind in rds.KINDS)})
"""KMS is eventually consistent, and a transition may still be going on."""

TIMEOUT, AGAIN = 300.0, 2.0
"""Seconds."""


def start(
    aws: Aws,
    reference: str,
    observer: Observer,
    called: Callable[[int], object],
    within: float = TIMEOUT,
) -> None:
    """Starts a database; raises AwsError when AWS does not accept it within some minutes.

    `within`: fewer seconds, for whoever has no more time.
    `called` is told once when a call of ours was accepted, or may have been: its answer can be
    lost. It gets the instant at which the call was made (CLOCK_MONOTONIC, ns). What
    somebody else, or RDS itself, has started is left alone.
    """
    operation = rds.kind_of(reference).start_operation
    refused: AwsError | None = None
    unanswered: int | None = None

    def accepted() -> bool:
        nonlocal refused, unanswered
        asked = time.monotonic_ns()
        try:
            rds.start(aws, reference)
        except AwsError as problem:
            if problem.permanent or (problem.code and problem.code not in PASSING):
                raise
            refused = problem
            if not problem.code and unanswered is None:
                unanswered = asked
            if rds.describe(aws, reference).meaning not in ("changing", "accessible"):
                return False
            if unanswered is None:
                return True
        called(asked if unanswered is None else unanswered)
        return True

    try:
        limit = min(max(within, 0.0), TIMEOUT)
        Wait(f"{operation} to be accepted", limit, AGAIN, observer).until(accepted)
    except TimedOut:
        raise refused or AwsError(f"rds:{operation} was not accepted") from None
