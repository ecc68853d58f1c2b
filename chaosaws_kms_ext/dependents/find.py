"""Everything but databases that is under a key: each service asked, and which are not known."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.dependents.base import BROKEN, SERVICES, Dependent, Service
from chaosaws_kms_ext.dependents.look import SECONDS, Look
from chaosaws_kms_ext.text import printable, shortened

__all__ = ["UNASKED", "Found", "find", "find_all"]

UNASKED = frozenset({
    "appflow", "aoss", "athena", "backup", "bedrock", "cassandra", "cloudtrail", "codebuild",
    "codepipeline", "comprehend", "connect", "dms", "dynamodb-dax", "ecr", "eks", "elasticache",
    "elasticfilesystem", "es", "events", "firehose", "forecast", "fsx", "glue", "imagebuilder",
    "kafka", "kendra", "kinesis", "kinesisvideo", "lex", "lightsail", "memorydb", "mq",
    "personalize", "profile", "qldb", "quicksight", "redshift", "redshift-serverless", "sagemaker",
    "scheduler", "ses", "states", "storagegateway", "timestream", "transfer", "workspaces", "xray",
})  # fmt: skip
"""Services whose resources can be under a customer managed key, and that nobody here asks, as their
ARNs name them. AWS KMS features, "AWS service integration"; not complete, since AWS adds some."""

OURS = frozenset({"kms", "rds"})
"""Asked elsewhere: guard/inventory.py."""

EVENTS = 50
"""The newest of CloudTrail's events about the key: one page."""

OF_SERVICE = ".amazonaws.com"


@dataclass(frozen=True)
class Found:
    """What was found under a key."""

    dependents: tuple[Dependent, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Service, or another source → why it is not known what of it is under the key."""
    used_by: Mapping[str, str] = field(default_factory=dict)
    """Service → when it last used the key, UTC, by the newest events of CloudTrail."""

    @property
    def contexts(self) -> frozenset[tuple[str, str]]:
        """What grants that are for one of them are bound to."""
        return frozenset(pair for each in self.dependents for pair in each.context)


def find_all(aws: Aws, keys: Sequence[str]) -> Found:
    """What is under any of these keys (ARNs), the same in one; for look.SECONDS at most in all.

    Raises nothing, as `find`.
    """
    end = time.monotonic() + SECONDS
    found = [find(aws, each, seconds=max(end - time.monotonic(), 0.0)) for each in keys]
    unknown: dict[str, str] = {}
    used_by: dict[str, str] = {}
    for each in found:
        unknown = {**each.unknown, **unknown}
        for name, at in each.used_by.items():
            used_by[name] = max(at, used_by.get(name, ""))
    return Found(
        tuple(dict.fromkeys(one for each in found for one in each.dependents)),
        dict(sorted(unknown.items())),
        dict(sorted(used_by.items())),
    )


def find(
    aws: Aws,
    key_arn: str,
    services: Mapping[str, Service] = SERVICES,
    seconds: float = SECONDS,
) -> Found:
    """Asks every service, for so many seconds at most; raises nothing: what fails is unknown."""
    unknown = {name: f"its file cannot be used: {why}" for name, why in BROKEN.items()}
    aliases = _aliases(aws, key_arn, unknown)
    look = Look(aws, key_arn, aliases, seconds)
    dependents: list[Dependent] = []
    for name, each in services.items():
        with _Unknown(unknown, name):
            for one in each.under(look):  # as far as it comes
                dependents.append(replace(one, key=key_arn))
    with _Unknown(unknown, "what carries a tag"):
        for name, number in _tagged(look).items():
            told = "one tagged resource" if number == 1 else f"{number} tagged resources"
            unknown.setdefault(name, f"it has {told}, and is not asked for its keys")
    used_by: dict[str, str] = {}
    with _Unknown(unknown, "CloudTrail"):
        used_by = _users(look)
    for name in used_by:
        if name not in OURS and name not in services:
            unknown.setdefault(name, f"it used the key at {used_by[name]}, and is not asked for it")
    return Found(tuple(dependents), dict(sorted(unknown.items())), dict(sorted(used_by.items())))


# Internals


class _Unknown:
    """What goes wrong inside leaves this source unknown, whatever it is."""

    def __init__(self, unknown: dict[str, str], name: str) -> None:
        self._unknown, self._name = unknown, name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, problem: BaseException | None, _: Any) -> bool:
        if isinstance(problem, AwsError):
            self._unknown[self._name] = shortened(str(problem), 300)
        elif isinstance(problem, KeyError | TypeError | ValueError | AttributeError):
            why = f"its answer is not as it is documented: {problem!r}"
            self._unknown[self._name] = shortened(printable(why), 300)
        else:
            return False
        return True


def _aliases(aws: Aws, key_arn: str, unknown: dict[str, str]) -> frozenset[str] | None:
    with _Unknown(unknown, "aliases of the key"):
        found = aws.pages("kms", "ListAliases", {"KeyId": key_arn, "Limit": 100}, "Aliases")
        return frozenset(
            str(each[name]) for each in found for name in ("AliasName", "AliasArn") if name in each
        )
    return None


def _tagged(look: Look) -> dict[str, int]:
    """The services of UNASKED that have something with a tag, and how much."""
    counted: dict[str, int] = {}
    tagged = look.each(
        "resourcegroupstaggingapi", "GetResources", "ResourceTagMappingList", ResourcesPerPage=100
    )
    for each in tagged:
        name = str(each["ResourceARN"]).split(":")[2]
        if name in UNASKED:
            counted[name] = counted.get(name, 0) + 1
    return counted


def _users(look: Look) -> dict[str, str]:
    """Which services used the key, by the newest events about it, and when the last time was."""
    attribute = {"AttributeKey": "ResourceName", "AttributeValue": look.key}
    answer = look.ask("cloudtrail", "LookupEvents", LookupAttributes=[attribute], MaxResults=EVENTS)
    found: dict[str, str] = {}
    for name, at in _uses(answer.get("Events") or []):
        found[name] = max(at, found.get(name, ""))
    return found


def _uses(events: list[Any]) -> Iterator[tuple[str, str]]:
    for event in events:
        try:
            record = json.loads(event["CloudTrailEvent"])
        except (KeyError, TypeError, ValueError):
            continue
        identity = record.get("userIdentity") or {}
        by = identity.get("invokedBy") or record.get("sourceIPAddress") or ""
        uses = record.get("eventSource") == f"kms{OF_SERVICE}" and record.get("requestParameters")
        if uses and isinstance(by, str) and by.endswith(OF_SERVICE):
            yield by.removesuffix(OF_SERVICE).split(".")[0], str(record.get("eventTime", ""))
