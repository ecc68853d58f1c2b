"""What a key encrypts in a Region: read once, page by page, for all checks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.aws.rds import cluster_of, instance_of

__all__ = [
    "Described",
    "Survey",
    "User",
    "databases_under",
    "is_alone",
    "listed",
    "survey",
    "under",
]

Described = Mapping[str, Any]

MOST = 100
"""Records a page, of RDS and of KMS."""

CONTEXTS = ("aws:rds:dbc-id", "aws:rds:db-id")
"""Aurora User Guide, Overview.Encryption.Keys: the encryption context of what RDS encrypts."""


@dataclass(frozen=True)
class User:
    """Something that uses a key."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Survey:
    """Everything of RDS in the Region, and the grants on one key."""

    clusters: list[Described]
    instances: list[Described]
    cluster_snapshots: list[Described]
    snapshots: list[Described]
    grants: list[Described]

    def others(
        self,
        key_arn: str,
        database: Database | None = None,
        elsewhere: Collection[tuple[str, str]] = (),
    ) -> list[User]:
        """What of RDS would lose the key, apart from the database with its instances and snapshots;
        and the grants to whatever is not known.

        `elsewhere`: what grants are bound to that are for something of another service, which is
        known.
        """
        users = list(self._users(key_arn))
        resources = {
            each[name]
            for _, each in users
            for name in ("DbClusterResourceId", "DbiResourceId")
            if each.get(name)
        }
        unexplained = [
            grant
            for grant in self.grants
            if not _resources(grant) & resources and not _context(grant).items() & set(elsewhere)
        ]
        return [
            *(user for user, each in users if database is None or not database.owns(each)),
            *(User("grant to", _of_grant(grant)) for grant in unexplained),
        ]

    def beside(self, key_arn: str, database: Database) -> list[Database]:
        """The other databases whose storage is encrypted under the key: all that go without it."""
        clusters, instances = (
            [e for e in all_of_them if e.get("KmsKeyId") == key_arn and not database.owns(e)]
            for all_of_them in (self.clusters, self.instances)
        )
        return [
            *(cluster_of(c, (i for i in self.instances if _is_of(i, c))) for c in clusters),
            *(instance_of(each) for each in instances if is_alone(each)),
        ]

    def snapshots_of(self, database: Database) -> list[Described]:
        """The snapshots of its kind, its own among them."""
        return [*database.own_snapshots(self.cluster_snapshots, self.snapshots)]

    def _users(self, key_arn: str) -> Iterator[tuple[User, Described]]:
        """The resources of RDS that are encrypted under the key."""
        for kind, name, all_of_them in (
            ("cluster", "DBClusterIdentifier", self.clusters),
            ("instance", "DBInstanceIdentifier", self.instances),
            ("cluster snapshot", "DBClusterSnapshotIdentifier", self.cluster_snapshots),
            ("snapshot", "DBSnapshotIdentifier", self.snapshots),
        ):
            for each in all_of_them:
                if _is_under(each, key_arn):
                    yield User(kind, str(each[name])), each


def is_alone(instance: Described) -> bool:
    """Whether an instance is no cluster's."""
    return not instance.get("DBClusterIdentifier")


def listed(aws: Aws, items: str) -> list[Described]:
    """All of RDS in the Region that an operation lists: `DBClusters`, say, of DescribeDBClusters.

    One call per page; raises AwsError.
    """
    return [*aws.pages("rds", f"Describe{items}", {"MaxRecords": MOST}, items)]


def survey(aws: Aws, key_arn: str) -> Survey:
    """Reads everything, with one call per page; raises AwsError."""
    return Survey(
        clusters=listed(aws, "DBClusters"),
        instances=listed(aws, "DBInstances"),
        cluster_snapshots=listed(aws, "DBClusterSnapshots"),
        snapshots=listed(aws, "DBSnapshots"),
        grants=[*aws.pages("kms", "ListGrants", {"KeyId": key_arn, "Limit": MOST}, "Grants")],
    )


def databases_under(aws: Aws, key_arn: str) -> list[str]:
    """The references of the clusters, and of the instances that are no cluster's, that a key
    encrypts, in whole or in part; raises AwsError."""
    clusters, instances = listed(aws, "DBClusters"), listed(aws, "DBInstances")
    return sorted([
        *(str(e["DBClusterIdentifier"]) for e in clusters if _is_under(e, key_arn)),
        *(instance_of(e).id for e in instances if is_alone(e) and _is_under(e, key_arn)),
    ])  # fmt: skip


def under(aws: Aws, key_arn: str) -> list[str]:
    """The databases and cluster snapshots that a key encrypts, in words; raises AwsError."""
    snapshots = listed(aws, "DBClusterSnapshots")
    return [
        *(rds.in_words(each) for each in databases_under(aws, key_arn)),
        *(
            f"cluster snapshot {each['DBClusterSnapshotIdentifier']}"
            for each in snapshots
            if _is_under(each, key_arn)
        ),
    ]


# Internals


def _is_under(described: Described, key_arn: str) -> bool:
    """Whether it is encrypted under the key, in whole or in part; RDS names keys by ARN or id."""
    secret = described.get("MasterUserSecret") or {}
    named = (
        described.get("KmsKeyId"),
        described.get("PerformanceInsightsKMSKeyId"),
        described.get("ActivityStreamKmsKeyId"),
        secret.get("KmsKeyId"),
    )
    return bool({key_arn, key_arn.rsplit("/", 1)[-1]} & {key for key in named if key})


def _is_of(instance: Described, cluster: Described) -> bool:
    return bool(instance.get("DBClusterIdentifier") == cluster["DBClusterIdentifier"])


def _resources(grant: Described) -> set[str]:
    """The cluster and the instance that a grant is for, by their resource ids."""
    context = _context(grant)
    return {context[name] for name in CONTEXTS if name in context}


def _context(grant: Described) -> dict[str, str]:
    """The encryption context that a grant is bound to."""
    constraints = grant.get("Constraints") or {}
    return {
        **(constraints.get("EncryptionContextSubset") or {}),
        **(constraints.get("EncryptionContextEquals") or {}),
    }


def _of_grant(grant: Described) -> str:
    named = grant.get("Name") or grant.get("GrantId", "")
    return f"{grant.get('GranteePrincipal', 'nobody')} ({named})"
