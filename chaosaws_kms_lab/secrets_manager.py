"""Secrets Manager under the lab's own keys: moto keeps the secrets, the lab's KMS their data keys.

AWS Secrets Manager User Guide, "Secret encryption and decryption": each version of a secret has a
data key of its own, generated and decrypted in the name of the caller. Secrets under the AWS
managed key need none of this.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.data_misbehaviours import SECRET_OUTLIVES_KEY
from chaosaws_kms_lab.kms.calls import ask
from chaosaws_kms_lab.world import World

__all__ = ["AWS_MANAGED", "OPERATIONS", "Moto", "Secrets", "handle"]

Moto = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Asks moto an operation with its parameters; raises AwsError as moto answers."""

AWS_MANAGED = "alias/aws/secretsmanager"
VALIDATION = "RequestToValidateKeyAccess"
"""The version in calls that only check whether the caller may use the key."""

STAGES = frozenset({"AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"})
"""A version with one of these is encrypted again when the secret gets another key."""

# The API reference, GetSecretValue and PutSecretValue, "Errors".
UNREADABLE = (
    "DecryptionFailure",
    "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
)
UNWRITABLE = (
    "EncryptionFailure",
    "Secrets Manager can't encrypt the protected secret text using the provided KMS key. Check "
    "that the KMS key is available, enabled, and not in an invalid state.",
)


class DataKey(NamedTuple):
    """The data key of a secret's version, as KMS sealed it."""

    key_arn: str
    sealed: bytes


class Secrets:
    """The data keys of every version that is under a customer managed key."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._data_keys: dict[tuple[str, str], tuple[DataKey, ...]] = {}
        """The secret's ARN and the version → its data keys; each of them can decrypt it."""

    def open(self, call: Call, arn: str, version: str) -> None:
        """Raises DecryptionFailure or AccessDeniedException unless the caller may read it."""
        if self._world.active_misbehaviours(SECRET_OUTLIVES_KEY):
            return
        refused: AwsError | None = None
        for data_key in self._data_keys.get((arn, version), ()):
            try:
                self._decrypt(call, arn, version, data_key)
            except AwsError as why:
                refused = why
            else:
                return
        if refused:
            raise _translated(refused, UNREADABLE)

    def data_key(self, call: Call, key: str, arn: str, version: str) -> DataKey:
        """A new one; raises EncryptionFailure or AccessDeniedException."""
        try:
            return self._generate(call, key, arn, version)
        except AwsError as why:
            raise _translated(why, UNWRITABLE) from why

    def validate(self, call: Call, key: str, arn: str) -> None:
        """Raises as `data_key` does unless the caller may encrypt and decrypt with the key."""
        made = self.data_key(call, key, arn, VALIDATION)
        try:
            self._decrypt(call, arn, VALIDATION, made)
        except AwsError as why:
            raise _translated(why, UNWRITABLE) from why

    def keep(self, arn: str, version: str, data_key: DataKey) -> None:
        """From now on the version is under this data key alone."""
        self._data_keys[arn, version] = (data_key,)

    def encrypt_again(self, call: Call, key: str | None, arn: str, versions: list[str]) -> None:
        """Encrypts versions under `key` as well; None: under no customer managed key any more.

        Versions without a data key stay as they are, and so does a version that the caller cannot
        read or write.
        """
        for version in versions:
            held = self._data_keys.get((arn, version))
            if held is None:
                continue
            try:
                self.open(call, arn, version)
                if key is None:
                    del self._data_keys[arn, version]
                else:
                    made = self.data_key(call, key, arn, version)
                    self._data_keys[arn, version] = (made, *held)
            except AwsError:
                continue

    def _generate(self, call: Call, key: str, arn: str, version: str) -> DataKey:
        made = self._ask(
            call,
            "GenerateDataKey",
            KeyId=key,
            KeySpec="AES_256",
            EncryptionContext=_context(arn, version),
        )
        return DataKey(made["KeyId"], made["CiphertextBlob"])

    def _decrypt(self, call: Call, arn: str, version: str, data_key: DataKey) -> None:
        self._ask(
            call,
            "Decrypt",
            KeyId=data_key.key_arn,
            CiphertextBlob=data_key.sealed,
            EncryptionContext=_context(arn, version),
        )

    def _ask(self, call: Call, operation: str, **params: object) -> dict[str, Any]:
        caller = replace(call.caller, via=f"secretsmanager.{call.region}.amazonaws.com")
        with self._world.lock:
            return ask(self._world, call.region, caller, operation, **params)


def handle(secrets: Secrets, call: Call, moto: Moto) -> dict[str, Any]:
    """Answers one call; raises AwsError as AWS would."""
    return OPERATIONS[call.operation](secrets, call, moto)


def create_secret(secrets: Secrets, call: Call, moto: Moto) -> dict[str, Any]:
    """CreateSecret: moto creates it first, since its ARN is in the encryption context."""
    params, key = _with_token(call), _customer_managed(call.params.get("KmsKeyId"))
    _no_replicas(call, key)
    if key is None or _exists(moto, params.get("Name", "")):
        return moto(call.operation, params)
    answer = moto(call.operation, params)
    arn = answer["ARN"]
    try:
        secrets.validate(call, key, arn)
        if _has_value(params):
            version = answer["VersionId"]
            secrets.keep(arn, version, secrets.data_key(call, key, arn, version))
    except AwsError:
        moto("DeleteSecret", {"SecretId": arn, "ForceDeleteWithoutRecovery": True})
        raise
    return answer


