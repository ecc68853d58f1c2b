"""What the files of deploy/ would do, done here: their own commands, on the lab."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

import chaosaws_kms_ext
from tests.support.labs import program, until

pytestmark = pytest.mark.deploy

DEPLOY = Path(__file__).parents[2] / "deploy"
SPEED = {"CHAOS_TARGET": "lab", "CHAOS_LAB_SPEED": "100", "CHAOS_NOT_DURING": ""}
FAILS = {"CHAOS_RTO": "1"}


@pytest.fixture
def environment(tmp_path):
    """That of a machine on which the package is installed; pip has nothing to do."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, does in {"pip": ":", "gh": 'printf "%s\\n" "$@" > "$HOME/gh"; cat issue.md'}.items():
        (tools / name).write_text(f"#!/bin/sh\n{does}\n")
        (tools / name).chmod(0o755)
    path = os.pathsep.join([str(tools), str(Path(program("chaos")).parent), os.environ["PATH"]])
    return {"PATH": path, "HOME": str(tmp_path)}


@pytest.fixture
def here(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def shell(script, folder, environment):
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=170,
    )


def github(here, environment):
    """The steps that are shell, as GitHub runs them; the exit status of the job."""
    workflow = yaml.safe_load((DEPLOY / "github-actions.yml").read_text())
    status = 0
    for step in workflow["jobs"]["kms-disable"]["steps"]:
        runs = {None: status == 0, "always()": True, "failure()": status != 0}[step.get("if")]
        if "run" in step and runs:
            done = shell(step["run"], here, environment | {"RUN_URL": "https://example.com/1"})
            status = status or done.returncode
    return status


@pytest.mark.parametrize(("settings", "status"), [({}, 0), (FAILS, 1)])
def test_githubs_workflow_shows_the_result_and_opens_an_issue_if_it_did_not_pass(
    here, environment, settings, status
):
    summary = here / "step-summary"
    shown = {"GITHUB_STEP_SUMMARY": str(summary)}
    assert github(here, environment | SPEED | settings | shown) == status
    text = (here / "reports" / "latest" / "summary.md").read_text()
    assert summary.read_text() == text
    opened = Path(environment["HOME"]) / "gh"
    assert opened.exists() is (status != 0)
    if status:
        assert "did not pass" in opened.read_text()
        assert (here / "issue.md").read_text() == f"https://example.com/1\n\n{text}"


def test_gitlabs_job_leaves_a_junit_file_and_a_token_that_nobody_else_reads(here, environment):
    job = yaml.safe_load((DEPLOY / "gitlab-ci.yml").read_text())["kms-game-day"]
    token = here / "token"
    its = SPEED | {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ID_TOKEN": "a secret"}
    script = "\n".join([*job["before_script"], *job["script"], *job["after_script"]])
    done = shell(script, here, environment | its)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (token.read_text(), token.stat().st_mode & 0o777) == ("a secret", 0o600)
    suite = ElementTree.parse(here / job["artifacts"]["reports"]["junit"]).getroot()
    assert len(list(suite.iter("testcase"))) > 5


def test_systemds_service_runs_and_an_inconclusive_run_is_no_failure(here, environment):
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(DEPLOY / "systemd" / "chaos-kms.service")
    service = unit["Service"]
    assert service["KillMode"] == "process"
    assert service["SuccessExitStatus"] == "3"
    shell("chaos kms experiments --copy .", here, environment)
    for command in (service["ExecStartPre"], service["ExecStart"]):
        done = shell(command.replace("/opt/chaos-kms/bin/", ""), here, environment | SPEED)
        assert done.returncode == 0, done.stdout + done.stderr


def image():
    """Entry point with its arguments, and the environment of the image."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = dict(line.split(None, 1) for line in text.splitlines() if line[:1].isupper())
    command = [*json.loads(lines["ENTRYPOINT"]), *json.loads(lines["CMD"])]
    return command, dict(part.split("=", 1) for part in shlex.split(lines["ENV"]))


def test_the_image_runs_and_a_signal_puts_the_key_back(here, environment):
    command, variables = image()
    installed = "/usr/local/lib/python3.13/site-packages/chaosaws_kms_ext"
    package = str(Path(chaosaws_kms_ext.__file__).parent)
    command = [part.replace(installed, package) for part in command]
    assert command[:2] == ["tini", "--"]
    assert Path(command[-1]).is_file()
    its = {name: value.replace("/data", str(here)) for name, value in variables.items()}
    load = Path(command[-1]).parents[1] / "probes" / "query_load.py"
    its |= SPEED | {"CHAOS_HOLD": "20000", "CHAOS_LOAD_FILE": str(load)}
    with subprocess.Popen(
        command[2:],
        cwd=here,
        env=environment | its,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            until(lambda: any("fault-injected" in text for text in events(here)), timeout=60)
            time.sleep(1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 130
        finally:
            process.kill()
    assert any("EnableKey" in text for text in events(here, "aws-calls.jsonl"))
    (summary,) = here.glob("reports/kms-disable/*/summary.json")
    assert json.loads(summary.read_text())["verdict"] == "aborted"


def events(here, name="events.jsonl"):
    return [path.read_text() for path in here.glob(f"reports/kms-disable/*/history/{name}")]
