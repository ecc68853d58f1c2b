"""`chaos kms doctor --all`: every cluster of an account, and what would be lost with its key."""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest
from click.testing import CliRunner

from chaosaws_kms_ext.cli import kms
from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from tests.support.clusters import AVAILABLE, new_cluster, snapshot_becomes
from tests.support.forked_labs import new_lab
from tests.support.kept import EVIL, a_summary, keep
from tests.support.labs import FAST, client

pytestmark = pytest.mark.thorough

HERE, THERE = "eu-west-1", "us-east-1"


@pytest.fixture(scope="module")
def lab():
    """The cluster orders with a copy of its data under another key; others beside it and abroad."""
    running = new_lab(FAST, "documented", servers=False)
    rds = client(running, "rds")
    key = running.clusters[0]["key"]
    other = client(running, "kms").create_key()["KeyMetadata"]["Arn"]
    new_cluster(rds, DBClusterIdentifier="carts", StorageEncrypted=True, KmsKeyId=key)
    new_cluster(rds, DBClusterIdentifier="plain")
    rds.create_db_cluster_snapshot(DBClusterIdentifier="orders", DBClusterSnapshotIdentifier="a")
    snapshot_becomes(rds, "a", AVAILABLE)
    rds.copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier="a", TargetDBClusterSnapshotIdentifier="b", KmsKeyId=other
    )
    snapshot_becomes(rds, "b", AVAILABLE)
    abroad = client(running, "rds", THERE)
    new_cluster(abroad, DBClusterIdentifier="abroad", StorageEncrypted=True)
    lost = client(running, "kms", THERE)
    theirs = lost.create_key()["KeyMetadata"]["Arn"]
    new_cluster(abroad, DBClusterIdentifier="lost", StorageEncrypted=True, KmsKeyId=theirs)
    lost.disable_key(KeyId=theirs)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Of orders two runs on AWS, and one on the lab; one of a cluster of that name elsewhere."""
    folder = tmp_path_factory.mktemp("reports")
    its = a_summary(tmp_path_factory.mktemp("run")) | {"cluster": "orders", "region": HERE}
    on_aws = {"target": "aws", "lab": None}
    keep(folder, its, "2026-01-01T000000Z", verdict="passed", started="2026-01-01T00", **on_aws)
    keep(folder, its, "2026-01-02T000000Z", verdict="failed", started="2026-01-02T00", **on_aws)
    keep(folder, its, "2026-01-03T000000Z", verdict="passed")
    keep(folder, its, "2026-01-04T000000Z", verdict="passed", region="eu-north-1", **on_aws)
    return folder


@pytest.fixture
def doctor(lab, reports, monkeypatch):
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CHAOS_REPORTS_DIR", str(reports))

    def call(*arguments):
        return CliRunner().invoke(kms, ["doctor", "--all", *arguments])

    return call


def listed(done):
    assert done.exit_code == 0, done.output
    return {each["cluster"]: each for each in json.loads(done.stdout)["clusters"]}


def test_each_cluster_of_every_region_is_listed_with_what_hangs_on_its_key(doctor, lab):
    found = listed(doctor("--format", "json"))
    assert set(found) == {"orders", "carts", "plain", "abroad", "lost"}
    orders = found["orders"]
    assert (orders["region"], orders["key"]) == (HERE, lab.clusters[0]["key"])
    assert (orders["manager"], orders["key_state"]) == ("CUSTOMER", "Enabled")
    assert (orders["beside"], orders["beside_names"]) == (1, ["cluster carts"])
    assert orders["backup"] == "b"
    assert 0 <= orders["backup_days"] < 60 * FAST / 86400
    assert orders["rehearsal"]["verdict"] == "failed"
    assert orders["concerns"] == ["1 more under its key", "the last rehearsal failed"]
    carts = found["carts"]
    assert {"cluster orders", "snapshot a"} <= set(carts["beside_names"])
    assert {"no backup under another key", "never rehearsed"} < set(carts["concerns"])
    assert "the key is Disabled" in found["lost"]["concerns"]
    assert found["abroad"]["manager"] == "AWS"
    assert found["plain"]["key"] == ""
    assert found["abroad"]["concerns"] == found["plain"]["concerns"] == []


def test_only_the_regions_that_are_named_are_looked_at(doctor):
    assert set(listed(doctor("--format", "json", "--region", THERE))) == {"abroad", "lost"}


def test_the_table_has_what_somebody_should_look_at_first(doctor):
    head, *lines = doctor("--region", HERE).output.splitlines()
    assert head.split("\t")[:2] == ["Region", "cluster"]
    assert [line.split("\t")[1] for line in lines] == ["carts", "orders", "plain"]
    assert lines[1].split("\t")[-1] == "1 more under its key; the last rehearsal failed"


def test_the_page_is_one_file_in_which_text_of_others_stays_text(doctor, reports, tmp_path):
    page = tmp_path / "clusters.html"
    summary = json.loads((next(reports.glob("*/2026-01-02*")) / "summary.json").read_text())
    folder = tmp_path / "more"
    keep(folder, summary, "2026-01-05T000000Z", experiment="x", verdict=EVIL)
    done = CliRunner().invoke(
        kms,
        ["doctor", "--all", "--format", "html", "--output", str(page), "--region", HERE],
        env={"CHAOS_REPORTS_DIR": str(folder)},
    )
    assert done.exit_code == 0, done.output
    text = page.read_text()
    assert "<td>orders</td>" in text
    assert "alert(1)" not in text or "&lt;script&gt;" in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_a_region_that_cannot_be_looked_at_is_said_and_the_others_are_listed(doctor, lab):
    orders = Misbehaviours.of(lab)
    orders.order(kind="error", service="rds", operation="DescribeDBSnapshots", count=50)
    try:
        done = doctor("--format", "json", "--region", HERE, "--region", "eu-central-1")
    finally:
        orders.clear()
    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert said["clusters"] == []
    assert set(said["unread"]) == {HERE}
    assert done.stderr.startswith(f"{HERE} was not looked at: rds:DescribeDBSnapshots")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["doctor", "--region", HERE], "--region goes with --all"),
        (["doctor", "--all", "--output", "x"], "--output goes with"),
        (["doctor", "--all", "--format", "json", "--output", "/nowhere/x"], "cannot be written"),
    ],
)
def test_what_does_not_go_together_is_said(doctor, arguments, why):
    done = CliRunner().invoke(kms, [*arguments])
    assert done.exit_code == 2
    assert why in done.output


@pytest.mark.soak
def test_a_thousand_clusters_take_a_page_for_each_hundred_even_when_aws_throttles(doctor, lab):
    region = "eu-west-2"
    rds = client(lab, "rds", region)
    key = client(lab, "kms", region).create_key()["KeyMetadata"]["Arn"]
    for number in range(1000):
        name = f"many-{number:04}"
        new_cluster(rds, DBClusterIdentifier=name, StorageEncrypted=True, KmsKeyId=key)
    before = len(lab.requests.read_text().splitlines())
    Misbehaviours.of(lab).order(
        kind="throttling", service="rds", operation="DescribeDBClusters", count=6
    )
    start = time.monotonic()
    found = listed(doctor("--format", "json", "--region", region))
    took = time.monotonic() - start
    assert len(found) == 1000
    assert found["many-0500"]["beside"] == 999
    lines = lab.requests.read_text().splitlines()[before:]
    calls = Counter(json.loads(line)["operation"] for line in lines)
    assert calls["DescribeDBClusters"] == 10 + 6
    assert calls["DescribeKey"] == 1
    assert took < 60
