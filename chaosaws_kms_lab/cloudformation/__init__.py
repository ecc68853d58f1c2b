"""The lab's CloudFormation: stacks with KMS keys and DB clusters, made by calls of its own APIs.

moto's engine makes all other stacks. `Stacks.takes` says whose a call is, `handle` answers it. The
resources of a stack are made one after the other in a thread, by the calls that a person would make
and as whoever ordered the stack.
"""

from __future__ import annotations

from typing import Any

from chaosaws_kms_lab import parameters
from chaosaws_kms_lab.calls import Call
from chaosaws_kms_lab.cloudformation.operations import OPERATIONS
from chaosaws_kms_lab.cloudformation.service import Stacks

__all__ = ["OPERATIONS", "Stacks", "handle"]


def handle(stacks: Stacks, call: Call) -> dict[str, Any]:
    """Answers one call; raises AwsError as AWS would."""
    parameters.check(call)
    return OPERATIONS[call.operation](stacks, call)
