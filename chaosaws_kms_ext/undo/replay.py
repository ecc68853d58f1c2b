"""Makes the calls of an undo, and checks that they had their effect."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import jmespath

from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.run import Instant
from chaosaws_kms_ext.undo.undo import Call, Undo

__all__ = [
    "IN_FLIGHT",
    "VERIFY_TIMEOUT",
    "NotPutBack",
    "is_back",
    "replay",
    "still_wrong",
]

VERIFY_TIMEOUT = 300.0
"""Seconds. KMS: eventual consistency takes "several minutes in some cases" (KMS Developer Guide,
programming-eventual-consistency)."""

ANSWER_TIMEOUT = 60.0
"""Seconds in which AWS has to answer at all: signals wait meanwhile."""

IN_FLIGHT = 3.0
"""Seconds after which a call whose caller has died, or was interrupted, is not carried out any
more: assumed, KMS says nothing of it."""

TRY_AGAIN = 1.0
"""Seconds between two tries."""

logger = logging.getLogger("chaostoolkit")


class NotPutBack(PlainError):
    """The undo had no effect in time: the message says what is still wrong."""


def replay(aws: Aws, undo: Undo, again_soon: bool = False) -> Instant:
    """Makes every call of `undo` and verifies its checks; raises NotPutBack.

    Every call can be repeated without harm. All of it is tried again until it is right: for
    VERIFY_TIMEOUT seconds while AWS answers, for ANSWER_TIMEOUT while it does not, and not at all
    after a refusal that will not pass. Returns when AWS first answered the last call.

    `again_soon`: it will be replayed once more. Then an undo that AWS promises to take only once
    is not spent where everything seems to be back.
    """
    if (again_soon and undo.once) or undo.has_expired:
        asked = time.monotonic_ns()
        if is_back(aws, undo):
            return Instant.now(asked)
    if undo.has_expired:
        raise NotPutBack(_expired(undo))
    begin, said = time.monotonic(), ""
    answer: Instant | None = None
    while True:
        limit = VERIFY_TIMEOUT
        try:
            asked, refused = time.monotonic_ns(), ""
            for call in undo.calls:
                asked = time.monotonic_ns()
                refused = _make(aws, call) or refused
            answer = answer or Instant.now(asked)
            wrong = still_wrong(aws, undo)
            if wrong and undo.once and refused:
                wrong, limit = f"{wrong}: {refused}", ANSWER_TIMEOUT
        except AwsError as problem:
            wrong = str(problem)
            if problem.permanent:
                raise NotPutBack(wrong) from problem
            limit = ANSWER_TIMEOUT
        if not wrong and answer:
            return answer
        if time.monotonic() - begin > limit:
            raise NotPutBack(wrong)
        if wrong != said:
            logger.warning(f"not put back yet, trying again: {wrong}")
        said = wrong
        time.sleep(TRY_AGAIN)


def _make(aws: Aws, call: Call) -> str:
    """Makes one call; an answer that it was made before is no error, and is returned."""
    try:
        aws.call(call.service, call.operation, call.asked)
    except AwsError as problem:
        if problem.code not in call.already_done:
            raise
        return str(problem)
    return ""


def _expired(undo: Undo) -> str:
    key = undo.calls[0].params["KeyId"]
    return (
        f"its import token expired at {undo.until:%Y-%m-%d %H:%M} UTC, so KMS does not take the "
        f"wrapped material of {key} any more. Whoever has the material imports it by hand "
        "(GetParametersForImport and ImportKeyMaterial: KMS Developer Guide, importing-keys), and "
        "calls `chaos kms restore` again, which then sees it. Of a key that its run made nobody "
        "has it: remove this entry of the undo journal, and `chaos kms restore` removes the key "
        "with what the run made under it"
    )


def is_back(aws: Aws, undo: Undo) -> bool:
    """Whether AWS says that everything is back; False if AWS does not answer."""
    try:
        return not still_wrong(aws, undo)
    except AwsError:
        return False


def still_wrong(aws: Aws, undo: Undo) -> str:
    """What is not back, in words; empty if everything is. Raises AwsError."""
    for check in undo.checks:
        call = check.call
        answer = aws.call(call.service, call.operation, dict(call.params))
        found = jmespath.search(check.jmespath, answer)
        if not _same(found, check.equals):
            return f"{check.jmespath} is {found}, not {check.equals}"
    return ""


def _same(found: Any, wanted: Any) -> bool:
    """Whether they are equal; documents (a key policy) are compared as JSON."""
    if found == wanted:
        return True
    try:
        document = json.loads(found)
        return isinstance(document, dict) and bool(document == json.loads(wanted))
    except (TypeError, ValueError):
        return False
