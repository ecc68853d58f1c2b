"""`chaos kms doctor`: a line for each thing that the guard looks at, and nothing is changed."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from chaosaws_kms_ext.faults.disable_key import DisableKey
from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from chaosaws_kms_ext.undo import journal
from tests.support.chaos import OURS, LabAsAws
from tests.support.labs import mostly_soak

LOOKS = ("Describe", "Get", "List", "Simulate")
LOOKED_AT = {
    "identity", "account", "credentials", "key", "cluster", "kind", "consent", "blast radius",
    "backup", "load", "permissions", "undo journal",
}  # fmt: skip


def lines(ran):
    """What was said of what: state and subject of every line but the last."""
    return [(line[:9].strip(), line[10:23].strip()) for line in ran.output.splitlines()[:-1]]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One lab that plays AWS for all of them: none may change it."""
    lab_as_aws = LabAsAws.start(tmp_path_factory.mktemp("doctor"), servers=False)
    yield lab_as_aws
    called = {operation for _, operation in lab_as_aws.called(OURS)}
    lab_as_aws.lab.stop()
    assert {name for name in called if not name.startswith(LOOKS)} == set()


@pytest.fixture
def lab_as_aws(shared, tmp_path):
    shared.chaos.folder = tmp_path
    return shared


def test_the_lab_may_be_attacked(chaos):
    ran = chaos.kms("doctor")
    assert ran.status == 0, ran.output
    assert {about for _, about in lines(ran)} == LOOKED_AT
    assert "REFUSED" not in ran.output
    assert ran.output.splitlines()[-1] == (
        "orders may be attacked, on a lab that was started for this."
    )


@pytest.mark.soak
def test_its_lab_is_that_of_a_run(chaos):
    hidden = json.dumps([{"kind": "expired-token", "service": "rds", "count": 100}])
    ran = chaos.kms("doctor", CHAOS_LAB_FAULTS=hidden, CHAOS_LAB_READERS="1")
    assert ran.status == 1
    assert "REFUSED" in ran.output
    assert "rds:DescribeDBClusters" in ran.output
    wrong = chaos.kms("doctor", CHAOS_LAB_FAULTS='[{"kind": "no-such"}]')
    assert wrong.status == 1
    assert wrong.output.startswith("Error: CHAOS_LAB_FAULTS: ")
    assert len(wrong.output.splitlines()) == 1


def test_on_aws_it_looks_at_everything_and_changes_nothing(lab_as_aws):
    ran = lab_as_aws.chaos.kms("doctor")
    assert ran.status == 0, ran.output
    assert {about for _, about in lines(ran)} == {*LOOKED_AT, "dependents"}
    assert "(CHAOS_DEPENDENTS=skip): that is not known, and not counted" in ran.output
    called = {operation for _, operation in lab_as_aws.called(OURS)}
    assert {"DescribeKey", "ListGrants", "SimulatePrincipalPolicy"} < called
    for shown in (
        ":user/",
        "eu-west-1",
        "123456789012",
        lab_as_aws.key,
        "orders-1",
        "orders-backup",
    ):
        assert shown in ran.output
    assert not list((lab_as_aws.chaos.folder / "state").rglob("*.json"))


def test_what_speaks_against_it_is_said_with_what_to_do(lab_as_aws):
    rds = lab_as_aws.client("rds")
    arn = rds.describe_db_clusters(DBClusterIdentifier="orders")["DBClusters"][0]["DBClusterArn"]
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["chaos:allow"])
    try:
        time.sleep(1)
        ran = lab_as_aws.chaos.kms(
            "doctor",
            CHAOS_BLAST_RADIUS="2",
            CHAOS_BACKUP_WITHIN="1",
            CHAOS_DATABASE="mysql://app@orders/shop",
        )
    finally:
        allow = [{"Key": "chaos:allow", "Value": "kms"}]
        rds.add_tags_to_resource(ResourceName=arn, Tags=allow)
    assert ran.status == 1
    assert [about for state, about in lines(ran) if state == "REFUSED"] == [
        "consent",
        "blast radius",
        "backup",
        "load",
    ]
    for said in (
        "the cluster orders does not carry the tag chaos:allow=kms: add it to allow this",
        "look again, and set it to 0",
        "CHAOS_WITHOUT_BACKUP=yes allows the run without one",
        "is of the engine aurora-postgresql, so CHAOS_DATABASE must be as libpq has it",
        "Error: orders may not be attacked: 4 of these speak against",
    ):
        assert said in ran.output


