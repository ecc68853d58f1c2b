"""The guard on a lab that plays AWS: every refusal by its sentence, and no call that changes."""

from __future__ import annotations

import json
import time
from collections import Counter
from types import SimpleNamespace

import pytest

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.guard import guard
from chaosaws_kms_ext.guard.beside import beside
from chaosaws_kms_ext.guard.inventory import Survey
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.settings import Settings
from chaosaws_kms_lab.calls import Call, administrator
from chaosaws_kms_lab.rds import handle
from tests.support.clusters import becomes, new_cluster, new_instance, new_writer, up
from tests.support.in_process_lab import REGION, InProcessLab
from tests.support.labs import client, credentials

pytestmark = pytest.mark.no_servers

ALLOWED = [{"Key": "chaos:allow", "Value": "kms"}]
KEY_ALLOWED = [{"TagKey": "chaos:allow", "TagValue": "kms"}]
ACCOUNT = "123456789012"
LOOKS = ("Describe", "Get", "List", "Simulate")
NEEDS = FAULTS["disable-key"].needs
WITHOUT_BACKUP = {"without_backup": "yes"}


class Asked:
    """The guard, and the calls of its last inspection."""

    def __init__(self, lab):
        self._lab = lab
        self.aws = Aws(lab.region, lab.endpoint, lab=lab.credentials)
        self.calls = []

    def inspect(self, cluster="orders", key_id="", aws=None, **settings):
        before = len(self.log())
        wanted = Settings(target="aws", cluster_id="orders", dependents="skip", **settings)
        found = guard.inspect(aws or self.aws, wanted, cluster, NEEDS, key_id)
        self.calls = [json.loads(line)["operation"] for line in self.log()[before:]]
        assert [call for call in self.calls if not call.startswith(LOOKS)] == []
        for finding in found.findings:
            assert "\n" not in finding.why
            assert len(finding.why) < 3000
        return found

    def refusals(self, cluster="orders", key_id="", **settings):
        return self.inspect(cluster, key_id, **settings).refusals

    def why(self, cluster="orders", key_id="", **settings):
        """The one reason."""
        (why,) = self.refusals(cluster, key_id, **settings)
        return why

    def ask(self, name="orders", key_id="", **settings):
        """As a run asks that attacks AWS."""
        run = Run(Settings(target="aws", dependents="skip", **settings))
        run.aws = self.aws
        try:
            return guard.ask(run, name, NEEDS, key_id)
        finally:
            (self.told,) = [event.details["findings"] for event in run.events]

    def log(self):
        return self._lab.requests.read_text().splitlines()


@pytest.fixture(scope="module")
def asked(lab):
    return Asked(lab)


@pytest.fixture
def its_key(lab):
    return lab.clusters[0]["key"]


def allowed_key(kms):
    return kms.create_key(Tags=KEY_ALLOWED)["KeyMetadata"]["Arn"]


def described(rds, name="orders"):
    return rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]


@pytest.fixture
def made(rds, kms):
    """A cluster that may be attacked but for its backup."""
    return new_writer(rds, Tags=ALLOWED, StorageEncrypted=True, KmsKeyId=allowed_key(kms))


@pytest.fixture
def bare(rds, kms):
    """The same without an instance."""
    return new_cluster(rds, Tags=ALLOWED, StorageEncrypted=True, KmsKeyId=allowed_key(kms))


# What passes


def test_the_labs_own_cluster_may_be_attacked(asked, its_key):
    found = asked.inspect()
    assert found.refusals == []
    assert found.target.key.arn == its_key
    about = {finding.about for finding in found.findings}
    assert about == {
        "identity",
        "account",
        "credentials",
        "key",
        "cluster",
        "kind",
        "consent",
        "blast radius",
        "dependents",
        "backup",
        "permissions",
    }
    assert asked.ask().cluster.id == "orders"
    assert {finding["about"] for finding in asked.told} == about  # in the run's records


@pytest.mark.parametrize(
    "name", ["ORDERS", "Orders", f"arn:aws:rds:eu-west-1:{ACCOUNT}:cluster:orders"]
)
def test_a_cluster_is_found_by_any_name_that_rds_knows(asked, name):
    assert asked.inspect(name).target.cluster.id == "orders"
    assert asked.refusals(name) == []


