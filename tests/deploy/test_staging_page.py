"""The commands of docs/staging.md, as they stand there, by the AWS CLI and psql on a lab."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support import staging
from tests.support.chaos import ROOT, LabAsAws
from tests.support.labs import program
from tests.support.staging import TEMPLATE

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(600)]

PAGE = ROOT / "docs" / "staging.md"
STACK = "kms-game-days"
SPEED = 100.0

PORT = (
    '$(aws rds describe-db-clusters --db-cluster-identifier "$CHAOS_CLUSTER_ID" --output text '
    "--query 'DBClusters[0].Port')"
)
"""Where the lab's database listens; Aurora's is the usual port of PostgreSQL."""


@pytest.fixture
def lab_as_aws(tmp_path):
    play = LabAsAws.start(tmp_path, speed=SPEED, iam=True)
    yield play
    play.lab.stop()


def commands():
    """The page's blocks for a shell, in their order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return [block for block in blocks if not block.startswith("module ")]


def filled(text, network):
    """With what a reader has to put in."""
    one, other = network["SubnetIds"].split(",")
    for hole, value in (
        ("vpc-…", network["VpcId"]),
        ("subnet-…\\,subnet-…", f"{one}\\,{other}"),
        ("sg-…", network["ClientSecurityGroup"]),
        ("-U app", f"-p {PORT} -U app"),
        # A refusal: the state machine that was started is one that the lab does not run.
        ("chaos kms doctor", "chaos kms doctor || echo the doctor said $?"),
        ("chaos run experiments/kms-disable.json", "aws sts get-caller-identity"),
    ):
        assert text.count(hole) == 1, hole
        text = text.replace(hole, value)
    assert "…" not in text
    return text


def environment(lab, home):
    """That of a reader: a profile with the lab's credentials, and none in variables."""
    (home / "credentials").write_text(
        f"[default]\naws_access_key_id = lab\naws_secret_access_key = {lab.secret_key}\n"
    )
    programs = [str(Path(program(name)).parent) for name in ("chaos", "psql")]
    without = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    return {
        **{name: value for name, value in lab.environment.items() if name not in without},
        "AWS_CONFIG_FILE": str(home / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "credentials"),
        "AWS_REGION": lab.region,
        "HOME": str(home),
        "PATH": os.pathsep.join([*programs, os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
    }


def test_every_command_of_the_page_works_and_the_run_role_is_who_runs(lab_as_aws, tmp_path):
    network = staging.network(lab_as_aws.client)
    script = filled("\n".join(commands()), network)
    assert script.count("aws ") > 10
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=ROOT,
        env=environment(lab_as_aws.lab, tmp_path),
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "INSERT 0 4" in done.stdout
    assert re.search(
        rf"^ok        identity      .*:assumed-role/{STACK}-RunRole-", done.stdout, re.M
    )
    refused = [line for line in done.stdout.splitlines() if line.startswith("REFUSED")]
    assert [line.split()[1] for line in refused] == ["backup"]
    assert "the doctor said 1" in done.stdout
    assert re.search(rf'"Arn": ".*:assumed-role/{STACK}-RunRole-', done.stdout)
    assert staging.described(lab_as_aws.client, STACK) == {}
    assert TEMPLATE.name in script
