"""Which calls to AWS the run made, and what became of them."""

from __future__ import annotations

from collections import Counter

from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker
from chaosaws_kms_ext.history import Conditions
from chaosaws_kms_ext.history.history import History

__all__ = ["AwsCalls"]


@checker
class AwsCalls(Checker):
    """Which calls to AWS the run made, and how many of each were answered with what."""

    name = "aws_calls"
    place = 150
    fields = {
        "aws_calls": Field(
            dict[str, dict[str, int]] | None,
            "calls to AWS by the run itself (other extensions and the watchdog make theirs): the "
            "operation, and how many of it ended with what: `ok`, AWS' error code, or `no answer`; "
            "`null`: none was recorded",
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Counts them."""
        counted: dict[str, Counter[str]] = {}
        for call in history.calls:
            counted.setdefault(call.name, Counter())[call.outcome] += 1
        found = {name: dict(sorted(counted[name].items())) for name in sorted(counted)}
        return Result(figures={"aws_calls": found or None})
