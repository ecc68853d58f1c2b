"""Plans of real runs: in order, stopped, killed."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.support.chaos import ROOT, aws, chaos
from tests.support.labs import until

__all__ = ["aws", "chaos"]

pytestmark = pytest.mark.soak

EXAMPLE = ROOT / "experiments" / "plans" / "game-day.toml"
WATCHES = ROOT / "experiments" / "watch-only.json"

AWS_PLAN = """
name = "night"
blast_radius = 1
region = "eu-west-1"
[settings]
target = "aws"
cluster_id = "orders"
hold = 60
[[item]]
experiment = "experiments/kms-disable.json"
[[item]]
name = "again"
experiment = "experiments/kms-disable.json"
"""
"""Its first run holds the outage until somebody stops it."""


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def folder_of(reports: Path, name: str) -> Path:
    (folder,) = (reports / "plans" / name).iterdir()
    return folder


def states(reports, name):
    said = json.loads((folder_of(reports, name) / "plan.json").read_text())
    return said["state"], [item["state"] for item in said["items"]]


def written(tmp_path, text):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return str(path)


def holding(lab_as_aws, tmp_path):
    """A plan whose first run holds the outage."""
    running = lab_as_aws.chaos.start("kms", "plan", written(tmp_path, AWS_PLAN))
    output = lab_as_aws.chaos.folder / "reports" / "plans"

    def holds():
        said = [each.read_text() for each in output.glob("*/*/01-*/output.txt")]
        return any("Action: hold-the-outage" in each for each in said)

    until(holds, timeout=60, every=0.2)
    return running


@pytest.mark.timeout(600)
def test_the_example_passes_and_links_to_its_runs(chaos):
    ran = chaos.start("kms", "plan", str(EXAMPLE)).wait(500)
    assert ran.status == 0, ran.output
    assert states(ran.reports, "game-day") == ("passed", ["passed"] * 3)
    folder = folder_of(ran.reports, "game-day")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["verdict"] == "passed"
    _, disabled, watched = summary["items"]
    assert disabled["figures"]["time_to_recovery_seconds"] > 0
    assert watched["figures"]["writes.lost"] == 0
    page = (folder / "index.html").read_text()
    for item in summary["items"]:
        run = Path(item["folder"])
        assert f"../../../{run.parent.name}/{run.name}/" in page


def test_a_plan_with_one_item_that_would_be_refused_begins_nothing(aws, tmp_path):
    lab_as_aws = aws()
    text = AWS_PLAN.replace("blast_radius = 1", "blast_radius = 0")
    ran = lab_as_aws.chaos.kms("plan", written(tmp_path, text), "--check")
    assert ran.status == 1
    assert "1 things would lose their key over the whole plan" in ran.output
    missing = AWS_PLAN + '[[item]]\nexperiment = "no.json"\n'
    missing += '[[item]]\nname="b"\nexperiment = "experiments/watch-only.json"\n'
    missing += 'settings = { cluster_id = "nothere" }\n'
    ran = lab_as_aws.chaos.kms("plan", written(tmp_path, missing))
    assert ran.status == 1
    assert "REFUSED   no: there is no experiment no.json" in ran.output
    assert "REFUSED   b: there is no DB cluster nothere in eu-west-1" in ran.output
    lab_as_aws.client("rds").remove_tags_from_resource(
        ResourceName="arn:aws:rds:eu-west-1:123456789012:cluster:orders", TagKeys=["chaos:allow"]
    )
    mysql = {"CHAOS_DATABASE": "mysql://app@orders/shop"}
    ran = lab_as_aws.chaos.kms("plan", written(tmp_path, AWS_PLAN), "--check", **mysql)
    assert "REFUSED   again: the cluster orders does not carry the tag" in ran.output
    assert "is of the engine aurora-postgresql, so CHAOS_DATABASE must be as libpq" in ran.output
    assert not (ran.reports / "plans").exists()
    assert {"DisableKey", "EnableKey"} & set(lab_as_aws.mutating_calls()) == set()


def test_the_plan_ends_at_the_first_run_that_does_not_pass(chaos, tmp_path):
    text = f"""
    [settings]
    lab_somebody = "nobody"
    impact_timeout = 300
    [[item]]
    experiment = "{WATCHES}"
    [[item]]
    name = "second"
    experiment = "{WATCHES}"
    settings = {{ expect_loss = "no", impact_timeout = 3600, load_rate = 50 }}
    """
    ran = chaos.kms("plan", written(tmp_path, text))
    assert ran.status == 1
    assert states(ran.reports, "plan") == ("failed", ["inconclusive", "not-run"])
    chaos.folder = tmp_path / "on"
    chaos.folder.mkdir()
    ran = chaos.kms("plan", written(tmp_path, text), "--go-on")
    assert ran.status == 1
    assert states(ran.reports, "plan") == ("failed", ["inconclusive", "passed"]), ran.output


def test_ctrl_c_ends_the_run_with_its_rollbacks_and_nothing_more_is_begun(aws, tmp_path):
    lab_as_aws = aws()
    running = holding(lab_as_aws, tmp_path)
    second = lab_as_aws.chaos.kms("plan", written(tmp_path, AWS_PLAN))
    assert "two plans at once are refused" in second.output
    running.signal(signal.SIGINT)
    ran = running.wait()
    assert ran.status == 1
    assert states(ran.reports, "night") == ("aborted", ["aborted", "not-run"])
    assert lab_as_aws.key_state() == "Enabled"
    assert lab_as_aws.cluster_status() == "available"
    assert lab_as_aws.mutating_calls().count("DisableKey") == 1
    assert (
        "SIGINT"
        in json.loads((folder_of(ran.reports, "night") / "summary.json").read_text())["reasons"][0]
    )
    assert running.left() == []


def test_a_plan_that_is_killed_leaves_no_key_away_and_says_how_far_it_was(aws, tmp_path):
    lab_as_aws = aws()
    running = holding(lab_as_aws, tmp_path)
    running.signal(signal.SIGKILL)
    until(lambda: lab_as_aws.key_state() == "Enabled", timeout=20)
    until(lambda: not running.left(), timeout=60, every=0.5)
    assert lab_as_aws.cluster_status() == "available"
    reports = lab_as_aws.chaos.folder / "reports"
    assert states(reports, "night") == ("running", ["running", "waiting"])
    assert lab_as_aws.mutating_calls().count("DisableKey") == 1
    ran = lab_as_aws.chaos.kms("plan", written(tmp_path, AWS_PLAN), "--check")
    assert ran.status == 0, ran.output  # the lock has gone with it