def test_its_key_may_be_named_in_every_way(asked, its_key):
    alias = f"arn:aws:kms:eu-west-1:{ACCOUNT}:alias/orders"
    for name in (its_key, its_key.rsplit("/")[-1], "alias/orders", alias):
        assert asked.refusals(key_id=name) == []


# Where no key is taken away


def found(asked, cluster="orders", key_id=""):
    return guard.find(asked.aws, cluster, key_id)


def not_found(asked, cluster="orders", key_id=""):
    before = len(asked.log())
    with pytest.raises(Refused) as caught:
        found(asked, cluster, key_id)
    calls = [json.loads(line)["operation"] for line in asked.log()[before:]]
    assert [call for call in calls if not call.startswith(LOOKS)] == []
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 3000
    return said


def test_a_cluster_that_nothing_happens_to_is_found_whoever_allows_it(asked, rds, kms, its_key):
    """No tag, no backup and no consent are asked for: only its name and its key."""
    key = kms.create_key()["KeyMetadata"]["Arn"]
    name = new_cluster(rds, StorageEncrypted=True, KmsKeyId=key)["DBClusterIdentifier"]
    assert found(asked, name).key.arn == key
    kms.disable_key(KeyId=key)
    assert found(asked, name).key.state == "Disabled"
    for named in ("", its_key, "alias/orders"):
        assert found(asked, "ORDERS", named).key.arn == its_key


def test_what_cannot_be_found_is_one_sentence(asked, rds, kms, its_key):
    assert not_found(asked, "nobody") == (
        "there is no DB cluster nobody in eu-west-1: check CHAOS_CLUSTER_ID and the Region"
    )
    assert not_found(asked, key_id="alias/nobody").startswith("there is no KMS key alias/nobody")
    other = kms.create_key()["KeyMetadata"]["Arn"]
    assert not_found(asked, key_id=other) == (
        f"CHAOS_KEY_ID names {other}, but orders is encrypted under {its_key}"
    )
    plain = new_cluster(rds)["DBClusterIdentifier"]
    assert not_found(asked, plain) == f"the cluster {plain} is not encrypted under a KMS key"


def test_whatever_is_given_in_place_of_a_name_finds_nothing(asked):
    for name in [*NO_CLUSTER, *NO_NAME]:
        not_found(asked, name)
    for name in [*NO_KEY, *filter(None, NO_NAME)]:
        not_found(asked, key_id=name)


# Each refusal


def test_a_cluster_that_there_is_not_is_refused(asked):
    assert asked.why("nobody") == (
        "there is no DB cluster nobody in eu-west-1: check CHAOS_CLUSTER_ID and the Region"
    )


def test_a_cluster_that_is_not_encrypted_is_refused(asked, rds):
    name = new_cluster(rds, Tags=ALLOWED)["DBClusterIdentifier"]
    assert asked.why(name) == f"the cluster {name} is not encrypted under a KMS key"


def test_a_key_that_aws_manages_is_refused(asked, rds):
    name = new_cluster(rds, Tags=ALLOWED, StorageEncrypted=True)["DBClusterIdentifier"]
    whys = asked.refusals(name, **WITHOUT_BACKUP)
    assert any("is managed by AWS, which nobody can disable" in why for why in whys)


def test_another_key_than_the_clusters_is_refused(asked, kms, its_key):
    other = allowed_key(kms)
    assert asked.why(key_id=other) == (
        f"CHAOS_KEY_ID names {other}, but orders is encrypted under {its_key}"
    )


def test_a_key_that_somebody_disabled_is_refused(asked, kms, bare):
    kms.disable_key(KeyId=bare["KmsKeyId"])
    whys = asked.refusals(bare["DBClusterIdentifier"], **WITHOUT_BACKUP)
    assert any("is Disabled already, not Enabled: it was left as it is" in why for why in whys)


def test_a_key_that_waits_for_its_deletion_is_refused(asked, kms, bare):
    kms.schedule_key_deletion(KeyId=bare["KmsKeyId"])
    whys = asked.refusals(bare["DBClusterIdentifier"], **WITHOUT_BACKUP)
    assert any("is PendingDeletion already" in why for why in whys)


def test_a_cluster_without_an_instance_is_refused(asked, rds, bare):
    becomes(rds, bare, "available")
    why = asked.why(bare["DBClusterIdentifier"], **WITHOUT_BACKUP)
    assert why == f"the cluster {bare['DBClusterIdentifier']} has no instance that could be queried"


