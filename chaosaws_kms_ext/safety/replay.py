"""Puts back what an undo describes, and looks whether it is back."""

from __future__ import annotations

import time

import jmespath

from chaosaws_kms_ext.aws import Aws, AwsError
from chaosaws_kms_ext.safety.undo import Undo
from chaosaws_kms_ext.waiting import Observer, TimedOut, Wait

__all__ = ["NotPutBack", "replay"]

VERIFY_TIMEOUT = 300.0
"""Seconds. KMS: eventual consistency takes "several minutes in some cases" (KMS Developer Guide,
programming-eventual-consistency)."""

TRY_AGAIN = 1.0
"""Seconds between two tries."""


class NotPutBack(Exception):
    """The undo did not show within its time: what is still wrong."""


def replay(aws: Aws, undo: Undo, timeout: float = VERIFY_TIMEOUT) -> int:
    """Makes every call of `undo` and verifies its checks; raises NotPutBack.

    Every call can be repeated without harm. All of it is tried again until it is right or
    `timeout` seconds have passed: whatever refuses the first time, the key must come back.
    Returns the instant (CLOCK_MONOTONIC, ns) of AWS' first answer to the last call.
    """
    wrong, answered = "nothing was tried", 0

    def put_back() -> bool:
        nonlocal wrong, answered
        try:
            for call in undo.calls:
                aws.call(call.service, call.operation, dict(call.params))
            answered = answered or time.monotonic_ns()
            wrong = _first_wrong(aws, undo)
        except AwsError as problem:
            wrong = str(problem)
        return not wrong

    try:
        Wait("the undo to show", timeout, TRY_AGAIN, Observer()).until(put_back)
    except TimedOut:
        raise NotPutBack(wrong) from None
    return answered


def _first_wrong(aws: Aws, undo: Undo) -> str:
    for check in undo.checks:
        call = check.call
        answer = aws.call(call.service, call.operation, dict(call.params))
        found = jmespath.search(check.jmespath, answer)
        if found != check.equals:
            return f"{check.jmespath} is {found}, not {check.equals}"
    return ""
