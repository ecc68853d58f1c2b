"""The lab's KMS without HTTP: a world with a clock that a test turns, and callers of any kind."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pytest
from botocore.session import get_session
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import load_der_public_key

from chaosaws_kms_lab import kms
from chaosaws_kms_lab.aurora import PROFILES
from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call, Caller, administrator
from chaosaws_kms_lab.world import World
from tests.support.clock import HandClock

REGION = "eu-west-1"
DAY = 86400.0
MATERIAL = bytes(range(32))
EXPIRES, DOES_NOT = "KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE"
OTHER_ACCOUNT = "210987654321"
ADMINISTRATOR = administrator()
RDS = Caller(f"rds.{REGION}.amazonaws.com")

# The API reference, Common Error Types.
COMMON = {"AccessDeniedException", "ValidationException"}


class Kms:
    """`kms.create_key(Description=…)` as with boto3, by whom a test says."""

    def __init__(self) -> None:
        self.clock = HandClock(speed=60)
        self.world = World(self.clock, PROFILES["observed"])

    def ask(
        self, operation: str, caller: Caller = ADMINISTRATOR, region: str = REGION, **params: Any
    ) -> Any:
        """What KMS answers; whatever it refuses with must be an error of that operation."""
        try:
            return kms.handle(self.world, Call("kms", operation, params, region, caller))
        except AwsError as fault:
            assert fault.code in errors(operation), f"{operation} has no {fault.code}"
            raise

    def refusal(self, operation: str, caller: Caller = ADMINISTRATOR, **params: Any) -> AwsError:
        """The error that KMS answers."""
        with pytest.raises(AwsError) as caught:
            self.ask(operation, caller, **params)
        return caught.value

    def key(self, **params: Any) -> str:
        """The id of a new key."""
        made: str = self.ask("CreateKey", **params)["KeyMetadata"]["KeyId"]
        return made

    def state(self, key: str) -> str:
        found: str = self.ask("DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"]
        return found

    def arn(self, key: str) -> str:
        return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key}"

    def pass_time(self, seconds: float) -> None:
        """So many AWS seconds later."""
        self.clock.seconds += seconds
        kms.tick(self.world)

    def real(self, **lapse: float) -> datetime:
        """A date of the wall clock, so much from now."""
        return self.clock.utc() + timedelta(**lapse)


@cache
def errors(operation: str) -> frozenset[str]:
    """What botocore's model says that `operation` can be refused with."""
    model = get_session().get_service_model("kms").operation_model(operation)
    return frozenset({shape.name for shape in model.error_shapes} | COMMON)


def user(name: str = "alice", *statements: dict[str, Any], **more: Any) -> Caller:
    """An IAM user with one policy of these statements (and none without)."""
    policies = ({"Version": "2012-10-17", "Statement": list(statements)},) if statements else ()
    account = more.get("account", ACCOUNT)
    return Caller(f"arn:aws:iam::{account}:user/{name}", policies=policies, **more)


def allow(action: str | list[str], resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: str | list[str], resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


ROOT = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}


def policy(*statements: dict[str, Any], root: bool = True) -> str:
    """A key policy: the account may do everything, and these statements."""
    first = [allow("kms:*", Principal=ROOT)] if root else []
    return json.dumps({"Version": "2012-10-17", "Statement": [*first, *statements]})


# Imported material


def parameters(spec: str = "RSA_2048", algorithm: str = "RSAES_OAEP_SHA_256") -> dict[str, str]:
    return {"WrappingKeySpec": spec, "WrappingAlgorithm": algorithm}


def wrapped(public: bytes, material: bytes, algorithm: str) -> bytes:
    """What `openssl pkeyutl` makes of the material, as the document shows it."""
    key = load_der_public_key(public)
    assert isinstance(key, rsa.RSAPublicKey)
    digest = hashes.SHA1() if algorithm.endswith("_1") else hashes.SHA256()
    oaep = padding.OAEP(padding.MGF1(digest), digest, None)
    if algorithm.startswith("RSAES"):
        return key.encrypt(material, oaep)
    between = os.urandom(32)
    return key.encrypt(between, oaep) + aes_key_wrap_with_padding(between, material)


def wrap(lab: Kms, key: str, material: bytes = MATERIAL, **chosen: str) -> dict[str, Any]:
    given = parameters() | chosen
    got = lab.ask("GetParametersForImport", KeyId=key, **given)
    blob = wrapped(got["PublicKey"], material, given["WrappingAlgorithm"])
    return {"ImportToken": got["ImportToken"], "EncryptedKeyMaterial": blob}


def bring(lab: Kms, key: str, material: bytes = MATERIAL, **more: Any) -> Any:
    params = {"ExpirationModel": DOES_NOT, **wrap(lab, key, material), **more}
    return lab.ask("ImportKeyMaterial", KeyId=key, **params)


def imported(lab: Kms, **more: Any) -> str:
    """The id of an enabled key with imported material."""
    key = lab.key(Origin="EXTERNAL")
    bring(lab, key, **more)
    return key
