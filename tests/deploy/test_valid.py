"""The files of deploy/, held against what others say about their formats."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.labs import program

pytestmark = pytest.mark.deploy

DEPLOY = Path(__file__).parents[2] / "deploy"
OF_THE_OPERATOR = "chaostoolkit.org/v1"
"""Its definition has no schema: any field is taken."""

CHECKS = {
    "github-actions.yml": ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"],
    "gitlab-ci.yml": [
        "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci",
        "--data-transform", "gitlab-ci",
    ],
    "ecs-schedule.yaml": ["cfn-lint"],
    "staging.yaml": ["cfn-lint"],
    "Dockerfile": ["hadolint"],
    "kubernetes/cronjob.yaml": ["kubernetes-validate", "--strict"],
    "workers/kubernetes.yaml": ["kubernetes-validate", "--strict"],
    "workers/ecs.yaml": ["cfn-lint"],
    "workers/ssh.sh": ["shellcheck"],
    "../.github/workflows/versions.yml": [
        "check-jsonschema", "--builtin-schema", "vendor.github-workflows",
    ],
}  # fmt: skip


def check(command, file):
    return subprocess.run(
        [program(command[0]), *command[1:], str(file)], capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("name", CHECKS)
def test_a_file_is_what_its_format_asks_for(name):
    done = check(CHECKS[name], DEPLOY / name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("github-actions.yml", "timeout-minutes: 350", "timeout-minutes: [350]"),
        ("gitlab-ci.yml", "interruptible: false", "interruptible: [never]"),
        ("ecs-schedule.yaml", "ScheduleExpression: !Ref When", "Schedule: !Ref When"),
        ("staging.yaml", "KmsKeyId: !GetAtt Key.Arn", "KmsKeyId: !GetAtt Keys.Arn"),
        ("Dockerfile", "USER 10001", "USER root"),
        ("kubernetes/cronjob.yaml", "concurrencyPolicy: Forbid", "concurrency: Forbid"),
        ("workers/kubernetes.yaml", "replicas: 4", "replica: 4"),
        ("workers/ecs.yaml", "DesiredCount: !Ref Workers", "Count: !Ref Workers"),
        ("workers/ssh.sh", 'for machine in "$@"', "for machine in $@"),
        ("../.github/workflows/versions.yml", "fail-fast: false", "fail-fast: [no]"),
    ],
)
def test_each_of_these_checks_finds_a_mistake(tmp_path, name, right, wrong):
    text = (DEPLOY / name).read_text()
    assert right in text
    file = tmp_path / Path(name).name
    file.write_text(text.replace(right, wrong))
    assert check(CHECKS[name], file).returncode != 0


def test_the_operators_experiment_is_valid_but_for_the_part_that_has_no_schema(tmp_path):
    parts = list(yaml.safe_load_all((DEPLOY / "kubernetes/operator-experiment.yaml").read_text()))
    theirs = [part for part in parts if part["apiVersion"] == OF_THE_OPERATOR]
    assert [part["kind"] for part in theirs] == ["ChaosToolkitExperiment"]
    for number, part in enumerate(part for part in parts if part not in theirs):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(part))
        assert check(CHECKS["kubernetes/cronjob.yaml"], file).returncode == 0


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
def test_systemd_takes_service_and_timer(tmp_path):
    for unit in ("chaos-kms.service", "chaos-kms.timer"):
        text = (DEPLOY / "systemd" / unit).read_text()
        chaos = program("chaos")
        (tmp_path / unit).write_text(text.replace("/opt/chaos-kms/bin/chaos", chaos))
    units = [str(tmp_path / unit) for unit in ("chaos-kms.service", "chaos-kms.timer")]
    command = ["systemd-analyze", "verify", "--man=no", *units]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "chaos-kms.service").write_text("[Service]\nType=none\n")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr
