"""Real `chaos run`s: on the lab, and on a lab of the test's own that plays AWS."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from tests.support import forked_chaos, forks
from tests.support.forked_labs import new_lab
from tests.support.judge_again import differs, runs
from tests.support.labs import FAST, client, program, until
from tests.support.schemas import wrong_with
from tests.support.usual_policies import calls

ROOT = Path(__file__).parents[2]


EXPERIMENT = ROOT / "experiments" / "kms-disable.json"


MARK = "KMS_TEST_MARK"


@dataclass
class Ran:
    """A `chaos` that has ended."""

    status: int
    output: str
    reports: Path
    mark: str

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads((self.reports / "latest" / "summary.json").read_text())

    @property
    def said(self) -> str:
        """The one sentence of a refusal."""
        (line,) = [line for line in self.output.splitlines() if "verdict: refused: " in line]
        return line.split("verdict: refused: ")[1]


@dataclass
class Chaos:
    """Runs `chaos` in the background, with a mark that all its processes carry."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    marks: list[str] = field(default_factory=list)
    forks: bool = True
    """Whether it is forked, where the environment does not tell Python how to start."""

    def start(self, *arguments: str, **env: str) -> Running:
        mark = uuid.uuid4().hex
        self.marks.append(mark)
        settings = {
            "CHAOS_LAB_SPEED": str(FAST),
            "CHAOS_LOAD_RATE": "100",
            "CHAOS_REPORT_FILES": "none",
            "CHAOS_STATUS_POLL_EVERY": "0.8",
            "CHAOS_REPORTS_DIR": str(self.folder / "reports"),
        }
        whole = {**os.environ, **settings, **self.env, **env, MARK: mark}
        command = [program("chaos"), "--no-version-check", *arguments]
        with (self.folder / f"{mark}.out").open("wb") as out:
            if self.forks and forks.POSSIBLE and _python(whole) == _python(os.environ):
                for needed in forked_chaos.STARTS.get(arguments[0], ()):
                    forks.ready(needed)
                process = forks.fork(
                    forked_chaos.__name__,
                    command,
                    out.fileno(),
                    out.fileno(),
                    environment=whole,
                    folder=str(ROOT),
                )
                return Running(process, self.folder, mark)
            started = subprocess.Popen(
                command,
                env=whole,
                cwd=ROOT,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        return Running(started, self.folder, mark)

    def run(self, experiment: Path | None = None, *options: str, **env: str) -> Ran:
        return self.start_run(experiment, *options, **env).wait()

    def start_run(self, experiment: Path | None = None, *options: str, **env: str) -> Running:
        journal = str(self.folder / "journal.json")
        path = str(experiment or EXPERIMENT)
        return self.start("run", "--journal-path", journal, *options, path, **env)

    def kms(self, *arguments: str, **env: str) -> Ran:
        return self.start("kms", *arguments, **env).wait()


@dataclass
class Running:
    """A `chaos` that has not ended."""

    process: subprocess.Popen[bytes] | forks.Process
    folder: Path
    mark: str

    @property
    def output(self) -> str:
        return (self.folder / f"{self.mark}.out").read_text(errors="replace")

    def until_said(self, text: str, timeout: float = 40) -> None:
        until(lambda: text in self.output or self.process.poll() is not None, timeout)
        assert text in self.output, self.output

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = 120) -> Ran:
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            raise AssertionError(f"still running after {timeout:g} s:\n{self.output}") from None
        _hold_what_it_left(self.folder / "reports")
        return Ran(status, self.output, self.folder / "reports", self.mark)

    def left(self) -> list[str]:
        """What of it still runs."""
        return left(self.mark)


def _hold_what_it_left(reports: Path) -> None:
    """Against a second judgement and the schemas: each summary once, as long as it is the same."""
    for folder in runs(reports):
        at = (folder, (folder / "summary.json").stat().st_mtime_ns)
        if at not in _HELD:
            assert not differs(folder), folder
            assert list(wrong_with(folder)) == []
            _HELD.add(at)


_HELD: set[tuple[Path, int]] = set()


def _python(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith("PYTHON")}


def left(*marks: str) -> list[str]:
    return [" ".join(process.info["cmdline"] or []) for process in marked(*marks)]


