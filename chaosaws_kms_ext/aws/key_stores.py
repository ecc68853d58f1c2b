"""Custom key stores of KMS (AWS CloudHSM, external), and the keys in them."""

from __future__ import annotations

from dataclasses import dataclass

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.kms import Key
from chaosaws_kms_ext.text import printable

__all__ = ["KeyStore", "describe", "keys"]

MOST = 1000
"""Keys a page (API reference, ListKeys, Limit)."""


@dataclass(frozen=True)
class KeyStore:
    """What DescribeCustomKeyStores says."""

    id: str
    name: str
    """As somebody has called it, in printable letters."""
    state: str
    """CONNECTED, CONNECTING, DISCONNECTED, DISCONNECTING or FAILED."""
    error: str = ""
    """A ConnectionErrorCode, of one that is FAILED."""


def describe(aws: Aws, store: str) -> KeyStore:
    """The key store of that id; raises AwsError. IAM: kms:DescribeCustomKeyStores."""
    answer = aws.call("kms", "DescribeCustomKeyStores", {"CustomKeyStoreId": store})
    found = [e for e in answer.get("CustomKeyStores", []) if e.get("CustomKeyStoreId") == store]
    if not found:
        raise AwsError(f"kms:DescribeCustomKeyStores says nothing of {store}")
    said = found[0]
    return KeyStore(
        store,
        printable(said.get("CustomKeyStoreName", "")),
        said.get("ConnectionState", "unknown"),
        said.get("ConnectionErrorCode", ""),
    )


def keys(aws: Aws, store: str) -> list[Key]:
    """Every key that is in the store; raises AwsError.

    No call lists them: each key of the account in the Region is described (KMS Developer Guide,
    find-key-material). One that is deleted meanwhile is left out. IAM: kms:ListKeys,
    kms:DescribeKey.
    """
    listed = aws.pages("kms", "ListKeys", {"Limit": MOST}, "Keys")
    found = (kms.find(aws, each["KeyArn"]) for each in listed)
    return [key for key in found if key and key.store == store]
