"""The lab's EventBridge Scheduler: its schedules fire, by the wall clock.

`handle` answers a call. A `Scheduler` has one thread, which invokes targets without holding the
lock. Plans, retries and targets only decide; they wait for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chaosaws_kms_lab import parameters
from chaosaws_kms_lab.calls import Call
from chaosaws_kms_lab.scheduler import groups, schedules
from chaosaws_kms_lab.scheduler.roles import RoleInvoker
from chaosaws_kms_lab.scheduler.service import Scheduler
from chaosaws_kms_lab.scheduler.targets import InvocationFailed

__all__ = ["OPERATIONS", "InvocationFailed", "RoleInvoker", "Scheduler", "handle"]

OPERATIONS: dict[str, Callable[[Scheduler, Call], dict[str, Any]]] = {
    **groups.OPERATIONS,
    **schedules.OPERATIONS,
}


def handle(service: Scheduler, call: Call) -> dict[str, Any]:
    """Answers one call; raises AwsError as AWS would."""
    parameters.check(call)
    with service.changing():
        return OPERATIONS[call.operation](service, call)
