"""`pytest experiments/`: real runs, by a pytest of its own."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from xml.etree import ElementTree

import pytest

from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from tests.support.chaos import EXPERIMENT, MARK, ROOT, LabAsAws, left
from tests.support.labs import FAST, mostly_soak, until

pytest_plugins = ["pytester"]

CONTROL = "chaosaws_kms_ext.controls.run"


@pytest.fixture
def project(pytester, monkeypatch):
    """A folder with `probes/` and `experiments/`, and a mark on whatever runs from it."""
    shutil.copytree(ROOT / "probes", pytester.path / "probes")
    (pytester.path / "experiments").mkdir()
    monkeypatch.setenv(MARK, uuid.uuid4().hex)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    yield pytester
    until(lambda: not left(os.environ[MARK]))


@pytest.fixture
def scratch(project, monkeypatch):
    """Where runs without a report leave their logs."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o711)  # the lab's PostgreSQL may run as somebody else
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder)


def experiment(project, name, tags=("kms",), **configuration):
    """The real experiment under another name."""
    content = json.loads(EXPERIMENT.read_text())
    content["tags"] = list(tags)
    content["configuration"] |= configuration
    content["controls"][0]["provider"]["arguments"]["experiment_name"] = name
    path = project.path / "experiments" / f"{name}.json"
    path.write_text(json.dumps(content))
    return path


def run(project, *arguments):
    return project.runpytest_subprocess(
        "--chaos-lab-speed", str(FAST), "--strict-markers", "-W", "error", *arguments, timeout=170
    )


def collect(project, *arguments):
    """In this process."""
    return project.runpytest_inprocess(
        "-n", "0", "--strict-markers", "-W", "error", "--collect-only", "-q", *arguments
    )


def shows_no_traceback(result):
    shown = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in shown
    assert "suite.py" not in shown


@pytest.mark.soak
def test_side_by_side_each_test_is_its_own_run_with_its_own_verdict(project):
    experiment(project, "passes")
    experiment(project, "misses", rto="1")
    result = run(
        project,
        "-n",
        "2",
        "--junitxml",
        "junit.xml",
        "--durations",
        "1",
        "--chaos-reports",
        "kept",
        "experiments",
    )
    result.assert_outcomes(passed=1, failed=1)
    shows_no_traceback(result)
    result.stdout.fnmatch_lines(
        [
            "failed: objective missed: rto was * s, and its limit is *",
            "report: kept/misses/*Z",
            "log: kept/misses/*Z/chaostoolkit.log",
            "*s call * experiments/*.json::*",
            "FAILED experiments/misses.json::misses - failed: objective missed: rto*",
        ]
    )
    said = {
        case.get("name"): {each.get("name"): each.get("value") for each in case.iter("property")}
        for case in ElementTree.parse(project.path / "junit.xml").iter("testcase")
    }
    assert {name: each["verdict"] for name, each in said.items()} == {
        "passes": "passed",
        "misses": "failed",
    }
    assert said["passes"]["run"] != said["misses"]["run"]
    for name, each in said.items():
        report = Path(each["report"])
        assert report.parent == project.path / "kept" / name
        summary = json.loads((report / "summary.json").read_text())
        assert each["target"] == "lab"
        assert float(each["lab_speed"]) == FAST
        assert float(each["time_to_recovery_seconds"]) == summary["time_to_recovery_seconds"]
        assert "Action: hold-the-outage" in (report / "output.txt").read_text()
        assert "DEBUG" in (report / "chaostoolkit.log").read_text()


@pytest.mark.usefixtures("scratch")
@pytest.mark.parametrize(
    ("variable", "value", "words"),
    mostly_soak(
        [
            ("CHAOS_RTO", "soon", "refused: CHAOS_RTO must be a number of seconds"),
            ("CHAOS_TARGET", "aws", "refused: CHAOS_TARGET is aws, so CHAOS_CLUSTER_ID must name"),
            ("CHAOS_TARGET", "moon", "refused: CHAOS_TARGET must be one of lab, aws, not 'moon'"),
        ],
        lambda case: case[1] == "aws",
    ),
)
def test_a_refused_run_fails_with_its_one_sentence(project, monkeypatch, variable, value, words):
    path = experiment(project, "kms-disable")
    monkeypatch.setenv(variable, value)
    result = run(project, f"experiments/{path.name}")
    result.assert_outcomes(failed=1)
    shows_no_traceback(result)
    result.stdout.fnmatch_lines([f"{words}*", "log: *chaos-kms-disable-*/chaostoolkit.log"])
    result.stdout.no_fnmatch_line("report: *")
    assert not (project.path / "reports").exists()