def test_a_cluster_that_is_being_made_or_stopped_is_refused(asked, rds, made):
    name = made["DBClusterIdentifier"]
    reader = new_instance(rds, made, 2)
    why = asked.why(name, **WITHOUT_BACKUP)
    assert why.startswith(f"not every instance of {name} is available: ")
    assert f"{reader} is creating" in why
    up(rds, reader)
    assert asked.refusals(name, **WITHOUT_BACKUP) == []
    rds.stop_db_cluster(DBClusterIdentifier=name)
    assert asked.why(name, **WITHOUT_BACKUP).startswith(f"the cluster {name} is stop")


def test_without_its_opt_in_tag_a_cluster_is_refused(asked, rds):
    arn = described(rds)["DBClusterArn"]
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["chaos:allow"])
    try:
        assert asked.why() == (
            "the cluster orders does not carry the tag chaos:allow=kms: add it to allow this"
        )
    finally:
        rds.add_tags_to_resource(ResourceName=arn, Tags=ALLOWED)


def test_without_its_opt_in_tag_a_key_is_refused(asked, kms, its_key):
    kms.untag_resource(KeyId=its_key, TagKeys=["chaos:allow"])
    try:
        assert asked.why() == (
            f"the key {its_key} does not carry the tag chaos:allow=kms: add it to allow this"
        )
    finally:
        kms.tag_resource(KeyId=its_key, Tags=KEY_ALLOWED)


def test_a_cluster_that_says_production_is_refused(asked, rds):
    arn = described(rds)["DBClusterArn"]
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "Environment", "Value": "prod"}])
    try:
        assert asked.why().startswith("the cluster orders carries the tag Environment=prod: ")
    finally:
        rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["Environment"])


def test_a_key_that_says_production_is_refused(asked, kms, its_key):
    kms.tag_resource(KeyId=its_key, Tags=[{"TagKey": "stage", "TagValue": "PRD"}])
    try:
        assert asked.why().startswith(f"the key {its_key} carries the tag stage=PRD: ")
    finally:
        kms.untag_resource(KeyId=its_key, TagKeys=["stage"])


def test_an_account_that_was_not_allowed_is_refused(asked):
    assert asked.refusals(allowed_accounts=(ACCOUNT,)) == []
    other = "9" * 12
    assert asked.why(allowed_accounts=(other,)) == (
        f"{ACCOUNT} is none of CHAOS_ALLOWED_ACCOUNTS ({other})"
    )


def test_an_old_backup_is_refused(asked):
    time.sleep(1.1)
    assert "more than CHAOS_BACKUP_WITHIN (0.0 hours)" in asked.why(backup_within=1.0)


def test_no_backup_under_another_key_is_refused_or_consented(asked, rds, made):
    name = made["DBClusterIdentifier"]
    assert "has no snapshot under another key" in asked.why(name)
    snapshot = f"{name}-own"
    rds.create_db_cluster_snapshot(
        DBClusterIdentifier=name, DBClusterSnapshotIdentifier=snapshot
    )  # its own key, so no help; and its own, so no other
    assert "has no snapshot under another key" in asked.why(name)
    assert asked.refusals(name, **WITHOUT_BACKUP) == []


def test_a_backup_under_a_key_that_is_disabled_is_refused(asked, kms):
    kms.disable_key(KeyId=kms.describe_key(KeyId="alias/orders-backup")["KeyMetadata"]["KeyId"])
    try:
        assert "which is Disabled; CHAOS_WITHOUT_BACKUP=yes" in asked.why()
    finally:
        kms.enable_key(KeyId=kms.describe_key(KeyId="alias/orders-backup")["KeyMetadata"]["KeyId"])


