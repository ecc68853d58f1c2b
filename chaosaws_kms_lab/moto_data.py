"""What moto's S3, SQS, Parameter Store and DynamoDB hold, as far as it may be under a key.

One of the files that import moto's internals. A service that nobody has used is not imported: it
holds nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from chaosaws_kms_lab.calls import ACCOUNT

__all__ = [
    "Asks",
    "Names",
    "Parameter",
    "Queue",
    "Stored",
    "parameter",
    "parameters_under",
    "queue",
    "s3_default",
    "s3_object",
    "table_key",
    "tables",
]

Asks = Callable[[], None]
Names = Iterable[str]


@dataclass(frozen=True)
class Stored:
    """How an object is encrypted, or is to be."""

    key: str | None
    bucket_key: bool


@dataclass(frozen=True)
class Queue:
    """A queue of SQS."""

    arn: str
    key: str | None
    reuse: float
    """KmsDataKeyReusePeriodSeconds."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of Parameter Store; only a SecureString has a key."""

    name: str
    key: str | None


def s3_object(bucket: str, key: str, version: str | None) -> Stored | None:
    """An object; None: it is not there, or has no key."""
    backend = _global("s3")
    if backend is None or bucket not in backend.buckets:
        return None
    found = backend.get_object(bucket, key, version_id=version)
    # moto gives every object of a bucket the bucket's key, however the object is encrypted.
    if found is None or found.encryption == "AES256" or not found.kms_key_id:
        return None
    return Stored(found.kms_key_id, _is_on(found.bucket_key_enabled))


def s3_default(bucket: str) -> Stored | None:
    """How a bucket encrypts what names no key itself; None: under no key."""
    backend = _global("s3")
    rule = ((backend.buckets[bucket].encryption or {}) if backend and bucket in backend.buckets
            else {}).get("Rule")  # fmt: skip
    if not rule:
        return None
    usual = rule.get("ApplyServerSideEncryptionByDefault") or {}
    return Stored(usual.get("KMSMasterKeyID"), _is_on(rule.get("BucketKeyEnabled")))


def queue(region: str, url: str) -> Queue | None:
    """The queue at a URL; None: there is none."""
    backend = _regional("sqs", region)
    found = backend and backend.queues.get(url.rstrip("/").rsplit("/", 1)[-1])
    if not found:
        return None
    return Queue(
        found.queue_arn, found.kms_master_key_id, float(found.kms_data_key_reuse_period_seconds)
    )


def parameter(region: str, name: str) -> Parameter | None:
    """A parameter, by its name, its ARN, and a version or label; None: there is none."""
    backend = _regional("ssm", region)
    try:
        found = backend and backend.get_parameter(name)
    except Exception:  # moto says itself what is wrong with the name
        return None
    if not found:
        return None
    return Parameter(found.name, found.keyid if found.parameter_type == "SecureString" else None)


def parameters_under(region: str, path: str) -> list[str]:
    """The names of all parameters whose names begin with a path."""
    backend = _regional("ssm", region)
    below = path.rstrip("/") + "/"
    return [name for name in list(backend._parameters) if name.startswith(below)] if backend else []


def table_key(region: str, name: str) -> str | None:
    """The KMS key of a table; None: it has none of a customer's, or is not there."""
    backend = _regional("dynamodb", region)
    found = backend and backend.tables.get(name)
    said = (found.sse_specification or {}) if found else {}
    return said.get("KMSMasterKeyId") if str(said.get("Enabled")).lower() == "true" else None


def tables(region: str) -> list[str]:
    """The names of all tables."""
    backend = _regional("dynamodb", region)
    return list(backend.tables) if backend else []


# Internals


def _is_on(said: Any) -> bool:
    """moto keeps flags as it gets them."""
    return str(said).lower() == "true"


def _backends(service: str) -> Any:
    module = sys.modules.get(f"moto.{service}.models")
    return getattr(module, f"{service}_backends")[ACCOUNT] if module else None


def _global(service: str) -> Any:
    backends = _backends(service)
    return backends["aws"] if backends is not None else None


def _regional(service: str, region: str) -> Any:
    backends = _backends(service)
    return backends[region] if backends is not None and region in backends else None
