"""Parameter Store: SecureString parameters under a customer managed key.

AWS Systems Manager User Guide, "AWS KMS encryption for Parameter Store SecureString parameters":
KMS is asked each time that a parameter is written, or read with its value decrypted.
"""

from __future__ import annotations

from chaosaws_kms_lab import moto_data
from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call
from chaosaws_kms_lab.encrypted.data_keys import DataKeys, Encryption, Prepare, customers, not_done

__all__ = ["OPERATIONS"]

SECURE = "SecureString"


def put_parameter(keys: DataKeys, call: Call) -> None:
    """PutParameter: under the key that is named, or else that of the version before."""
    name = str(call.params.get("Name"))
    if call.params.get("Type", SECURE) != SECURE:
        return
    before = moto_data.parameter(call.region, name)
    key = customers(call.params.get("KeyId") or (before.key if before else None), "ssm")
    if key:
        _in_ssm(lambda: keys.seal(call, _encryption(call, name, key)))


def get_parameter(keys: DataKeys, call: Call) -> None:
    """GetParameter."""
    _open(keys, call, [str(call.params.get("Name"))])


def get_parameters(keys: DataKeys, call: Call) -> None:
    """GetParameters."""
    _open(keys, call, map(str, call.params.get("Names") or []))


def by_path(keys: DataKeys, call: Call) -> None:
    """GetParametersByPath."""
    path = str(call.params.get("Path"))
    _open(keys, call, moto_data.parameters_under(call.region, path))


def history(keys: DataKeys, call: Call) -> None:
    """GetParameterHistory, which the lab does not decrypt under a key."""
    found = moto_data.parameter(call.region, str(call.params.get("Name")))
    if call.params.get("WithDecryption") and found and customers(found.key, "ssm"):
        raise not_done(call)


OPERATIONS: dict[str, Prepare] = {
    "GetParameter": get_parameter,
    "GetParameterHistory": history,
    "GetParameters": get_parameters,
    "GetParametersByPath": by_path,
    "PutParameter": put_parameter,
}


# Internals


def _open(keys: DataKeys, call: Call, names: moto_data.Names) -> None:
    if not call.params.get("WithDecryption"):
        return
    for name in names:
        found = moto_data.parameter(call.region, name)
        key = customers(found.key, "ssm") if found else None
        if found and key:
            how = _encryption(call, found.name, key)
            _in_ssm(lambda how=how: keys.open(call, how))  # type: ignore[misc]


def _encryption(call: Call, name: str, key: str) -> Encryption:
    """Systems Manager User Guide: the encryption context is PARAMETER_ARN."""
    arn = f"arn:aws:ssm:{call.region}:{ACCOUNT}:parameter/{name.lstrip('/')}"
    return Encryption(arn, key, {"PARAMETER_ARN": arn})


def _in_ssm(asks: moto_data.Asks) -> None:
    """API reference, GetParameter, "Errors": InvalidKeyId. Users' reports: the message is KMS'."""
    try:
        asks()
    except AwsError as why:
        code = "AccessDeniedException" if why.code == "AccessDeniedException" else "InvalidKeyId"
        told = f"{why.message} (Service: Kms, Status Code: 400, Error Code: {why.code})"
        raise AwsError(code, told, 400) from why