def test_credentials_that_end_before_the_run_are_refused_with_both_figures(asked, lab, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", lab.endpoint)
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t")
    (why,) = [w for w in asked.refusals(aws=Aws()) if "credentials" in w]
    assert "it is not known when the temporary credentials from env end" in why
    assert "the longest run takes 5.3 hours" in why


def test_a_serverless_v1_cluster_is_refused(asked, rds, kms):
    name = new_cluster(
        rds,
        EngineMode="serverless",
        Tags=ALLOWED,
        StorageEncrypted=True,
        KmsKeyId=allowed_key(kms),
    )["DBClusterIdentifier"]
    whys = asked.refusals(name, **WITHOUT_BACKUP)
    lost = "after a loss of the key it could not be recovered"
    assert f"{name} is Aurora Serverless v1: {lost}" in whys


def test_a_member_of_a_global_database_is_refused(asked, rds, made):
    rds.create_global_cluster(
        GlobalClusterIdentifier="world", SourceDBClusterIdentifier=made["DBClusterArn"]
    )
    why = asked.why(made["DBClusterIdentifier"], **WITHOUT_BACKUP)
    assert "is a member of the global database world: after a loss of the key it could not" in why


def test_a_replica_and_its_source_are_refused(asked, lab, rds, made):
    far = client(lab, "rds", region="us-east-1")
    its = client(lab, "kms", region="us-east-1").create_key(Tags=KEY_ALLOWED)["KeyMetadata"]["Arn"]
    replica = new_cluster(
        far,
        ReplicationSourceIdentifier=made["DBClusterArn"],
        Tags=ALLOWED,
        StorageEncrypted=True,
        KmsKeyId=its,
    )
    why = asked.why(made["DBClusterIdentifier"], **WITHOUT_BACKUP)
    assert f"is replicated by {replica['DBClusterArn']}" in why
    there = Aws("us-east-1", lab.endpoint, lab=lab.credentials)
    whys = asked.refusals(replica["DBClusterIdentifier"], aws=there, **WITHOUT_BACKUP)
    assert any(f"replicates {made['DBClusterArn']}" in each for each in whys)


def test_a_part_of_a_blue_green_deployment_is_refused(asked, rds, made):
    rds.create_blue_green_deployment(
        BlueGreenDeploymentName="switchover", Source=made["DBClusterArn"]
    )
    why = asked.why(made["DBClusterIdentifier"], **WITHOUT_BACKUP)
    assert "is part of the blue/green deployment switchover" in why


class Altered(Aws):
    """The lab, with what it has not put into the cluster's description."""

    def __init__(self, lab, said):
        super().__init__(lab.region, lab.endpoint, lab=lab.credentials)
        self._said = said

    def call(self, service, operation, params):
        answer = super().call(service, operation, params)
        if operation == "DescribeDBClusters":
            orders = next(c for c in answer["DBClusters"] if c["DBClusterIdentifier"] == "orders")
            orders.update(self._said)
        return answer


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            {"StorageEncryptionType": "sse-rds", "KmsKeyId": ""},
            "under one that AWS owns (sse-rds), which nobody can disable",
        ),
        ({"Engine": "docdb"}, "orders is a DocumentDB cluster, of which no document says"),
        (
            {"Engine": "postgres"},
            "orders is a Multi-AZ DB cluster, which cannot be stopped and started",
        ),
        ({"EngineMode": "parallelquery"}, "orders has the engine mode parallelquery"),
        ({"GlobalClusterIdentifier": "g"}, "orders is a member of the global database g"),
        ({"BackupRetentionPeriod": 0}, "orders has no backups (retention 0)"),
        (
            {"DBClusterArn": "arn:aws:rds:eu-west-1:999999999999:cluster:orders"},
            "is of another account or Region than the cluster",
        ),
        ({"Status": "backing-up"}, "the cluster orders is backing-up, not available"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_no_lab_has_is_refused_too(asked, lab, said, sentence):
    assert sentence in asked.why(aws=Altered(lab, said))


def test_all_reasons_are_told_at_once(asked, rds, kms):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    live = [{"Key": "env", "Value": "live"}]
    cluster = new_cluster(rds, StorageEncrypted=True, KmsKeyId=key, Tags=live)
    becomes(rds, cluster, "available")
    name = cluster["DBClusterIdentifier"]
    with pytest.raises(Refused) as refused:
        asked.ask(name, "alias/orders", allowed_accounts=("9" * 12,), blast_radius=7)
    for word in (
        "none of CHAOS_ALLOWED_ACCOUNTS",
        "CHAOS_KEY_ID names",
        "has no instance",
        "env=live",
        f"the cluster {name} does not carry",
        f"the key {key} does not carry",
        "CHAOS_BLAST_RADIUS says 7",
        "has no snapshot",
    ):
        assert word in str(refused.value)


# The blast radius


@pytest.fixture
def crowd(rds, kms, made):
    """Who else is under the key of `made`: five things."""
    key = made["KmsKeyId"]
    other = new_writer(rds, Tags=ALLOWED, StorageEncrypted=True, KmsKeyId=key)
    empty = new_cluster(
        rds,
        DBClusterIdentifier=f"{other['DBClusterIdentifier']}-empty",
        Tags=ALLOWED,
        StorageEncrypted=True,
        KmsKeyId=key,
    )
    becomes(rds, empty, "available")
    for cluster in (made, other):
        name = cluster["DBClusterIdentifier"]
        rds.create_db_cluster_snapshot(
            DBClusterIdentifier=name, DBClusterSnapshotIdentifier=f"{name}-daily"
        )
    new_instance(rds, made, 2)
    up(rds, f"{made['DBClusterIdentifier']}-2")
    kms.create_grant(
        KeyId=key, GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:role/reports", Operations=["Decrypt"]
    )
    name = other["DBClusterIdentifier"]
    return [
        f"cluster {name}",
        f"cluster {name}-empty",
        f"instance {name}-1",
        f"cluster snapshot {name}-daily",
        f"grant to arn:aws:iam::{ACCOUNT}:role/reports",
    ]


def test_whoever_else_uses_the_key_is_named_and_takes_consent_by_exact_count(asked, made, crowd):
    name = made["DBClusterIdentifier"]
    why = asked.why(name, **WITHOUT_BACKUP)
    assert why.startswith(f"5 other things use the key of {name} and would lose it too (")
    assert all(each in why for each in crowd)
    assert f"{name}-" not in why  # its own instances and snapshots
    assert why.endswith("set CHAOS_BLAST_RADIUS=5")
    for wrong in (4, 6):
        why = asked.why(name, blast_radius=wrong, **WITHOUT_BACKUP)
        assert why.endswith(f"set CHAOS_BLAST_RADIUS=5, which says {wrong}")
    found = asked.inspect(name, blast_radius=5, **WITHOUT_BACKUP)
    assert found.refusals == []
    (told,) = [f.why for f in found.findings if f.about == "blast radius"]
    assert all(each in told for each in crowd)


def test_the_other_clusters_are_part_of_the_target(asked, made, crowd):
    found = asked.inspect(made["DBClusterIdentifier"], blast_radius=5, **WITHOUT_BACKUP)
    others = [f"cluster {each.id}" for each in found.target.others]
    assert sorted(others) == sorted(each for each in crowd if each.startswith("cluster c"))
    told = [finding.why for finding in found.findings if finding.about == "cluster"]
    assert [why.split(",")[0].split(" ")[0] for why in told[1:]] == [
        each.id for each in found.target.others
    ]
    assert asked.inspect().target.others == ()


@pytest.fixture
def pair(rds, made):
    """The cluster `made`, and another under its key that may be attacked as well."""
    other = new_writer(rds, Tags=ALLOWED, StorageEncrypted=True, KmsKeyId=made["KmsKeyId"])
    return made["DBClusterIdentifier"], other["DBClusterIdentifier"], other["DBClusterArn"]


def test_another_cluster_that_is_not_up_before_the_fault_is_refused(asked, rds, pair):
    name, other, _ = pair
    rds.stop_db_cluster(DBClusterIdentifier=other)
    why = asked.why(name, blast_radius=2, **WITHOUT_BACKUP)
    assert why.startswith(
        f"the cluster {other}, which is under the same key, is not available before the fault "
        f"({other} is stopp"
    )
    assert why.endswith("): nobody could tell what the loss of the key has broken")


def test_another_cluster_has_to_carry_the_tag_as_well_and_none_of_production(asked, rds, pair):
    name, other, arn = pair
    assert asked.refusals(name, blast_radius=2, **WITHOUT_BACKUP) == []
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["chaos:allow"])
    assert asked.why(name, blast_radius=2, **WITHOUT_BACKUP) == (
        f"the cluster {other} does not carry the tag chaos:allow=kms: add it to allow this"
    )
    live = [{"Key": "env", "Value": "prod"}, *ALLOWED]
    rds.add_tags_to_resource(ResourceName=arn, Tags=live)
    assert f"the cluster {other} carries the tag env=prod" in asked.why(
        name, blast_radius=2, **WITHOUT_BACKUP
    )


