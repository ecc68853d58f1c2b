"""RDS Proxies: which stand before a database, whether each reaches it, and the keys of the secrets
that they log in by.

API reference, DescribeDBProxies and DescribeDBProxyTargets; Aurora User Guide, rds-proxy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.database import Database

__all__ = [
    "AVAILABLE",
    "MISSING",
    "Proxy",
    "Target",
    "describe",
    "key_of_secret",
    "of_database",
    "targets",
    "writer_of",
]

AVAILABLE = "AVAILABLE"
"""The state of a target that the proxy reaches."""

MISSING = "DBProxyNotFoundFault"
"""The code of an error: there is no such proxy."""

PORTS = {"POSTGRESQL": 5432, "MYSQL": 3306}
"""Engine family → where a proxy of it listens: the default port of its engine, which cannot be
chosen (Aurora User Guide, rds-proxy, "Quotas and limitations")."""

READER = "READ_ONLY"
CLUSTER = "TRACKED_CLUSTER"


@dataclass(frozen=True)
class Target:
    """What DescribeDBProxyTargets says of an instance."""

    id: str
    """The instance's."""
    role: str
    """`READ_WRITE`, `READ_ONLY`, `UNKNOWN`; empty where RDS does not say."""
    state: str
    """`REGISTERING`, `AVAILABLE`, `UNAVAILABLE`, `UNUSED`; empty where RDS does not say."""
    reason: str
    """`CONNECTION_FAILED`, say; empty if there is none."""
    description: str

    def __str__(self) -> str:
        why = f" ({self.reason}: {self.description})" if self.reason else ""
        return f"{self.state or 'of no known state'}{why}"


@dataclass(frozen=True)
class Proxy:
    """One proxy, with its targets."""

    name: str
    status: str
    address: str
    """Of its default endpoint."""
    family: str
    """The engine family: `POSTGRESQL`, `MYSQL`, `SQLSERVER`."""
    secrets: tuple[str, ...]
    """The ARNs of the secrets by which it logs in."""
    databases: frozenset[str]
    """What it stands before: ids, resource ids and ARNs of clusters and instances."""
    targets: tuple[Target, ...]
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def writer(self) -> Target | None:
        """The target that its default endpoint leads to; None: RDS names no instance."""
        return writer_of(self.targets)

    def port(self, target_port: int | None, on_lab: bool) -> int | None:
        """Where it listens; None: not known. The lab's listens on its target's port."""
        return target_port if on_lab else PORTS.get(self.family)

    def is_before(self, database: Database) -> bool:
        """Whether it leads to this database."""
        raw = database.raw
        names = {
            database.arn,
            database.kind.id_of(database.id),
            str(raw.get("DbClusterResourceId") or raw.get("DbiResourceId") or database.arn),
        }
        return bool(names & self.databases)


def describe(aws: Aws, name: str) -> Proxy:
    """The proxy of this name; raises AwsError. IAM: rds:DescribeDBProxies,
    rds:DescribeDBProxyTargets."""
    answer = aws.call("rds", "DescribeDBProxies", {"DBProxyName": name})
    if not answer.get("DBProxies"):
        raise AwsError(f"rds:DescribeDBProxies says nothing of {name}")
    return _proxy(aws, answer["DBProxies"][0])


def of_database(aws: Aws, database: Database) -> list[Proxy]:
    """Every proxy before a database; raises AwsError. IAM: as `describe`."""
    found = aws.pages("rds", "DescribeDBProxies", {}, "DBProxies")
    proxies = [its for each in found if (its := _still_there(aws, each))]
    return [each for each in proxies if each.is_before(database)]


def targets(aws: Aws, name: str) -> tuple[Target, ...]:
    """The instances that a proxy leads to; raises AwsError. IAM: rds:DescribeDBProxyTargets."""
    return _instances(_targets(aws, name))


def writer_of(found: Iterable[Target]) -> Target | None:
    """That of them which the default endpoint leads to; None: RDS names no instance."""
    return next((each for each in found if each.role != READER), None)


def key_of_secret(aws: Aws, secret: str) -> str:
    """The ARN of the customer managed key of a secret, by the secret's ARN; empty: it is under AWS'
    own.

    Raises AwsError. IAM: secretsmanager:ListSecrets, kms:DescribeKey.
    """
    # Secrets Manager User Guide, "What's in a secret?": the name, a hyphen and six characters.
    name = secret.partition(":secret:")[2][:-7]
    named = {"Filters": [{"Key": "name", "Values": [name]}]}
    listed = aws.pages("secretsmanager", "ListSecrets", named, "SecretList")
    said = next((each for each in listed if each.get("ARN") == secret), None)
    if said is None:
        raise AwsError(f"secretsmanager:ListSecrets has no secret {secret}")
    key = str(said.get("KmsKeyId") or "")
    if not key or key.endswith("alias/aws/secretsmanager"):
        return ""
    return kms.describe(aws, key).arn


def _still_there(aws: Aws, said: Mapping[str, Any]) -> Proxy | None:
    """None: somebody has deleted it since it was listed."""
    try:
        return _proxy(aws, said)
    except AwsError as problem:
        if problem.code != MISSING:
            raise
        return None


def _proxy(aws: Aws, said: Mapping[str, Any]) -> Proxy:
    name = str(said["DBProxyName"])
    found = _targets(aws, name)
    return Proxy(
        name=name,
        status=str(said.get("Status", "")),
        address=str(said.get("Endpoint", "")),
        family=str(said.get("EngineFamily", "")),
        secrets=tuple(str(e["SecretArn"]) for e in said.get("Auth") or () if e.get("SecretArn")),
        databases=frozenset(_names(found)),
        targets=_instances(found),
        raw=said,
    )


def _targets(aws: Aws, name: str) -> list[Mapping[str, Any]]:
    return list(aws.pages("rds", "DescribeDBProxyTargets", {"DBProxyName": name}, "Targets"))


def _names(found: list[Mapping[str, Any]]) -> set[str]:
    """What the targets are called. An instance of a cluster is none that is no cluster's."""
    names = set()
    for each in found:
        if tracked := each.get("TrackedClusterId"):
            names.add(str(tracked))
            if each.get("Type") != CLUSTER:
                continue
        names |= {str(each[name]) for name in ("RdsResourceId", "TargetArn") if each.get(name)}
    return names


def _instances(found: list[Mapping[str, Any]]) -> tuple[Target, ...]:
    return tuple(_target(each) for each in found if each.get("Type") != CLUSTER)


def _target(said: Mapping[str, Any]) -> Target:
    health = said.get("TargetHealth") or {}
    return Target(
        id=str(said.get("RdsResourceId", "")),
        role=str(said.get("Role", "")),
        state=str(health.get("State", "")),
        reason=str(health.get("Reason", "")),
        description=str(health.get("Description", "")),
    )
