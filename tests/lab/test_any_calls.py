"""Whatever is called in whatever order: only documented errors, and the coupling holds."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from chaosaws_kms_lab import kms as lab_kms
from chaosaws_kms_lab import rds as lab_rds
from chaosaws_kms_lab.aurora import AVAILABLE, PROFILES, RECOVERABLE, TERMINAL
from chaosaws_kms_lab.calls import AwsError
from tests.support.in_process_lab import InProcessLab
from tests.support.labs import mostly_soak

pytestmark = pytest.mark.thorough

# What every operation of a service may answer: the API references' pages "Common errors".
COMMON = {
    "kms": {"AccessDeniedException", "ValidationException"},
    "rds": {"InvalidParameterValue", "InvalidParameterCombination"},
}
LAG = PROFILES["observed"].until_inaccessible
SELF_RESTART = {name: profile.self_restart for name, profile in PROFILES.items()}

ROOT = {"AWS": "arn:aws:iam::123456789012:root"}
ALLOW = {"Effect": "Allow", "Principal": ROOT, "Action": "kms:*", "Resource": "*"}
DENY = {"Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"}
OPEN = json.dumps({"Version": "2012-10-17", "Statement": [ALLOW]})
SHUT = json.dumps({"Version": "2012-10-17", "Statement": [ALLOW, DENY]})

pick = st.sampled_from
NAMES = pick(["a", "b", "C", "d-1"])
INSTANCES = pick(["a-1", "a-2", "b-1", "b-2"])
SNAPSHOTS = pick(["s", "t", "U", "nobody"])
ARN = "arn:aws:rds:eu-west-1:123456789012"
ARNS = pick(
    [
        f"{ARN}:cluster:a",
        f"{ARN}:cluster:b",
        f"{ARN}:db:a-1",
        f"{ARN}:cluster-snapshot:s",
        "arn:aws:rds:us-east-1:123456789012:cluster:a",
        "nonsense",
    ]
)

# Parameter → its values; few, so that calls meet each other. The rest comes from the models.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "AliasName": pick(["alias/a", "alias/b", "alias/aws/rds", "nonsense"]),
    "BackupRetentionPeriod": pick([1, 35]),
    "CiphertextBlob": st.just(b"nonsense"),
    "DBClusterIdentifier": NAMES,
    "DBClusterSnapshotIdentifier": SNAPSHOTS,
    "DBInstanceIdentifier": INSTANCES,
    "DeletionProtection": pick([False, False, False, True]),
    "Engine": pick(["aurora-postgresql"] * 9 + ["oracle"]),
    "EngineMode": pick(["provisioned", "serverless", "x"]),
    "FinalDBSnapshotIdentifier": SNAPSHOTS,
    "GlobalClusterIdentifier": pick(["g", "nobody"]),
    "GranteePrincipal": pick(["arn:aws:iam::123456789012:user/app", "rds.eu-west-1.amazonaws.com"]),
    "Marker": pick(["0", "1", "nonsense"]),
    "NewDBClusterIdentifier": NAMES,
    "Policy": pick([OPEN, OPEN, SHUT, SHUT, "{}", "nonsense"]),
    "PolicyName": pick(["default", "default", "other"]),
    "ReplicationSourceIdentifier": ARNS,
    "ResourceName": ARNS,
    "Source": ARNS,
    "SourceDBClusterIdentifier": NAMES,
    "SourceDBClusterSnapshotIdentifier": SNAPSHOTS,
    "SnapshotIdentifier": SNAPSHOTS,
    "TargetDBClusterSnapshotIdentifier": SNAPSHOTS,
    "TargetDBInstanceIdentifier": INSTANCES,
    "DbClusterIdentifier": ARNS,
}
NUMBERS = pick([0, 1, 7, 20, 30, 100, 365])
MOSTLY_LEFT_OUT = 3
"""How many of an operation's optional parameters one call has at most."""

# Which operations are drawn, the more often the more they do to key and cluster.
OFTEN = [
    ("kms", "DisableKey"), ("kms", "EnableKey"), ("kms", "PutKeyPolicy"), ("kms", "RevokeGrant"),
    ("kms", "ScheduleKeyDeletion"), ("kms", "CancelKeyDeletion"), ("rds", "StartDBCluster"),
    ("kms", "ConnectCustomKeyStore"), ("kms", "DisconnectCustomKeyStore"),
    ("rds", "CreateDBCluster"), ("rds", "CreateDBInstance"), ("rds", "CreateDBClusterSnapshot"),
]  # fmt: skip
ALL = [("kms", operation) for operation in sorted(lab_kms.OPERATIONS)]
ALL += [("rds", operation) for operation in sorted(lab_rds.OPERATIONS)]