def test_another_cluster_that_a_run_has_made_needs_no_other_tag(asked, rds, pair):
    name, _, arn = pair
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["chaos:allow"])
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "chaos:run", "Value": "r1"}])
    assert asked.refusals(name, blast_radius=2, **WITHOUT_BACKUP) == []


def test_an_instance_that_is_no_clusters_is_brought_back_as_other_clusters_are(asked):
    key = "arn:aws:kms:eu-west-1:123456789012:key/k"
    said = [
        {"DBInstanceIdentifier": "legacy", "KmsKeyId": key, "DbiResourceId": "db-1"},
        {"DBInstanceIdentifier": "orders-1", "DBClusterIdentifier": "orders", "KmsKeyId": key},
        {"DBInstanceIdentifier": "apart", "KmsKeyId": f"{key}2"},
    ]
    there = Survey(clusters=[], instances=said, cluster_snapshots=[], snapshots=[], grants=[])
    orders = asked.inspect().target.cluster
    (legacy,) = there.beside(key, orders)
    assert (legacy.id, legacy.in_words) == ("db:legacy", "the instance legacy")
    found = {each.why for each in beside(asked.aws, [legacy]) if each.state == "refused"}
    assert found == {
        "the instance legacy, which is under the same key, is not available before the fault "
        "(legacy is unknown): nobody could tell what the loss of the key has broken",
        "db:legacy has no backups (retention 0), which the recoverable state takes: after a loss "
        "of the key it could not be recovered",
        "the instance legacy does not carry the tag chaos:allow=kms: add it to allow this",
    }


