"""The lab's RDS held against answers that AWS gave and others quoted: errors, word for word.

Nobody publishes recordings of Aurora as of KMS, so the sources are AWS' own pages where they show
a command with its answer, and issues in which people quote an error of AWS.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from tests.support.in_process_lab import InProcessLab
from tests.support.recorded import Case, Refused, Source, cases, check

ENGINE = {"Engine": "aurora-postgresql"}
INSTANCE = {"DBInstanceClass": "db.r6g.large", **ENGINE}
FINAL = "FinalDBSnapshotIdentifier"


class Situation:
    """A client of the lab, and names of what a case makes; each case has names of its own."""

    made = 0

    def __init__(self, lab: InProcessLab) -> None:
        Situation.made += 1
        self.lab, self.rds, self.kms = lab, lab.client("rds"), lab.client("kms")
        self.name, self.key = f"c{Situation.made}", ""
        self.cluster = {"DBClusterIdentifier": self.name}
        self.snapshot = {"DBClusterSnapshotIdentifier": self.name}
        self.instance = {"DBInstanceIdentifier": self.name}

    def new(self, **params: Any) -> dict[str, str]:
        """A cluster, encrypted under a key of its own, and available."""
        self.key = self.kms.create_key()["KeyMetadata"]["Arn"]
        encrypted = {"StorageEncrypted": True, "KmsKeyId": self.key}
        self.rds.create_db_cluster(**self.cluster, **ENGINE, **encrypted, **params)
        self.lab.pass_time(60)
        return self.cluster

    def with_instance(self) -> dict[str, str]:
        """The name of an instance of a new cluster."""
        self.rds.create_db_instance(**self.new(), **self.instance, **INSTANCE)
        self.lab.pass_time(600)
        return self.instance

    def stopping(self) -> dict[str, str]:
        self.rds.stop_db_cluster(**self.new())
        return self.cluster

    def inaccessible(self) -> None:
        """A cluster that lost its key."""
        self.new()
        self.kms.disable_key(KeyId=self.key)
        for _ in range(3):
            self.lab.pass_time(600)
        (found,) = self.rds.describe_db_clusters(**self.cluster)["DBClusters"]
        assert found["Status"] == "inaccessible-encryption-credentials-recoverable"

    def with_snapshot(self) -> None:
        self.rds.create_db_cluster_snapshot(**self.new(), **self.snapshot)
        self.lab.pass_time(600)

    def lost(self) -> str:
        """The ARN of a key that cannot be used."""
        self.key = self.kms.create_key()["KeyMetadata"]["Arn"]
        self.kms.disable_key(KeyId=self.key)
        return self.key

    def copy(self, **params: Any) -> Any:
        return self.rds.copy_db_cluster_snapshot(
            SourceDBClusterSnapshotIdentifier=self.name,
            TargetDBClusterSnapshotIdentifier=f"{self.name}-copy",
            **params,
        )

    def delete(self, **params: Any) -> Any:
        return self.rds.delete_db_cluster(**self.cluster, **params)

    def in_global_database(self) -> None:
        self.new()
        self.rds.create_global_cluster(
            GlobalClusterIdentifier=self.name, SourceDBClusterIdentifier=self.name
        )


def quoted(project: str, where: str, year: int, month: int, day: int) -> Source:
    return Source(project, where, date(year, month, day))


def page(where: str) -> Source:
    return Source("Aurora User Guide", where, date(2026, 11, 29))


def of_key(what: str) -> Refused:
    """The error of a key that cannot be used."""
    why = "does not exist, is not enabled or you do not have permissions to access it."
    return Refused("KMSKeyNotAccessibleFault", f"{what} [{{key}}] {why}")


NOT_ELIGIBLE = Refused(
    "InvalidParameterCombination",
    "aurora-postgresql DB instances are not eligible for stopping and starting.",
)

KEY = [
    Case("rds:CreateDBCluster", "a key that cannot be used",
         quoted("terraform-provider-aws", "issue 16362", 2021, 12, 1),
         lambda s: s.rds.create_db_cluster(
             **s.cluster, **ENGINE, StorageEncrypted=True, KmsKeyId=s.lost()),
         of_key("The specified KMS key")),
    Case("rds:CopyDBClusterSnapshot", "the snapshot's key cannot be used",
         quoted("aurora-snapshot-tool", "issue 29", 2020, 3, 31),
         lambda s: (s.with_snapshot(), s.kms.disable_key(KeyId=s.key), s.copy()),
         of_key("The source snapshot KMS key")),
    Case("rds:CopyDBClusterSnapshot", "the key of the copy cannot be used",
         quoted("aurora-snapshot-tool", "issue 25", 2019, 11, 22),
         lambda s: (s.with_snapshot(), s.copy(KmsKeyId=s.lost())), of_key("Specified KMS key")),
]  # fmt: skip

STATES = [
    Case("rds:StartDBCluster", "a cluster that is available",
         quoted("sqlxpert, on idempotence of AWS' stop and start operations", "StartDBCluster",
                2026, 11, 29),
         lambda s: s.rds.start_db_cluster(**s.new()),
         Refused("InvalidDBClusterStateFault",
                 "DbCluster {name} is in available state but expected it to be one of "
                 "stopped,inaccessible-encryption-credentials-recoverable.")),
    Case("rds:StopDBCluster", "a cluster that is stopping",
         quoted("stay-stopped-aws-rds-aurora", "README, on race conditions", 2026, 11, 29),
         lambda s: s.rds.stop_db_cluster(**s.stopping()),
         Refused("InvalidDBClusterStateFault",
                 "DbCluster {name} is in stopping state but expected it to be one of available.")),
    *(Case(f"rds:{operation}", "an instance of a cluster",
           quoted("instance-scheduler-on-aws", "issue 132", 2019, 10, 21),
           lambda s, method=method: getattr(s.rds, method)(**s.with_instance()), NOT_ELIGIBLE)
      for operation, method in {"StartDBInstance": "start_db_instance",
                                "StopDBInstance": "stop_db_instance"}.items()),
    Case("rds:RebootDBInstance", "an instance that is being rebooted",
         quoted("terraform-provider-aws", "issue 27325", 2022, 10, 19),
         lambda s: [s.rds.reboot_db_instance(**i) for i in [s.with_instance()] * 2],
         Refused("InvalidDBInstanceState",
                 "Instance cannot currently reboot due to an in-progress management operation.")),
    Case("rds:CreateDBInstance", "serverless, in a cluster without a scaling configuration",
         page("Creating a DB cluster that uses Aurora Serverless v2"),
         lambda s: s.rds.create_db_instance(
             **s.new(), **s.instance, **ENGINE, DBInstanceClass="db.serverless"),
         Refused("InvalidDBClusterStateFault",
                 "Set the Serverless v2 scaling configuration on the parent DB cluster before "
                 "creating a Serverless v2 DB instance.")),
]  # fmt: skip

DELETION = [
    Case("rds:DeleteDBCluster", "a cluster with an instance",
         page("Deleting Aurora DB clusters and DB instances"),
         lambda s: (s.with_instance(), s.delete(SkipFinalSnapshot=True)),
         Refused("InvalidDBClusterStateFault",
                 "Cluster cannot be deleted, it still contains DB instances in non-deleting "
                 "state.")),
    Case("rds:DeleteDBCluster", "a protected cluster", page("Deleting an Aurora Serverless v1 DB "
                                                            "cluster"),
         lambda s: (s.new(DeletionProtection=True), s.delete(SkipFinalSnapshot=True)),
         Refused("InvalidParameterCombination",
                 "Cannot delete protected Cluster, please disable deletion protection and try "
                 "again.")),
    Case("rds:DeleteDBCluster", "the final snapshot's name is taken",
         quoted("terraform-aws-rds-cluster of Cloud Posse", "issue 129", 2021, 12, 28),
         lambda s: (s.with_snapshot(), s.delete(**{FINAL: s.name})),
         Refused("DBClusterSnapshotAlreadyExistsFault",
                 "Cannot create the cluster snapshot because one with the identifier {name} "
                 "already exists.")),
    Case("rds:DeleteDBCluster", "with a final snapshot and without one",
         quoted("Crossplane's provider-aws", "issue 1423", 2022, 8, 12),
         lambda s: (s.new(), s.delete(SkipFinalSnapshot=True, **{FINAL: "final"})),
         Refused("InvalidParameterCombination",
                 "You cannot specify both FinalDBSnapshotIdentifier and SkipFinalSnapshot")),
    Case("rds:DeleteDBCluster", "with a final snapshot, a cluster that is not available",
         quoted("terraform-provider-aws", "pull request 40333", 2024, 11, 27),
         lambda s: (s.inaccessible(), s.delete(**{FINAL: f"{s.name}-final"})),
         Refused("InvalidDBClusterStateFault",
                 "Can't create a snapshot because the database cluster … isn't currently in the "
                 "available state…")),
    Case("rds:DeleteDBCluster", "a member of a global database",
         quoted("terraform-provider-aws", "resource aws_rds_cluster, deletion", 2026, 11, 29),
         lambda s: (s.in_global_database(), s.delete(SkipFinalSnapshot=True)),
         Refused("InvalidDBClusterStateFault",
                 "This cluster is a part of a global cluster, please remove it from globalcluster "
                 "first")),
]  # fmt: skip

NAMES = [
    Case("rds:CreateDBCluster", "a name that is taken",
         quoted("slimdevl's report of replaced Pulumi clusters", "README", 2026, 11, 29),
         lambda s: s.rds.create_db_cluster(**s.new(), **ENGINE),
         Refused("DBClusterAlreadyExistsFault", "DB Cluster already exists")),
    Case("rds:CreateDBInstance", "a name that is taken",
         quoted("Crossplane's provider-upjet-aws", "issue 1346", 2024, 6, 19),
         lambda s: (s.with_instance(),
                    s.rds.create_db_instance(**s.cluster, **s.instance, **INSTANCE)),
         Refused("DBInstanceAlreadyExists", "DB instance already exists")),
    Case("rds:DescribeDBClusters", "a name of no cluster",
         quoted("AWS sample rdsa-postgresql-cluster", "README of its bastion", 2026, 11, 29),
         lambda s: s.rds.describe_db_clusters(**s.cluster),
         Refused("DBClusterNotFoundFault", "DBCluster {name} not found.")),
    Case("rds:DescribeDBInstances", "a name of no instance",
         quoted("EKS Workshop of AWS", "security groups for pods, cleanup", 2026, 11, 29),
         lambda s: s.rds.describe_db_instances(**s.instance),
         Refused("DBInstanceNotFound", "DBInstance {name} not found.")),
    Case("rds:DescribeDBClusterSnapshots", "a name of no snapshot",
         quoted("gpu-fault", "test of what the AWS CLI prints", 2026, 11, 29),
         lambda s: s.rds.describe_db_cluster_snapshots(**s.snapshot),
         Refused("DBClusterSnapshotNotFoundFault", "DBClusterSnapshot not found: {name}")),
    Case("rds:RestoreDBClusterFromSnapshot", "a name of no snapshot",
         quoted("cloud-platform-environments", "pull request 5192", 2021, 7, 23),
         lambda s: s.rds.restore_db_cluster_from_snapshot(
             **s.cluster, **ENGINE, SnapshotIdentifier=s.name),
         Refused("DBClusterSnapshotNotFoundFault", "DBClusterSnapshot not found: {name}")),
]  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> InProcessLab:
    return InProcessLab(tmp_path_factory.mktemp("lab") / "requests.jsonl")


@cases([*KEY, *STATES, *DELETION, *NAMES])
def test_the_lab_s_rds_answers_as_aws_did(case: Case, lab: InProcessLab) -> None:
    check(case, Situation(lab))
