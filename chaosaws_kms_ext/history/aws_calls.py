"""The calls to AWS that a run made, a line each: what was asked, and what AWS answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from chaosaws_kms_ext.history.lines import whole_lines

__all__ = ["AWS_CALLS", "NO_ANSWER", "OK", "AwsCall", "named_in", "read_aws_calls"]

AWS_CALLS = "aws-calls.jsonl"
"""Its file in a history's folder."""

OK, NO_ANSWER = "ok", "no answer"
"""Outcomes beside AWS' error codes."""

NAMES = ("Id", "Identifier", "Arn", "ARN", "Name")
"""How the parameters end that name a resource. No other is recorded: others may hold a secret."""

LONGEST = 300
"""Letters of such a name that are kept."""


class AwsCall(NamedTuple):
    """One call, with the tries that the client made of it."""

    at: int
    """When it was made, CLOCK_MONOTONIC ns."""
    seconds: float
    """From then to the answer, or until it was given up."""
    service: str
    operation: str
    named: str
    """The resources that its parameters name."""
    outcome: str
    """OK, NO_ANSWER or AWS' error code."""
    retries: int = 0
    """How often the client tried again."""
    request: str = ""
    """AWS' id of the request, as CloudTrail has it."""

    @property
    def name(self) -> str:
        """`kms:DisableKey`."""
        return f"{self.service}:{self.operation}"

    @property
    def changes(self) -> bool:
        """Whether it may change something: by its name it does more than read."""
        return not self.operation.startswith(("Describe", "Get", "List", "Simulate", "LookUp"))


def named_in(params: Mapping[str, Any]) -> str:
    """The resources that a call's parameters name."""
    names = [each for key, each in params.items() if key.endswith(NAMES) and isinstance(each, str)]
    return ", ".join(names)[:LONGEST]


def read_aws_calls(folder: Path) -> list[AwsCall]:
    """The calls in a run's `history/` folder, in the order in which they were answered.

    None where there is no file. A line that is torn off at the end is left out. Raises OSError,
    ValueError or TypeError.
    """
    return [_call(line) for line in whole_lines(folder / AWS_CALLS)]


def _call(line: bytes) -> AwsCall:
    call = AwsCall(**json.loads(line))
    words = (call.service, call.operation, call.named, call.outcome, call.request)
    numbers = (call.at, call.retries)
    well = all(isinstance(each, str) for each in words) and all(type(n) is int for n in numbers)
    if not well or type(call.seconds) not in (int, float) or abs(call.at) >= 2**63:
        raise ValueError(f"not a call: {line[:80]!r}")
    return call