def test_what_an_earlier_run_left_speaks_against_it_by_cluster_and_by_key(lab_as_aws, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(lab_as_aws.chaos.folder / "state"))
    entry = journal.new_entry(
        run="earlier",
        region="eu-west-1",
        lab=None,
        cluster="before-its-name-changed",
        key=lab_as_aws.key,
        undo=DisableKey(lab_as_aws.key).undo(),
    )
    journal.write(entry)
    ran = lab_as_aws.chaos.kms("doctor", CHAOS_CLUSTER_ID="ORDERS")
    assert ran.status == 1
    assert "an open entry for before-its-name-changed, of run earlier" in ran.output
    assert "put it back with `chaos kms restore`" in ran.output
    assert entry.path.exists()


def test_not_even_the_entry_of_a_lab_that_is_gone_is_closed(lab_as_aws, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(lab_as_aws.chaos.folder / "state"))
    entry = journal.new_entry(
        run="gone",
        region="eu-west-1",
        lab=replace(lab_as_aws.lab, endpoint="http://127.0.0.1:9"),
        cluster="orders",
        key=lab_as_aws.key,
        undo=DisableKey(lab_as_aws.key).undo(),
    )
    journal.write(entry)
    assert lab_as_aws.chaos.kms("doctor").status == 0
    assert entry.path.exists()


OFTEN = {
    "Error: CHAOS_RTO must be a number of seconds", "there is no DB cluster nobody in eu-west-1",
    "no AWS credentials found", "Invalid endpoint: nowhere",
}  # fmt: skip


@pytest.mark.parametrize(
    ("env", "said"),
    mostly_soak(
        [
            ({"CHAOS_RTO": "soon"}, "Error: CHAOS_RTO must be a number of seconds"),
            ({"CHAOS_BLAST_RADIUS": "some"}, "Error: CHAOS_BLAST_RADIUS must be a whole number"),
            ({"CHAOS_CLUSTER_ID": ""}, "CHAOS_CLUSTER_ID must name the cluster"),
            ({"CHAOS_CLUSTER_ID": "nobody"}, "there is no DB cluster nobody in eu-west-1"),
            ({"CHAOS_KEY_ID": "alias/nobody"}, "there is no KMS key alias/nobody"),
            ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no AWS credentials found"),
            ({"AWS_SECRET_ACCESS_KEY": ""}, "no AWS credentials found"),
            ({"AWS_SESSION_TOKEN": "t"}, "it is not known when the temporary credentials"),
            (
                {"AWS_SESSION_TOKEN": "t", "AWS_CREDENTIAL_EXPIRATION": "2020-01-01T00:00:00Z"},
                "the AWS credentials have expired",
            ),
            ({"AWS_SESSION_TOKEN": "t", "AWS_CREDENTIAL_EXPIRATION": "soon"}, "cannot be used"),
            ({"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "no AWS Region is set: set AWS_REGION"),
            ({"AWS_REGION": "eu west;1"}, "doesn't match a supported format"),
            ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "sts:GetCallerIdentity got no answer"),
            ({"AWS_ENDPOINT_URL": "nowhere"}, "Invalid endpoint: nowhere"),
            ({"AWS_PROFILE": "nobody"}, "AWS_PROFILE must name one of ~/.aws/config"),
            ({"AWS_CONFIG_FILE": __file__}, "the AWS configuration cannot be used"),
            ({"XDG_STATE_HOME": "/proc/nowhere"}, "it cannot be written"),
        ],
        lambda case: case[1] in OFTEN,
    ),
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_right_is_one_sentence(lab_as_aws, env, said):
    ran = lab_as_aws.chaos.kms("doctor", **env)
    assert ran.status == 1
    assert said in ran.output
    assert "Traceback" not in ran.output


def test_aws_failing_on_the_way_is_a_reason_not_a_crash(lab_as_aws):
    misbehaviours = Misbehaviours.of(lab_as_aws.lab)
    misbehaviours.order(kind="expired-token", service="kms", operation="ListGrants")
    misbehaviours.order(kind="expired-token", service="rds", operation="DescribeGlobalClusters")
    try:
        ran = lab_as_aws.chaos.kms("doctor")
    finally:
        misbehaviours.clear()
    assert ran.status == 1
    refused = [line for line in ran.output.splitlines() if line.startswith("REFUSED")]
    assert len(refused) == 2
    assert all("the AWS credentials have expired" in line for line in refused)
    assert "Traceback" not in ran.output
