"""Makes the calls of an undo, and checks that they had their effect."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import Any

import jmespath

from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.run import Instant
from chaosaws_kms_ext.text import printable
from chaosaws_kms_ext.undo.undo import Call, Undo

__all__ = [
    "CONNECTED_WITHIN",
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

CONNECTED_WITHIN = 1800.0
"""Seconds in place of VERIFY_TIMEOUT for a custom key store to connect: "up to 20 minutes" (KMS
Developer Guide, disconnect-keystore)."""

LOOKS = 3
"""Answers, one after the other, that have to say that AWS could not do it: one may be stale."""

IN_FLIGHT = 3.0
"""Seconds after which a call whose caller has died, or was interrupted, is not carried out any
more: assumed, KMS says nothing of it."""

TRY_AGAIN, LOOK_AGAIN = 1.0, 5.0
"""Seconds between two tries, and at most between two looks at what takes long."""

logger = logging.getLogger("chaostoolkit")


class NotPutBack(PlainError):
    """The undo had no effect in time: the message says what is still wrong."""


def replay(
    aws: Aws, undo: Undo, again_soon: bool = False, slow_within: float = CONNECTED_WITHIN
) -> Instant:
    """Makes every call of `undo` and verifies its checks; raises NotPutBack.

    Every call can be repeated without harm. All of it is tried again until it is right: for
    VERIFY_TIMEOUT seconds while AWS answers, for ANSWER_TIMEOUT while it does not, and not at all
    after a refusal that will not pass. An undo whose effect takes long (`slow`) has `slow_within`
    seconds, in which its calls are not repeated while AWS is about it. Returns when AWS first
    answered the last call.

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
    trying = _Trying(aws, undo, heard=begin)
    while True:
        limit = slow_within if undo.slow else VERIFY_TIMEOUT
        try:
            wrong = trying.once()
            if wrong and undo.once and trying.refused:
                wrong, limit = f"{wrong}: {trying.refused}", ANSWER_TIMEOUT
        except AwsError as problem:
            wrong = str(problem)
            if problem.permanent:
                raise NotPutBack(wrong) from problem
            silent = time.monotonic() - trying.heard
            if silent > ANSWER_TIMEOUT or not undo.slow:
                limit = ANSWER_TIMEOUT
        if not wrong and trying.answer:
            return trying.answer
        if time.monotonic() - begin > limit:
            raise NotPutBack(f"{wrong} after {limit:.0f} s" if undo.slow else wrong)
        if wrong != said:
            about = "" if trying.under_way else ", trying again"
            logger.warning(f"not put back yet{about}: {wrong}")
        said = wrong
        time.sleep(min(LOOK_AGAIN, slow_within / 100) if trying.under_way else TRY_AGAIN)


@dataclass
class _Trying:
    """What was tried so far to put one undo into effect."""

    aws: Aws
    undo: Undo
    heard: float
    """When AWS last answered all that was asked (time.monotonic), or else when this began."""
    answer: Instant | None = None
    """When AWS first answered the last call."""
    refused: str = ""
    """Why a call of the last try was not carried out: because it was before."""
    under_way: bool = False
    """Whether AWS is about it, so that no call has to be made now."""
    failures: int = 0
    """Answers that say that AWS could not do it, one after the other."""

    def once(self) -> str:
        """Makes the calls unless AWS is about it, and looks; what is still wrong, empty if nothing.

        Raises AwsError, or NotPutBack where AWS could not do it.
        """
        early = ""
        if not self.under_way:
            asked, self.refused = time.monotonic_ns(), ""
            for call in self.undo.calls:
                asked = time.monotonic_ns()
                done, early = _make(self.aws, call)
                self.refused = done or self.refused
                if early:
                    break
            else:
                self.answer = self.answer or Instant.now(asked)
        seen = _look(self.aws, self.undo)
        self.heard = time.monotonic()
        self.under_way = seen.under_way
        self.failures = self.failures + 1 if seen.failed else 0
        if self.failures >= LOOKS:
            raise NotPutBack(_could_not(self.undo, seen))
        return seen.wrong or early


def _make(aws: Aws, call: Call) -> tuple[str, str]:
    """Makes one call; why AWS did not carry it out, if that is because it was made before, and if
    AWS does not take it yet."""
    try:
        aws.call(call.service, call.operation, call.asked)
    except AwsError as problem:
        if problem.code in call.not_yet:
            return "", str(problem)
        if problem.code not in call.already_done:
            raise
        return str(problem), ""
    return "", ""


def _could_not(undo: Undo, seen: _Seen) -> str:
    named = ", ".join(map(str, undo.calls))
    return (
        f"{seen.wrong}: AWS could not do it ({named}). Mend what it says (KMS Developer Guide, "
        "fix-keystore or xks-troubleshooting), disconnect the key store "
        "(DisconnectCustomKeyStore), and call `chaos kms restore`, which connects it"
    )


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
    return _look(aws, undo).wrong


@dataclass(frozen=True)
class _Seen:
    """What the checks of an undo say."""

    wrong: str = ""
    under_way: bool = False
    failed: bool = False


def _look(aws: Aws, undo: Undo) -> _Seen:
    """The first check that is not as it should be; raises AwsError."""
    for check in undo.checks:
        call = check.call
        answer = aws.call(call.service, call.operation, dict(call.params))
        found = jmespath.search(check.jmespath, answer)
        if not _same(found, check.equals):
            why = jmespath.search(check.reason, answer) if check.reason else None
            because = f" ({printable(str(why))})" if why else ""
            wrong = f"{check.jmespath} is {found}{because}, not {check.equals}"
            return _Seen(wrong, found in check.under_way, found in check.failed)
    return _Seen()


def _same(found: Any, wanted: Any) -> bool:
    """Whether they are equal; documents (a key policy) are compared as JSON."""
    if found == wanted:
        return True
    try:
        document = json.loads(found)
        return isinstance(document, dict) and bool(document == json.loads(wanted))
    except (TypeError, ValueError):
        return False