def put_secret_value(secrets: Secrets, call: Call, moto: Moto) -> dict[str, Any]:
    """PutSecretValue."""
    params, about = _with_token(call), _described(call, moto)
    return _write(secrets, call, moto, params, about, _customer_managed(about.get("KmsKeyId")))


def update_secret(secrets: Secrets, call: Call, moto: Moto) -> dict[str, Any]:
    """UpdateSecret: another value, another key, or both."""
    params, about = _with_token(call), _described(call, moto)
    before = key = _customer_managed(about.get("KmsKeyId"))
    if params.get("KmsKeyId") is not None:
        key = _customer_managed(params["KmsKeyId"])
    if key != before and key is not None:
        secrets.validate(call, key, about["ARN"])
    answer = _write(secrets, call, moto, params, about, key)
    if key != before:
        secrets.encrypt_again(call, key, about["ARN"], list(_staged(about)))
    return answer


def get_secret_value(secrets: Secrets, call: Call, moto: Moto) -> dict[str, Any]:
    """GetSecretValue."""
    answer = moto(call.operation, call.params)
    secrets.open(call, answer["ARN"], answer["VersionId"])
    return answer


def batch_get_secret_value(secrets: Secrets, call: Call, moto: Moto) -> dict[str, Any]:
    """BatchGetSecretValue: what cannot be read is among the errors."""
    answer = moto(call.operation, call.params)
    values, errors = [], list(answer.get("Errors") or ())
    for value in answer["SecretValues"]:
        try:
            secrets.open(call, value["ARN"], value["VersionId"])
            values.append(value)
        except AwsError as why:
            refused = {"SecretId": value["ARN"], "ErrorCode": why.code, "Message": why.message}
            errors.append(refused)
    return answer | {"SecretValues": values, "Errors": errors}


def not_under_a_key(secrets: Secrets, call: Call, moto: Moto) -> dict[str, Any]:
    """An operation that moto answers, but not for a secret under a customer managed key."""
    key = _customer_managed(_described(call, moto).get("KmsKeyId"))
    _no_replicas(call, key)
    if key is not None:
        raise _not_done(call)
    return moto(call.operation, call.params)


def _write(
    secrets: Secrets,
    call: Call,
    moto: Moto,
    params: dict[str, Any],
    about: Mapping[str, Any],
    key: str | None,
) -> dict[str, Any]:
    """Makes a data key for a new version, if it needs one, and lets moto keep the version."""
    arn, version = about["ARN"], params["ClientRequestToken"]
    if key is None or not _has_value(params):
        return moto(call.operation, params)
    if version in (about.get("VersionIdsToStages") or {}):
        # "decrypts the existing secret value and compares it to the secret value in the request"
        secrets.open(call, arn, version)
        return moto(call.operation, params)
    data_key = secrets.data_key(call, key, arn, version)
    answer = moto(call.operation, params)
    secrets.keep(arn, version, data_key)
    return answer


def _context(arn: str, version: str) -> dict[str, str]:
    return {"SecretARN": arn, "SecretVersionId": version}


def _translated(why: AwsError, failure: tuple[str, str]) -> AwsError:
    """The error of Secrets Manager for an error of KMS.

    "Access to KMS is not allowed": AWS re:Post, knowledge center, "secrets manager cross account
    key". Assumed: a key that does not exist is a failure like any other.
    """
    if why.code == "AccessDeniedException":
        return AwsError(why.code, "Access to KMS is not allowed")
    code, message = failure
    return AwsError(code, f"{message} ({why.code}: {why.message})")


def _with_token(call: Call) -> dict[str, Any]:
    """The parameters with a ClientRequestToken, the new version's id: an SDK makes one up too."""
    return {"ClientRequestToken": str(uuid.uuid4())} | call.params


def _customer_managed(key: str | None) -> str | None:
    return None if not key or key.endswith(AWS_MANAGED) else key


def _has_value(params: Mapping[str, Any]) -> bool:
    return any(params.get(name) is not None for name in ("SecretString", "SecretBinary"))


def _described(call: Call, moto: Moto) -> dict[str, Any]:
    return moto("DescribeSecret", {"SecretId": call.params.get("SecretId", "")})


def _exists(moto: Moto, name: str) -> bool:
    try:
        moto("DescribeSecret", {"SecretId": name})
    except AwsError:
        return False
    return True


def _staged(about: Mapping[str, Any]) -> Iterator[str]:
    for version, stages in (about.get("VersionIdsToStages") or {}).items():
        if STAGES & set(stages):
            yield version


def _no_replicas(call: Call, key: str | None) -> None:
    """Raises NotImplemented for copies in other Regions under customer managed keys."""
    replicas = call.params.get("AddReplicaRegions") or []
    if replicas and (key or any(_customer_managed(each.get("KmsKeyId")) for each in replicas)):
        raise _not_done(call)


def _not_done(call: Call) -> AwsError:
    what = f"secretsmanager:{call.operation}"
    # 501: an SDK does not try again, as it would after a 500.
    return AwsError("NotImplemented", f"The lab does not do {what} under a KMS key.", 501)


OPERATIONS: dict[str, Callable[[Secrets, Call, Moto], dict[str, Any]]] = {
    "BatchGetSecretValue": batch_get_secret_value,
    "CreateSecret": create_secret,
    "GetSecretValue": get_secret_value,
    "PutSecretValue": put_secret_value,
    "ReplicateSecretToRegions": not_under_a_key,
    "RotateSecret": not_under_a_key,
    "UpdateSecret": update_secret,
}
