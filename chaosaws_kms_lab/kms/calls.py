"""How other services of the lab call KMS: by its operations, with a record in CloudTrail."""

from __future__ import annotations

from typing import Any

from chaosaws_kms_lab import kms
from chaosaws_kms_lab.calls import AwsError, Call, Caller
from chaosaws_kms_lab.world import World

__all__ = ["ask"]


def ask(
    world: World, region: str, caller: Caller, operation: str, **params: object
) -> dict[str, Any]:
    """What KMS answers; raises AwsError as it does. Callers hold the world's lock."""
    call = Call("kms", operation, params, region, caller)
    try:
        answer = kms.handle(world, call)
    except AwsError as error:
        world.audit(call, None, error)
        raise
    world.audit(call, answer, None)
    return answer