def test_a_cluster_that_the_key_encrypts_in_part_only_does_not_go_with_it(asked):
    key = "arn:aws:kms:eu-west-1:123456789012:key/k"
    secret = {"KmsKeyId": key}
    said = {"DBClusterIdentifier": "partly", "KmsKeyId": "another", "MasterUserSecret": secret}
    there = Survey(clusters=[said], instances=[], cluster_snapshots=[], snapshots=[], grants=[])
    orders = asked.inspect().target.cluster
    assert [str(each) for each in there.others(key, orders)] == ["cluster partly"]
    assert there.beside(key, orders) == []


def test_without_consent_to_their_number_nothing_more_is_said_of_others(asked, rds, pair):
    name, _, arn = pair
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["chaos:allow"])
    assert asked.why(name, **WITHOUT_BACKUP).endswith("set CHAOS_BLAST_RADIUS=2")


def test_consent_to_more_than_there_is_is_refused(asked):
    why = "nothing but orders uses the key, and CHAOS_BLAST_RADIUS says 1: look again"
    assert asked.why(blast_radius=1) == f"{why}, and set it to 0"


# What AWS does not answer


LOOKED_AT = [
    ("sts", "GetCallerIdentity"), ("rds", "DescribeDBClusters"), ("rds", "DescribeDBInstances"),
    ("kms", "DescribeKey"), ("rds", "DescribeGlobalClusters"),
    ("rds", "DescribeBlueGreenDeployments"), ("kms", "ListResourceTags"),
    ("rds", "DescribeDBClusterSnapshots"), ("rds", "DescribeDBSnapshots"), ("kms", "ListGrants"),
]  # fmt: skip


@pytest.mark.parametrize(("service", "operation"), LOOKED_AT, ids=lambda value: value)
def test_a_call_that_fails_for_good_refuses_and_says_which(
    asked, misbehaviours, service, operation
):
    misbehaviours.order(kind="expired-token", service=service, operation=operation)
    whys = asked.refusals()
    assert any(f"credentials have expired ({service}:{operation})" in why for why in whys)
    with pytest.raises(Refused):
        asked.ask()


@pytest.mark.parametrize(("service", "operation"), LOOKED_AT[1:], ids=lambda value: value)
def test_a_throttling_that_ends_is_no_reason(asked, misbehaviours, service, operation):
    misbehaviours.order(kind="throttling", service=service, operation=operation, count=1)
    assert asked.refusals() == []


