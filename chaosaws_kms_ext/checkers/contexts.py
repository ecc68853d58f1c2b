"""Can a ciphertext be decrypted with its own encryption context, and with no other?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypedDict

from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker
from chaosaws_kms_ext.checkers.objectives import Objective
from chaosaws_kms_ext.history import Conditions, EventName
from chaosaws_kms_ext.history.history import History

__all__ = ["Contexts"]


class Attempt(TypedDict):
    """An attempt to decrypt."""

    context: dict[str, str]
    same: bool
    decrypted: bool


@checker
class Contexts(Checker):
    """Lists the attempts to decrypt, and counts those with the wrong result."""

    name = "contexts"
    place = 120
    objectives = (Objective("wrong_contexts", "wrong_contexts"),)
    fields = {
        "contexts": Field(
            list[Attempt] | None,
            "each attempt to decrypt: the encryption context, whether it was the same, whether "
            "it was decrypted",
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Compares the context of each attempt with that under which the data were encrypted."""
        attempts = _attempts(history)
        return Result(
            figures={"contexts": attempts},
            measured={"wrong_contexts": _wrong(attempts or ())},
            rows=[("", _in_words(each)) for each in attempts or ()],
        )


def _attempts(history: History) -> list[Attempt] | None:
    """None: nothing was encrypted."""
    sealed = {
        each.details["digest"]: each.details["context"] for each in history.all(EventName.SEALED)
    }
    if not sealed:
        return None
    return [
        {
            "context": each.details["context"],
            "same": each.details["context"] == sealed.get(each.details["digest"]),
            "decrypted": each.details["decrypted"],
        }
        for each in history.all(EventName.DECRYPTED)
    ]


def _wrong(attempts: Sequence[Attempt]) -> int | None:
    """None: the same context and another one were not both tried."""
    if {each["same"] for each in attempts} != {True, False}:
        return None
    return sum(bool(each["same"] != each["decrypted"]) for each in attempts)


def _in_words(attempt: Attempt) -> str:
    context = "the same context" if attempt["same"] else "another context"
    done = "decrypted" if attempt["decrypted"] else "refused"
    return f"{context}, {json.dumps(attempt['context'])}: {done}"