@pytest.mark.usefixtures("scratch")
def test_an_experiment_that_cannot_be_run_fails_with_what_chaos_toolkit_says(project):
    experiment(project, "kms-disable", tags=["", "kms"])
    result = run(project, "experiments")
    result.assert_outcomes(failed=1)
    shows_no_traceback(result)
    result.stdout.fnmatch_lines(
        [
            "failed: `chaos run` ended with exit status 1 and left no verdict",
            " *experiment tags must be a non-empty string",
        ]
    )


def test_only_experiments_are_collected(project):
    real = json.loads(experiment(project, "kms-disable").read_text())
    others = {
        "journal": {"experiment": real, "run": []},
        "named": {"title": CONTROL, "method": [], "controls": [None, {"provider": 7}]},
        "list": [real],
        "number": {**real, "controls": 7},
        "uncontrolled": {**real, "controls": []},
        "data": {**real, "rows": "x" * 2**18},
    }
    for name, content in others.items():
        (project.path / "experiments" / f"{name}.json").write_text(json.dumps(content))
    (project.path / "experiments" / "nothing.json").write_text("{ no JSON at all")
    (project.path / "experiments" / "gone.json").symlink_to("nowhere")
    result = collect(project, ".")
    result.stdout.fnmatch_lines(["experiments/kms-disable.json::kms-disable", "1 test collected*"])
    assert result.ret == pytest.ExitCode.OK


def test_a_broken_experiment_is_one_sentence(project):
    broken = experiment(project, "kms-disable")
    broken.write_text(broken.read_text()[:-1])
    result = run(project, "experiments")
    result.assert_outcomes(errors=1)
    shows_no_traceback(result)
    result.stdout.fnmatch_lines(["experiments/kms-disable.json is no valid JSON: *: line 1 *"])


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    mostly_soak(
        [
            (["-k", "disable"], {"kms-disable"}),
            (["-m", "chaos and kms"], {"kms-disable", "key-rotation"}),
            (["-m", "platform-aws"], {"key-rotation"}),
            (["-m", "not chaos"], set()),
            (["--ignore", "experiments/kms-disable.json"], {"key-rotation"}),
        ],
        lambda case: case[0][1] in ("disable", "platform-aws"),
    ),
)
def test_names_and_tags_choose(project, arguments, chosen):
    experiment(project, "kms-disable", tags=["kms", "skip", "_private"])
    experiment(project, "key-rotation", tags=["kms", "platform:aws"])
    result = collect(project, *arguments, "experiments")
    shown = [line.split("::")[1] for line in result.outlines if "::" in line]
    assert set(shown) == chosen
    assert "warning" not in result.stdout.str()


def test_a_tag_is_a_name_and_does_nothing(project):
    experiment(project, "kms-disable", tags=["kms", "skip", "timeout"])
    assert [mark.name for mark in only(project).iter_markers()] == ["chaos", "kms"]


@pytest.mark.parametrize("tags", [None, 7, "kms"])
def test_whatever_stands_in_place_of_tags_and_arguments_is_left_to_chaos_toolkit(project, tags):
    path = experiment(project, "kms-disable")
    content = json.loads(path.read_text())
    content["tags"] = tags
    content["controls"][0]["provider"]["arguments"] = tags
    path.write_text(json.dumps(content))
    assert only(project).name == "kms-disable"


def only(project, *arguments):
    (item,) = project.inline_genitems(*arguments, "experiments")[0]
    return item


def test_the_command_line_then_the_environment_then_the_ini_file_names_the_target(
    project, monkeypatch
):
    experiment(project, "kms-disable")
    assert only(project).target == "lab"
    project.makeini("[pytest]\nchaos_target = aws")
    assert only(project).target == "aws"
    monkeypatch.setenv("CHAOS_TARGET", "lab")
    assert only(project).target == "lab"
    assert only(project, "--chaos-target=aws").target == "aws"


def test_nothing_leads_from_the_lab_to_a_real_account_or_database(project, monkeypatch):
    experiment(project, "kms-disable")
    real = {"AWS_PROFILE": "live", "PGHOSTADDR": "10.0.0.1", "BOTO_CONFIG": "/etc/boto"}
    for name, value in real.items():
        monkeypatch.setenv(name, value)
    assert not set(real) & set(only(project).environment)
    assert real.items() <= only(project, "--chaos-target=aws").environment.items()


