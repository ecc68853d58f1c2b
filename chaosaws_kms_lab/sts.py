"""STS' GetCallerIdentity: the same principal as in policies and in CloudTrail.

moto would name an administrator of its own, which no other part of the lab knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chaosaws_kms_lab.calls import Call

__all__ = ["OPERATIONS", "handle"]


def handle(call: Call) -> dict[str, Any]:
    """Answers one call."""
    return OPERATIONS[call.operation](call)


def get_caller_identity(call: Call) -> dict[str, Any]:
    """GetCallerIdentity."""
    caller = call.caller
    return {"UserId": caller.user_id, "Account": caller.account, "Arn": caller.arn}


OPERATIONS: dict[str, Callable[[Call], dict[str, Any]]] = {"GetCallerIdentity": get_caller_identity}