@pytest.fixture
def hurried(lab, monkeypatch):
    """A door whose botocore does not wait between its tries."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda seconds: None))
    return Aws(lab.region, lab.endpoint, lab=lab.credentials)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("throttling", "failed with ThrottlingException: Rate exceeded"),
        ("error", "failed with KMSInternalException"),
        ("cut", "got no answer: Connection was closed before we received a valid response"),
    ],
)
def test_a_failure_that_does_not_end_refuses_after_the_last_try(
    asked, misbehaviours, hurried, kind, said
):
    misbehaviours.order(kind=kind, service="kms", operation="ListGrants")
    (why,) = asked.refusals(aws=hurried)
    assert said in why
    assert asked.calls.count("ListGrants") >= (5 if kind != "cut" else 0)


def test_nothing_answered_at_all_is_one_sentence(asked, lab, misbehaviours, hurried):
    misbehaviours.order(kind="error", service="*")
    whys = asked.refusals(aws=hurried)
    assert len(whys) == 1
    assert whys[0].startswith("sts:GetCallerIdentity failed with InternalFailure")


def test_a_list_of_grants_that_is_denied_refuses(asked, kms, made):
    """By the key's own policy: an explicit Deny, as in production-like accounts."""
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                "Action": "kms:*",
                "Resource": "*",
            },
            {"Effect": "Deny", "Principal": "*", "Action": "kms:ListGrants", "Resource": "*"},
        ],
    }
    kms.put_key_policy(KeyId=made["KmsKeyId"], PolicyName="default", Policy=json.dumps(policy))
    (why,) = asked.refusals(made["DBClusterIdentifier"], **WITHOUT_BACKUP)
    assert why.startswith(f"not allowed: kms:ListGrants on {made['KmsKeyId']}")


# What is no name


NO_CLUSTER = [
    "$(reboot)",
    "`id`",
    "a;rm -rf /",
    "a|b",
    "a&&b",
    "../../etc/passwd",
    "..",
    "orders/../orders",
    "orders ",
    " ",
    "*",
    "%",
    "'",
    '"',
    "ордера",
    "🔑",
    "-",
    "0",
    "x" * 2048,
    "arn:aws:rds:eu-west-1:999999999999:cluster:orders",
    f"arn:aws:rds:us-east-1:{ACCOUNT}:cluster:orders",
    f"arn:aws-cn:rds:eu-west-1:{ACCOUNT}:cluster:orders",
    f"arn:aws:rds:eu-west-1:{ACCOUNT}:db:orders-1",
    f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/x",
    "arn:aws:rds",
    "arn:::::",
    "alias/orders",
]
NO_NAME = [
    "",
    "x" * 1_000_000,
    "orders\n",
    "\0",
    "\u202eorders",
    None,
    7,
    True,
    ["orders"],
    {"id": "orders"},
    1.5,
    b"orders",
]
NO_KEY = [
    "$(reboot)",
    "`id`",
    "alias/../orders",
    "..",
    "alias/",
    "alias/orders ",
    "🔑",
    "*",
    "-",
    "alias/aws/rds; true",
    "x" * 2048,
    "00000000-0000-0000-0000-000000000000",
    f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/orders",
    "arn:aws:kms:eu-west-1:999999999999:alias/orders",
    f"arn:aws:rds:eu-west-1:{ACCOUNT}:cluster:orders",
    "arn:aws:kms",
    "arn:::::",
]


def shown(value):
    return repr(value)[:40]


@pytest.mark.parametrize("name", NO_CLUSTER, ids=shown)
def test_what_names_no_cluster_is_one_sentence(asked, name):
    why = asked.why(name)
    assert "DB cluster" in why or "rds:DescribeDBClusters" in why


@pytest.mark.parametrize("name", NO_NAME, ids=shown)
def test_what_is_no_name_at_all_is_not_even_asked_for(asked, name):
    assert asked.why(name) == "the cluster must be named by 1 to 2048 printable letters"
    assert asked.calls == []


@pytest.mark.parametrize("name", NO_KEY, ids=shown)
def test_what_names_no_key_or_another_is_one_sentence(asked, name):
    why = asked.why(key_id=name)
    assert "KMS key" in why or "kms:DescribeKey" in why or "CHAOS_KEY_ID names" in why


@pytest.mark.parametrize("name", [name for name in NO_NAME if name], ids=shown)
def test_what_is_no_key_at_all_is_not_even_asked_for(asked, name):
    assert asked.why(key_id=name) == "the key must be named by 1 to 2048 printable letters"
    assert asked.calls == []


# Many