def marked(*marks: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():  # hundreds, of which the mark alone is read
        try:
            if process.environ().get(MARK) not in marks:
                continue
            process.info = process.as_dict(["cmdline", "status"])
            if process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def chaos(tmp_path: Path) -> Chaos:
    """`chaos` on the lab that it starts itself."""
    return Chaos(tmp_path)


@dataclass
class LabAsAws:
    """A lab that plays AWS for runs with CHAOS_TARGET=aws, and what a test sees of it."""

    lab: LocalLab
    chaos: Chaos

    @classmethod
    def start(
        cls,
        folder: Path,
        profile: str = "observed",
        speed: float = FAST,
        **more: Any,
    ) -> LabAsAws:
        """`more`: options of the lab, and variables of the runs, which are in capitals."""
        options = {name: value for name, value in more.items() if not name.isupper()}
        env = {name: value for name, value in more.items() if name.isupper()}
        lab = new_lab(speed, profile, **options)
        settings = {**AWS_SETTINGS, **lab.environment, "AWS_ACCESS_KEY_ID": OURS, **env}
        return cls(lab, Chaos(folder, settings))

    @property
    def key(self) -> str:
        return self.lab.clusters[0]["key"]

    @property
    def database(self) -> str:
        return self.lab.clusters[0]["database"]

    def client(self, service: str) -> Any:
        return client(self.lab, service)

    def key_state(self) -> str:
        return self.client("kms").describe_key(KeyId=self.key)["KeyMetadata"]["KeyState"]

    def cluster_status(self, cluster: str = "orders") -> str:
        said = self.client("rds").describe_db_clusters(DBClusterIdentifier=cluster)
        return said["DBClusters"][0]["Status"]

    def mutating_calls(self) -> list[str]:
        """Every call so far that was no look."""
        calls = [json.loads(line) for line in self.lab.requests.read_text().splitlines()]
        return [
            call["operation"]
            for call in calls
            if not call["operation"].startswith(("Describe", "List", "Get", "Simulate"))
        ]

    def called(self, *access_keys: str) -> set[tuple[str, str]]:
        """Service and operation of every call so far that was signed with one of these."""
        calls = [json.loads(line) for line in self.lab.requests.read_text().splitlines()]
        return {
            (CLIENTS.get(call["service"], call["service"]), call["operation"])
            for call in calls
            # A request that was cut off, as by a kill, has no operation.
            if call["caller"] in access_keys and not call["operation"].startswith("POST ")
        }

    def truth(self) -> list[dict[str, Any]]:
        """What really happened to the servers."""
        path = self.lab.requests.with_name("truth.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]


CLIENTS = {"monitoring": "cloudwatch", "tagging": "resourcegroupstaggingapi"}
"""What boto3 calls a service whose requests are signed for another name."""


OURS = "chaos"
"""The access key of every `chaos`, so that a test's own calls are told from ours."""


AWS_SETTINGS = {
    "CHAOS_TARGET": "aws",
    "CHAOS_CLUSTER_ID": "orders",
    "CHAOS_STATUS_POLL_EVERY": "2",
    "CHAOS_HOLD": "3",
    "CHAOS_IMPACT_TIMEOUT": "60",
    "CHAOS_SELF_RESTART_WITHIN": "60",
    "CHAOS_RECOVERY_TIMEOUT": "60",
    "CHAOS_RTO": "60",
    "CHAOS_NORMAL_LATENCY_WITHIN": "3",
}


GOES_WITHIN = 15.0
"""Seconds from a test's end until everything that it started is gone."""


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Callable[..., LabAsAws]]:
    lab_as_aws: list[LabAsAws] = []

    def play(profile: str = "observed", speed: float = FAST, **more: Any) -> LabAsAws:
        its = LabAsAws.start(tmp_path, profile, speed, **more)
        lab_as_aws.append(its)
        return lab_as_aws[-1]

    yield play
    called = {call for each in lab_as_aws for call in each.called(OURS)}
    # A watchdog that waits for its cluster would try for hours on a lab that is gone.
    marks = [mark for each in lab_as_aws for mark in each.chaos.marks]
    end = time.monotonic() + GOES_WITHIN
    while marked(*marks) and time.monotonic() < end:
        time.sleep(0.2)
    stayed = [(process.kill(), " ".join(process.info["cmdline"]))[1] for process in marked(*marks)]
    for each in lab_as_aws:
        each.lab.stop()
    assert not stayed
    assert called <= {(call.service, call.operation) for call in calls(FAULTS)}
