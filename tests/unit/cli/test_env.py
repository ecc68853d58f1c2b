"""`chaos kms env`: a stack's outputs as lines that a shell evaluates to just those values."""

from __future__ import annotations

import json
import subprocess
import uuid

import pytest
from click.testing import CliRunner

from chaosaws_kms_ext.cli import env, kms
from chaosaws_kms_ext.run import Refused
from tests.support import staging
from tests.support.in_process_aws import InProcessAws
from tests.support.in_process_lab import InProcessLab

GOOD = {"ChaosTarget": "aws", "ChaosClusterId": "orders", "RunRole": "arn:aws:iam::1:role/run"}


@pytest.fixture
def lab(tmp_path, monkeypatch):
    made = InProcessLab(tmp_path / "requests.jsonl")
    monkeypatch.setattr(env, "Aws", lambda region: InProcessAws(made, tmp_path))
    return made


def printed(lab, outputs):
    """What the command says of a stack with these outputs."""
    name = f"s{uuid.uuid4().hex[:8]}"
    said = {key: {"Value": value} for key, value in outputs.items()}
    body = {"Resources": {"Key": {"Type": "AWS::KMS::Key"}}, "Outputs": said}
    cloud = lab.client("cloudformation")
    cloud.create_stack(StackName=name, TemplateBody=json.dumps(body))
    staging.finished(lab.client, name)
    return CliRunner().invoke(kms, ["env", "--stack", name])


def test_outputs_that_are_settings_are_exported_and_no_others(lab):
    done = printed(lab, GOOD)
    assert (done.exit_code, done.stderr) == (0, "")
    assert staging.evaluated(done.stdout) == {
        "AWS_REGION": "eu-west-1", "CHAOS_CLUSTER_ID": "orders", "CHAOS_TARGET": "aws",
    }  # fmt: skip


HOSTILE = "-n $(touch /tmp/x) `id` a'; id; ' a\"b \n $HOME a\\ \u00e9\u2028 #a ~ * !! & | > x"


def test_no_value_is_more_than_text_to_the_shell(lab):
    done = printed(lab, {**GOOD, "ChaosReportsDir": HOSTILE})
    assert done.exit_code == 0, done.stderr
    assert staging.evaluated(done.stdout)["CHAOS_REPORTS_DIR"] == HOSTILE


@pytest.mark.parametrize(
    ("outputs", "why"),
    [
        ({"RunRole": "arn"}, "has no output that is a setting"),
        ({"PATH": "/tmp", "LdPreload": "a.so", "Chaoscluster": "x"}, "has no output that is a"),
        ({**GOOD, "ChaosHold": "long"}, "CHAOS_HOLD must be"),
        ({**GOOD, "ChaosLoadFile": "/nowhere.py"}, "CHAOS_LOAD_FILE"),
        ({"ChaosTarget": "aws"}, "CHAOS_CLUSTER_ID must name the cluster"),
    ],
)
def test_of_outputs_that_no_run_would_take_nothing_is_exported(lab, outputs, why):
    done = printed(lab, outputs)
    assert (done.exit_code, done.stdout) == (1, "false\n")
    assert done.stderr.startswith("Error: ")
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_stack_that_is_not_there_is_one_sentence(lab):
    done = CliRunner().invoke(kms, ["env", "--stack", "nobody"])
    assert (done.exit_code, done.stdout) == (1, "false\n")
    said = subprocess.run(["sh", "-ec", 'eval "$1"; echo went on', "sh", done.stdout], check=False)
    assert said.returncode == 1
    assert done.stderr.startswith("Error: there is no stack nobody in eu-west-1: ")


def test_without_a_region_it_says_so(monkeypatch):
    def none(region):
        raise Refused("no AWS Region is set")

    monkeypatch.setattr(env, "Aws", none)
    done = CliRunner().invoke(kms, ["env", "--stack", "s"])
    assert (done.exit_code, done.stderr) == (1, "Error: no AWS Region is set\n")


def test_a_stack_has_to_be_named():
    assert CliRunner().invoke(kms, ["env"]).exit_code == 2