class ManyClusters(InProcessLab):
    """A Region with many clusters, without a server for any; and the door to it."""

    def __init__(self, log, clusters, under_the_key):
        super().__init__(log)
        self.log = log
        self.clusters, self.beside = clusters, under_the_key - 1
        self.throttled = 0
        kms = self.client("kms")
        self.key, other = (kms.create_key(Tags=KEY_ALLOWED)["KeyMetadata"]["Arn"] for _ in range(2))
        for number in range(clusters):
            key = self.key if number < under_the_key else other
            self._create(
                "CreateDBCluster",
                DBClusterIdentifier=f"many-{number:04}",
                Engine="aurora-postgresql",
                StorageEncrypted=True,
                KmsKeyId=key,
                Tags=ALLOWED,
            )
        self._create(
            "CreateDBInstance",
            DBInstanceIdentifier="many-0000-1",
            DBClusterIdentifier="many-0000",
            DBInstanceClass="db.r6g.large",
            Engine="aurora-postgresql",
        )
        for _ in range(3):
            self.pass_time(600)

    def _create(self, operation, **parameters):
        """Past the wire, which would take most of the time."""
        handle(self.rds, Call("rds", operation, parameters, REGION, administrator()))

    def door(self, every=0):
        """With `every`, one of so many calls is throttled."""
        aws = Aws(REGION, "http://127.0.0.1:1", lab=credentials(self.log.parent))
        count = 0

        def send(request, **more):
            nonlocal count
            count += 1
            if every and count % every == 0:
                self.throttled += 1
                self._door.application.misbehaviours.add(
                    {"kind": "throttling", "service": "*", "count": 1}, []
                )
            return self._send(request, **more)

        aws._session.events.register("before-send", send)
        return aws

    def calls_of(self, inspect):
        before = len(self.log.read_text().splitlines())
        found = inspect()
        lines = self.log.read_text().splitlines()[before:]
        return found, Counter(json.loads(line)["operation"] for line in lines)


@pytest.fixture(
    scope="module",
    params=[(250, 150), pytest.param((1000, 600), marks=pytest.mark.soak)],
    ids=lambda clusters: str(clusters[0]),
)
def many(request, tmp_path_factory):
    return ManyClusters(tmp_path_factory.mktemp("many") / "requests.jsonl", *request.param)


PAGE = 100
"""Clusters, or grants, that one answer names at most."""

NAMED = 20
"""Of what else is under the key, in one sentence."""


def too_many(beside):
    return (
        f"{beside} other databases are under the same key, and a run brings back at most 19 "
        "beside its own: take one whose key encrypts fewer"
    )


def of_the_first(many, every=0):
    settings = Settings(target="aws", blast_radius=many.beside, dependents="skip", **WITHOUT_BACKUP)
    return guard.inspect(many.door(every), settings, "many-0000", NEEDS)


def test_many_clusters_take_as_many_calls_as_there_are_pages(many):
    found, calls = many.calls_of(lambda: of_the_first(many))
    assert found.refusals == [too_many(many.beside)]
    assert found.target.key.arn == many.key
    (told,) = [f.why for f in found.findings if f.about == "blast radius"]
    assert told.endswith(f" and {many.beside - NAMED} more")
    pages, of_grants = (-(-number // PAGE) for number in (many.clusters, many.beside + 1))
    assert calls["DescribeDBClusters"] == 1 + pages
    assert calls["ListGrants"] == of_grants
    assert sum(calls.values()) < 24 + pages + of_grants


@pytest.mark.usefixtures("hurried")
@pytest.mark.filterwarnings("ignore:Exception.Fault. with code Throttling")
def test_many_clusters_are_read_though_every_third_call_is_throttled(many):
    before = many.throttled
    found, calls = many.calls_of(lambda: of_the_first(many, every=3))
    assert found.refusals == [too_many(many.beside)]
    assert many.throttled - before > sum(calls.values()) / 4
    assert calls["DescribeDBClusters"] > 1 + many.clusters / PAGE


def test_one_more_or_less_of_many_is_not_consented(many):
    settings = Settings(
        target="aws", blast_radius=many.beside - 1, dependents="skip", **WITHOUT_BACKUP
    )
    (why,) = guard.inspect(many.door(), settings, "many-0000", NEEDS).refusals
    assert why.startswith(f"{many.beside} other things use the key of many-0000")
    assert len(why) < 1000
