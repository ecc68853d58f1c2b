"""The lab's KMS: keys, policies, grants, key material and the cryptographic operations.

`handle` answers a call, `tick` does what is due; callers of both hold the world's lock. Whether a
caller may use a key is decided in one place (authorize.py), for people and for Aurora alike.
"""

from __future__ import annotations

from typing import Any

from chaosaws_kms_lab.calls import Call
from chaosaws_kms_lab.kms import (
    aliases,
    crypto,
    datakeys,
    grants,
    key_stores,
    keys,
    material,
    policies,
    rotation,
    tags,
)
from chaosaws_kms_lab.kms.authorize import Version, version
from chaosaws_kms_lab.kms.expiry import at_rest, tick
from chaosaws_kms_lab.kms.key_stores import make as make_key_store
from chaosaws_kms_lab.kms.new_keys import create_key
from chaosaws_kms_lab.kms.states import Handler
from chaosaws_kms_lab.parameters import check
from chaosaws_kms_lab.world import World

__all__ = [
    "OPERATIONS",
    "Version",
    "at_rest",
    "create_key",
    "handle",
    "make_key_store",
    "tick",
    "version",
]

OPERATIONS: dict[str, Handler] = {
    **aliases.OPERATIONS,
    **crypto.OPERATIONS,
    **datakeys.OPERATIONS,
    **grants.OPERATIONS,
    **key_stores.OPERATIONS,
    **keys.OPERATIONS,
    **material.OPERATIONS,
    **policies.OPERATIONS,
    **rotation.OPERATIONS,
    **tags.OPERATIONS,
}


def handle(world: World, call: Call) -> dict[str, Any]:
    """Answers one call; raises AwsError as AWS would."""
    check(call)
    return OPERATIONS[call.operation](world, call)