class AnyCalls(RuleBasedStateMachine):
    """Calls through boto3 and the door, a clock moved by hand, a data plane without data.

    What KMS says of each cluster's key is asked past the door, which would take most of the time.
    """

    profile = "observed"

    @initialize()
    def open_the_lab(self) -> None:
        self.own_lab = InProcessLab(Path(os.devnull), self.profile)
        self.clients = {name: self.own_lab.client(name) for name in ("kms", "rds")}
        self.keys = [self.clients["kms"].create_key()["KeyMetadata"]["Arn"]]
        self.grants: list[str] = []
        world = self.own_lab.world
        store = lab_kms.make_key_store(world, world.region("eu-west-1"), "s", "AWS_CLOUDHSM", {})
        store.state = "CONNECTED"
        self.store = {"CustomKeyStoreId": store.id}
        self.call("kms", "CreateKey", {"Origin": "AWS_CLOUDHSM", **self.store})
        self.lost_since: dict[str, float] = {}
        self.statuses: dict[str, str] = {}
        self.started: set[str] = set()
        for name, key in zip(("a", "b"), self.keys, strict=True):
            self.call(
                "rds",
                "CreateDBCluster",
                {
                    "DBClusterIdentifier": name,
                    "Engine": "aurora-postgresql",
                    "KmsKeyId": key,
                    "StorageEncrypted": True,
                },
            )
        self.own_lab.pass_time(60)
        self.look()

    @rule(data=st.data(), which=pick(ALL + 8 * OFTEN))
    def call_anything(self, data: st.DataObject, which: tuple[str, str]) -> None:
        service, operation = which
        self.call(service, operation, data.draw(self.params(service, operation), "params"))
        self.look()

    @rule(seconds=pick([1.0, 100.0, LAG, 2100.0, 86400.0, 8 * 86400.0]))
    def wait(self, seconds: float) -> None:
        self.own_lab.pass_time(seconds)
        self.look()

    # Calls

    def call(self, service: str, operation: str, params: dict[str, Any]) -> None:
        client = self.clients[service]
        methods = client.meta.method_to_api_mapping
        model = client.meta.service_model.operation_model(operation)
        documented = {
            shape.metadata.get("error", {}).get("code", shape.name) for shape in model.error_shapes
        }
        method = next(name for name, api in methods.items() if api == operation)
        try:
            answer = getattr(client, method)(**params)
        except ParamValidationError:
            return
        except ClientError as refused:
            error = refused.response["Error"]
            assert error["Code"] in documented | COMMON[service], (operation, params, error)
            return
        if operation == "CreateKey":
            self.keys.append(answer["KeyMetadata"]["KeyId"])
        if operation == "StartDBCluster":
            self.started.add(answer["DBCluster"]["DbClusterResourceId"])

    def params(self, service: str, operation: str) -> st.SearchStrategy[dict[str, Any]]:
        shape = self.clients[service].meta.service_model.operation_model(operation).input_shape
        return self.values(shape, "") if shape else st.just({})

    def values(self, shape: Any, name: str) -> st.SearchStrategy[Any]:
        """Values for a parameter: of the lab's own things by its name, else by its shape."""
        by_name = {
            **VALUES,
            "CustomKeyStoreId": pick([self.store["CustomKeyStoreId"], "cks-0"]),
            "DestinationKeyId": pick(self.keys),
            "GrantId": pick([*self.grants, "0" * 64]),
            "KeyId": pick([*self.keys, *self.keys, "alias/a", "nonsense"]),
            "KmsKeyId": pick([*self.keys, "alias/a"]),
            "TargetKeyId": pick(self.keys),
        }
        if name in by_name:
            return by_name[name]
        if shape.type_name == "structure":
            return self.structure(shape)
        return self.by_shape(shape)

    def structure(self, shape: Any) -> st.SearchStrategy[dict[str, Any]]:
        made = {name: self.values(member, name) for name, member in shape.members.items()}
        required = {name: made.pop(name) for name in shape.required_members}
        few = st.lists(pick(sorted(made)), max_size=MOSTLY_LEFT_OUT, unique=True) if made else None
        if few is None:
            return st.fixed_dictionaries(required)
        return few.flatmap(
            lambda names: st.fixed_dictionaries(required | {name: made[name] for name in names})
        )

    def by_shape(self, shape: Any) -> st.SearchStrategy[Any]:
        if getattr(shape, "enum", None):
            return pick(sorted(shape.enum))
        simple: dict[str, st.SearchStrategy[Any]] = {
            "blob": st.just(b"row"),
            "boolean": st.booleans(),
            "double": st.just(1.0),
            "integer": NUMBERS,
            "long": NUMBERS,
            "string": NAMES,
            "timestamp": st.just(datetime(2026, 1, 1, 1, tzinfo=UTC)),
        }
        if shape.type_name in simple:
            return simple[shape.type_name]
        if shape.type_name == "list":
            return st.lists(self.values(shape.member, ""), min_size=1, max_size=2)
        assert shape.type_name == "map"
        return pick([{"a": "1"}, {"a": "1", "b": "2"}])

    # What has to hold

    def look(self) -> None:
        """Compares what the API says now with what it said before."""
        self.own_lab.pass_time(0)
        now, started = self.own_lab.clock.now(), self.started
        self.started = set()
        clusters = self.clients["rds"].describe_db_clusters()["DBClusters"]
        self.grants = []
        statuses = {}
        for cluster in clusters:
            name, status = cluster["DbClusterResourceId"], cluster["Status"]
            usable = self.usable(cluster)
            if usable:
                self.lost_since.pop(name, None)
            lost = None if usable else now - self.lost_since.setdefault(name, now)
            self.check(name, status, lost, name in started)
            statuses[name] = status
        self.statuses = statuses
        self.check_grants()

    def check_grants(self) -> None:
        """No grant of Aurora's is left of what was refused or deleted."""
        region = self.own_lab.world.region("eu-west-1")
        resources = [*region.clusters.values(), *region.snapshots.values()]
        held = {resource.encryption.grant_id for resource in resources if resource.encryption}
        streams = (each.stream for each in region.clusters.values())
        held |= {stream.held.grant_id for stream in streams if stream}
        insights = (each.insights for each in region.instances.values())
        held |= {each.grant_id for each in insights if each}
        for key in region.keys.values():
            auroras = {
                grant.id
                for grant in key.grants.values()
                if {"aws:rds:dbc-id", "aws:rds:db-id"} & set(grant.context_subset or {})
            }
            assert auroras <= held

    def check(self, name: str, status: str, lost: float | None, started: bool) -> None:
        before = self.statuses.get(name)
        if status == AVAILABLE:
            assert lost is None or lost < LAG
        if status in (RECOVERABLE, TERMINAL) and before not in (None, RECOVERABLE, TERMINAL):
            assert lost is not None
            assert lost >= LAG
        if before == RECOVERABLE and status not in (RECOVERABLE, TERMINAL):
            assert lost is None
            assert started or SELF_RESTART[self.profile]
        if before == TERMINAL:
            assert status == TERMINAL

    def usable(self, cluster: dict[str, Any]) -> bool:
        """By what KMS tells, not by what it does: state, policy, and the cluster's own grant."""
        if not cluster["StorageEncrypted"]:
            return True
        key = cluster["KmsKeyId"]
        try:
            state = self.own_lab.ask("kms", "DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"]
        except AwsError:
            return False
        policy = json.loads(self.own_lab.ask("kms", "GetKeyPolicy", KeyId=key)["Policy"])
        grants = self.own_lab.ask("kms", "ListGrants", KeyId=key)["Grants"]
        self.grants += [grant["GrantId"] for grant in grants]
        own = {"aws:rds:dbc-id": cluster["DbClusterResourceId"]}
        held = [g for g in grants if g.get("Constraints", {}).get("EncryptionContextSubset") == own]
        return state == "Enabled" and DENY not in policy["Statement"] and bool(held)


@pytest.mark.parametrize(
    "profile", mostly_soak(sorted(PROFILES), lambda profile: profile == "observed")
)
def test_no_call_gives_an_undocumented_error_and_key_and_cluster_stay_coupled(profile):
    machine = type("AnyCalls", (AnyCalls,), {"profile": profile})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=8,
            stateful_step_count=40,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