def test_no_timeout_ends_a_run_on_aws(project):
    experiment(project, "kms-disable")
    arguments = ("--timeout", "9")
    assert only(project, *arguments).get_closest_marker("timeout") is None
    on_aws = only(project, *arguments, "--chaos-target=aws")
    assert on_aws.get_closest_marker("timeout").args == (0,)


def test_it_runs_above_experiments_or_else_in_the_root(project):
    path = experiment(project, "kms-disable")
    assert only(project).folder == project.path
    deep = project.path / "team" / "experiments" / "monthly"
    deep.mkdir(parents=True)
    shutil.copy(path, deep)
    (item,) = project.inline_genitems("team")[0]
    assert item.folder == project.path / "team"
    elsewhere = project.mkdir("elsewhere")
    project.makeini("[pytest]")
    shutil.copy(path, elsewhere)
    (item,) = project.inline_genitems("elsewhere")[0]
    assert item.folder == project.path


@pytest.mark.thorough
def test_on_aws_they_wait_for_each_other_before_the_run_begins(project, scratch):
    experiment(project, "kms-disable")
    folder = os.open(project.path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        waiting = start(project, "--chaos-target=aws", "--durations", "0", "-vv")
        until(lambda: "::kms-disable" in said(project))
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(2)
        assert not list(scratch.iterdir())
    finally:
        os.close(folder)
    assert waiting.wait(120) == pytest.ExitCode.TESTS_FAILED
    assert "refused: CHAOS_TARGET is aws" in said(project)
    (line,) = [line for line in said(project).splitlines() if "s setup " in line]
    assert float(line.split("s")[0]) > 1


def start(project, *arguments):
    """`pytest experiments`, in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "--chaos-lab-speed", str(FAST), *arguments, "experiments"],
        stdout=(project.path / "said").open("wb"),
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )


def said(project):
    return (project.path / "said").read_text()


@pytest.fixture
def lab_as_aws(tmp_path):
    """A lab that plays AWS."""
    playing = LabAsAws.start(tmp_path)
    yield playing
    playing.lab.stop()


@pytest.fixture
def outage(lab_as_aws, project, monkeypatch):
    """A pytest whose experiment has taken the key away from that cluster."""
    for name, value in lab_as_aws.chaos.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CHAOS_HOLD", "60")
    experiment(project, "kms-disable")
    # The time-out would be over before the key is away, if there were one on AWS.
    pytest_itself = start(project, "--chaos-target=aws", "--timeout", "3")
    until(lambda: lab_as_aws.key_state() == "Disabled", timeout=60)
    return pytest_itself


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)]
)
@pytest.mark.soak
def test_what_stops_pytest_puts_the_key_back_and_waits_for_the_cluster(
    lab_as_aws, project, outage, number
):
    until(lambda: lab_as_aws.cluster_status().startswith("inaccessible"))
    outage.send_signal(number)
    until(lambda: lab_as_aws.key_state() == "Enabled")
    assert outage.wait(60) == pytest.ExitCode.INTERRUPTED
    assert not left(os.environ[MARK])
    assert lab_as_aws.cluster_status() == "available"
    assert "kms-disable was stopped\naborted: the run was interrupted: SIGINT" in said(project)
    assert "\nlog: reports/kms-disable/" in said(project)
    assert "Traceback" not in said(project)


@pytest.mark.thorough
def test_ctrl_c_twice_puts_the_key_back_and_waits_for_nothing(lab_as_aws, project, outage):
    never_back = Misbehaviours.of(lab_as_aws.lab)
    never_back.order(kind="no-recovery", cluster="orders")
    until(lambda: lab_as_aws.cluster_status().startswith("inaccessible"))
    outage.send_signal(signal.SIGINT)
    until(lambda: lab_as_aws.key_state() == "Enabled")
    outage.send_signal(signal.SIGINT)
    assert outage.wait(60) == pytest.ExitCode.INTERRUPTED
    assert lab_as_aws.cluster_status() != "available"
    never_back.clear()  # for the watchdog, which does wait
    assert "kms-disable was stopped\naborted: the run was interrupted: SIGINT" in said(project)


@pytest.mark.thorough
@pytest.mark.usefixtures("scratch")
def test_a_timeout_stops_a_run_on_the_lab_and_is_no_traceback(project):
    experiment(project, "kms-disable")
    result = run(project, "--timeout", "2", "experiments")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*: stopped: Timeout (>2.0s) from pytest-timeout.", "log: *"])
    result.stdout.no_fnmatch_line("*suite.py*")


def test_it_can_be_switched_off(project):
    experiment(project, "kms-disable")
    result = project.runpytest_subprocess("-p", "no:chaosaws_kms", "experiments")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
