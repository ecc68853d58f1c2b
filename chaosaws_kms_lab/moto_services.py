"""moto's S3, EventBridge and CloudFormation, as far as the lab looks into them; and moto itself.

One of the files that import moto's internals (wire.py checks them at the start).
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import logging
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.wrappers import Request

from chaosaws_kms_lab.calls import ACCOUNT

__all__ = [
    "MotoRequestHandler",
    "Wsgi",
    "create_own_secret",
    "create_secret",
    "create_stream",
    "delete_secret",
    "delete_stream",
    "emit",
    "for_s3",
    "has_rules",
    "moto",
    "put_record",
    "read_secret",
    "reads_a_public_object",
    "stacks",
    "stored_template",
]

logger = logging.getLogger(__name__)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def moto() -> Wsgi:
    """moto's application: every service of AWS that the lab does not do itself."""
    return DomainDispatcherApplication(create_backend_app)  # type: ignore[no-any-return]


# S3


def reads_a_public_object(request: Request) -> bool:
    """Whether an unsigned request reads an object of S3 that everybody may read."""
    bucket, _, key = request.path.removeprefix("/").partition("/")
    if not key or request.method not in ("GET", "HEAD") or request.args:
        return False
    if {"Authorization", "X-Amz-Target"} & set(request.headers.keys()):
        return False
    if "moto.s3.models" not in sys.modules:  # nobody has used S3
        return False
    from moto.s3.exceptions import MissingBucket
    from moto.s3.models import s3_backends

    try:
        found = s3_backends[ACCOUNT]["aws"].get_object(bucket, key)
    except MissingBucket:
        return False
    if found is None or str(found.encryption).startswith("aws:kms"):
        return False  # S3 User Guide, SSE-KMS: such requests have to be signed
    return bool(found.acl and found.acl.public_read)


def for_s3(environ: dict[str, Any]) -> dict[str, Any]:
    """The same request, signed for S3.

    moto chooses the service by the header or the body. With this header it chooses S3, whatever
    else the request says; the caller has been checked before.
    """
    signed = (
        "AWS4-HMAC-SHA256 Credential=lab/20260101/us-east-1/s3/aws4_request, "
        "SignedHeaders=host, Signature=0"
    )
    return environ | {"HTTP_AUTHORIZATION": signed}


# CloudFormation


def stored_template(url: str) -> str:
    """The CloudFormation template at a URL of moto's S3; without one, raises what moto raises."""
    from moto.cloudformation.utils import get_stack_from_s3_url

    return str(get_stack_from_s3_url(url, ACCOUNT, "aws"))


def stacks(region: str) -> list[dict[str, Any]]:
    """moto's own stacks in a Region, as DescribeStacks has them; none if nobody made one."""
    if "moto.cloudformation.models" not in sys.modules:
        return []
    from moto.cloudformation.models import cloudformation_backends

    return [
        {
            "StackId": each.stack_id,
            "StackName": each.name,
            "CreationTime": each.creation_time,
            "StackStatus": each.status,
        }
        for each in list(cloudformation_backends[ACCOUNT][region].stacks.values())
    ]


# Secrets Manager and Kinesis, in which RDS keeps what is not its own


def create_secret(region: str, name: str, value: str, key_arn: str | None) -> tuple[str, str]:
    """A secret that RDS manages; its ARN and its version."""
    from moto.secretsmanager.models import secretsmanager_backends

    version = str(uuid.uuid4())
    secret = secretsmanager_backends[ACCOUNT][region].create_managed_secret(
        "rds", name, secret_string=value, kms_key_id=key_arn, version_id=version
    )
    return str(secret.arn), version


def delete_secret(region: str, arn: str) -> None:
    """Deletes it at once, if it is still there."""
    from moto.secretsmanager.models import secretsmanager_backends

    with contextlib.suppress(JsonRESTError):
        secretsmanager_backends[ACCOUNT][region].delete_secret(arn, None, True)


def create_own_secret(region: str, name: str, value: str, key_arn: str) -> tuple[str, str]:
    """A secret of the lab's owner; its ARN and its version."""
    from moto.secretsmanager.models import secretsmanager_backends

    version = str(uuid.uuid4())
    made = secretsmanager_backends[ACCOUNT][region].create_secret(
        name,
        secret_string=value,
        secret_binary=None,
        description=None,
        tags=[],
        kms_key_id=key_arn,
        client_request_token=version,
        replica_regions=[],
        force_overwrite=False,
    )
    return str(json.loads(made)["ARN"]), version


def read_secret(region: str, arn: str) -> tuple[str, str]:
    """The current version of a secret, and its text; raises LookupError where there is none."""
    from moto.secretsmanager.models import secretsmanager_backends

    try:
        said = secretsmanager_backends[ACCOUNT][region].get_secret_value(arn, "", "AWSCURRENT")
    except JsonRESTError as problem:
        raise LookupError(str(problem)) from None
    return str(said["VersionId"]), str(said["SecretString"])


def create_stream(region: str, name: str) -> None:
    """A Kinesis stream with one shard."""
    from moto.kinesis.models import kinesis_backends

    kinesis_backends[ACCOUNT][region].create_stream(name, 1)


def put_record(region: str, name: str, data: bytes) -> None:
    """Puts a record into a stream; it is lost if somebody has deleted the stream."""
    from moto.kinesis.models import kinesis_backends

    arn = f"arn:aws:kinesis:{region}:{ACCOUNT}:stream/{name}"
    with contextlib.suppress(JsonRESTError):
        kinesis_backends[ACCOUNT][region].put_record(
            arn, name, "rds", "", base64.b64encode(data).decode()
        )


def delete_stream(region: str, name: str) -> None:
    """Deletes a stream, if it is still there."""
    from moto.kinesis.models import kinesis_backends

    with contextlib.suppress(JsonRESTError):
        kinesis_backends[ACCOUNT][region].delete_stream(None, name)


# EventBridge


def has_rules(region: str) -> bool:
    """Whether the default event bus of a Region has a rule with a pattern."""
    return bool(_rules(region))


def emit(event: dict[str, Any], states: Collection[str]) -> None:
    """Sends an event to the targets of the rules that match it and are in one of these states.

    It never raises: if a target fails, its event is lost, and that is logged. moto's own PutEvents
    would refuse a source that begins with "aws.", and ignores the state of a rule.
    """
    # moto takes seconds and turns them into a date for its targets.
    sent = event | {"time": datetime.fromisoformat(event["time"]).timestamp()}
    for rule in _rules(event["region"]):
        if rule.state not in states:
            continue
        for target in list(rule.targets):
            alone = copy.copy(rule)  # one target at a time: if it fails, the others get the event
            alone.targets = [target]
            # Without an InputTransformer, moto's default template would lose the account.
            transformed = "InputTransformer" in target
            told = sent | {"ingestion-time": time.time()} if transformed else sent
            try:
                alone.send_to_targets(told, transform_input=transformed)
            except Exception:
                logger.exception("%s did not take an event of rule %s", target["Arn"], rule.name)


def _rules(region: str) -> list[Any]:
    """The rules with a pattern on the default bus; none, and no import, before the first rule."""
    if "moto.events.models" not in sys.modules:
        return []
    from moto.events.models import events_backends

    backends = events_backends[ACCOUNT]
    if region not in backends:
        return []
    rules = list(backends[region].event_buses["default"].rules.values())
    return [rule for rule in rules if rule.event_pattern.dump()]
