"""In what CloudTrail's records of KMS are not just a call's parameters and its answer.

AWS KMS Developer Guide, "Logging AWS KMS API calls with AWS CloudTrail", the example of each
operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chaosaws_kms_lab.calls import Call

__all__ = ["date_text", "elements", "parameters"]

# Operation → what stands in its record, given or not.
ALWAYS: dict[tuple[str, str], dict[str, Any]] = {
    ("kms", "Decrypt"): {"EncryptionAlgorithm": "SYMMETRIC_DEFAULT"},
    ("kms", "PutKeyPolicy"): {"PolicyName": "default", "BypassPolicyLockoutSafetyCheck": False},
    ("kms", "ReplicateKey"): {"Description": "", "BypassPolicyLockoutSafetyCheck": False},
}

# Operation → the members of its answer that its record does not have.
LEFT_OUT: dict[tuple[str, str], frozenset[str]] = {
    ("kms", "CreateGrant"): frozenset({"GrantToken"}),
    ("kms", "ScheduleKeyDeletion"): frozenset({"PendingWindowInDays"}),
}


def parameters(call: Call) -> dict[str, Any]:
    """The parameters of a call, as its record has them."""
    return ALWAYS.get((call.service, call.operation), {}) | call.params


def elements(call: Call, answer: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The answer to a call, as its record has it."""
    if answer is None:
        return None
    left_out = LEFT_OUT.get((call.service, call.operation), frozenset())
    return {name: value for name, value in answer.items() if name not in left_out}


def date_text(date: datetime) -> str:
    """A date within a record: Nov 18, 2020, 1:29:18 AM."""
    return f"{date:%b} {date.day}, {date.year}, {date.hour % 12 or 12}:{date:%M:%S %p}"
