"""The suite: with this pytest plugin `pytest experiments/` runs each experiment as a test.

Every *.json that is an experiment with our control is one test, `experiments/x.json::x`; it passes
if the run's verdict is `passed`. A test is a real `chaos run`, on the lab unless `--chaos-target`,
CHAOS_TARGET or the ini option `chaos_target` (the first that is there) says `aws`. All other
settings are the product's (CHAOS_RTO=… pytest …).

* It runs in the folder above the nearest `experiments/`, where one would type it, since experiments
  name files from there (`probes/query_load.py`); an experiment elsewhere runs in pytest's rootdir.
* Every test has the marker `chaos`, and the experiment's tags as markers (`-m "chaos and kms"`).
* On the lab tests may run side by side (pytest-xdist), each on a lab of its own. On AWS they have
  one cluster, and wait for each other; no `--timeout` of pytest-timeout ends them, since a run
  takes an hour and has its own limits.
* Whatever stops pytest (Ctrl-C, a timeout, SIGTERM) stops the run as Ctrl-C does, and waits until
  the key is back and the cluster has recovered; Ctrl-C once more, and only the key is put back. A
  run whose pytest was killed goes on by itself to its end, its rollbacks included.
* What `chaos` printed and logged is beside the report. While it runs, and where there is no report,
  in a folder `chaos-<name>-…` of the system's temporary one.

It is loaded into every pytest beside which this package is installed, so it imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

__all__ = [
    "Experiment",
    "ExperimentFile",
    "pytest_addoption",
    "pytest_collect_file",
    "pytest_configure",
]

CONTROL = "chaosaws_kms_ext.controls.run"

LONGEST_FILE = 2**18
"""Bytes: what is longer is somebody's data. Other projects' JSON is looked at, too."""

HIDDEN = ("AWS_", "BOTO", "PG")
"""Environment variables that could lead to a real account or database."""

GRACE = {"lab": 60.0, "aws": 3 * 3600.0}
"""Seconds that a run has to end by itself once it was asked to; on AWS it waits for the cluster."""

ACTING = {"filterwarnings", "parametrize", "skip", "skipif", "timeout", "usefixtures", "xfail"}
"""Markers that do something; a tag of that name must not."""

LOG, OUTPUT, JOURNAL = "chaostoolkit.log", "output.txt", "journal.json"
"""What Chaos Toolkit logs, DEBUG included; what `chaos` prints; and its journal."""

SAID = re.compile(r"^\[[^]]* (?:ERROR|CRITICAL)\] (.*)")
"""An error in what Chaos Toolkit prints."""

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the suite."""
    group = parser.getgroup("chaosaws_kms", "experiments of chaosaws_kms_ext")
    group.addoption(
        "--chaos-target",
        choices=("lab", "aws"),
        help="where experiments run; else CHAOS_TARGET, else the ini option, else lab",
    )
    group.addoption(
        "--chaos-lab-speed",
        metavar="N",
        help="AWS seconds in one on the lab (CHAOS_LAB_SPEED)",
    )
    group.addoption(
        "--chaos-reports",
        metavar="FOLDER",
        help="where runs leave their reports (CHAOS_REPORTS_DIR)",
    )
    parser.addini("chaos_target", "where experiments run: lab or aws", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line("markers", "chaos: runs an experiment of Chaos Toolkit")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ExperimentFile | None:
    """Takes the JSON files that name our control."""
    if file_path.suffix != ".json":
        return None
    try:
        with file_path.open("rb") as file:
            text = file.read(LONGEST_FILE + 1)
    except OSError:
        return None
    if len(text) > LONGEST_FILE or CONTROL.encode() not in text:
        return None
    return ExperimentFile.from_parent(parent, path=file_path)


class ExperimentFile(pytest.File):
    """A JSON file that names our control: an experiment, a journal of one, or broken."""

    def collect(self) -> Iterable[Experiment]:
        """The experiment in it, if it is one."""
        try:
            content = json.loads(self.path.read_bytes())
        except (ValueError, RecursionError) as problem:
            raise self.CollectError(f"{self.nodeid} is no valid JSON: {problem}") from None
        control = _control(content)
        if control is None:
            return
        arguments, tags = control.get("arguments"), content.get("tags")
        named = arguments.get("experiment_name") if isinstance(arguments, dict) else None
        yield Experiment.from_parent(
            self,
            name=str(named or self.path.stem),
            tags=tags if isinstance(tags, list) else [],
        )


def _control(content: Any) -> dict[str, Any] | None:
    """The provider of our control, if this is an experiment that names it."""
    if not isinstance(content, dict) or "method" not in content:
        return None
    controls = content.get("controls")
    for control in controls if isinstance(controls, list) else []:
        provider = control.get("provider") if isinstance(control, dict) else None
        if isinstance(provider, dict) and provider.get("module") == CONTROL:
            return provider
    return None


class NotPassed(Exception):
    """The run's verdict is not `passed`; with all that is shown of it."""


class Experiment(pytest.Item):
    """One experiment: a `chaos run`."""

    def __init__(self, *, tags: list[Any], **rest: Any) -> None:
        super().__init__(**rest)
        self._lock = contextlib.ExitStack()
        self.add_marker("chaos")
        for tag in tags:
            self._mark(str(tag))
        if self.target == "aws" and self.config.pluginmanager.hasplugin("timeout"):
            self.add_marker(pytest.mark.timeout(0))

    def _mark(self, tag: str) -> None:
        name = re.sub(r"[^\w.-]+", "-", tag).strip("-_")
        if not name or name in ACTING:
            return
        line = f"{name}: a tag of experiments"
        if line not in self.config.getini("markers"):
            self.config.addinivalue_line("markers", line)
        self.add_marker(name)

    @property
    def target(self) -> str:
        """`lab` or `aws`; what is neither is refused by the run."""
        config = self.config
        given = config.getoption("chaos_target") or os.environ.get("CHAOS_TARGET", "").strip()
        return str(given or config.getini("chaos_target") or "lab")

    @property
    def folder(self) -> Path:
        """Where it runs: what the experiment names is relative to it."""
        above = [folder.parent for folder in self.path.parents if folder.name == "experiments"]
        return above[0] if above else self.config.rootpath

    @property
    def environment(self) -> dict[str, str]:
        """What it runs with: on the lab nothing that leads to a real account or database."""
        on_lab = self.target != "aws"
        env = {
            name: value
            for name, value in os.environ.items()
            if not (on_lab and name.startswith(HIDDEN))
        }
        env["CHAOS_TARGET"] = self.target
        if speed := self.config.getoption("chaos_lab_speed"):
            env["CHAOS_LAB_SPEED"] = speed
        if reports := self.config.getoption("chaos_reports"):
            env["CHAOS_REPORTS_DIR"] = str(self.config.invocation_params.dir / reports)
        return env

    def setup(self) -> None:
        """On AWS waits until no other test has the cluster, and not as a part of the run."""
        if self.target == "aws":
            folder = os.open(self.folder, os.O_RDONLY)
            self._lock.callback(os.close, folder)
            fcntl.flock(folder, fcntl.LOCK_EX)

    def teardown(self) -> None:
        """Lets the next one have it."""
        self._lock.close()

    def runtest(self) -> None:
        """Runs it to its end; raises NotPassed."""
        scratch = Path(tempfile.mkdtemp(prefix=f"chaos-{_plain(self.name)}-"))
        stopped = ""
        with (scratch / OUTPUT).open("wb") as output, _signals_as_ctrl_c():
            # A session of its own: a Ctrl-C in the terminal reaches it through us alone.
            process = subprocess.Popen(
                [
                    sys.executable, "-m", "chaostoolkit", "--no-version-check",
                    "--log-file", str(scratch / LOG),
                    "run", "--journal-path", str(scratch / JOURNAL), str(self.path),
                ],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
            try:
                process.wait()
            except (KeyboardInterrupt, pytest.exit.Exception):
                outcome = self._outcome(process, scratch, _stop(process, self.target))
                shown = outcome.shown(self.config.invocation_params.dir)
                code = pytest.ExitCode.INTERRUPTED
                pytest.exit(f"{self.nodeid} was stopped\n{shown}\n", returncode=code)
            except BaseException as problem:
                # Whatever it is (a timeout is no Exception), the key has to come back.
                stopped = f"stopped: {problem} {_stop(process, self.target)}".strip()
        outcome = self._outcome(process, scratch, stopped)
        self.user_properties += outcome.properties
        if not outcome.passed:
            raise NotPassed(outcome.shown(self.config.invocation_params.dir))

    def _outcome(self, process: subprocess.Popen[bytes], scratch: Path, stopped: str) -> Outcome:
        outcome = Outcome.read(process, scratch, self.folder)
        if stopped:
            outcome.reasons.insert(0, stopped)
            if outcome.verdict == "passed":
                outcome.verdict = "aborted"
        return outcome

    def repr_failure(self, excinfo: Any, *arguments: Any, **options: Any) -> Any:
        """The verdict, for a run that did not pass."""
        if isinstance(excinfo.value, NotPassed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *arguments, **options)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where it stands."""
        return self.path, None, self.name


@dataclass
class Outcome:
    """What a run that has ended left."""

    verdict: str
    reasons: list[str]
    run: str
    report: Path | None
    """Its folder; a run that was refused has none."""
    log: Path
    figures: dict[str, Any]

    @classmethod
    def read(cls, process: subprocess.Popen[bytes], scratch: Path, folder: Path) -> Outcome:
        """Reads it, and leaves the logs beside the report if there is one."""
        status = process.poll()
        said = _read(scratch / JOURNAL).get("kms")
        if not isinstance(said, dict):
            how = "still runs" if status is None else f"ended with {_in_words(status)}"
            reasons = [f"`chaos run` {how} and left no verdict", *_errors(scratch / OUTPUT)]
            said = {"verdict": "failed", "reasons": reasons, "run": ""}
        elif said["verdict"] == "passed" and status != 0:
            why = f"`chaos run` passed, and ended with {_in_words(status)} all the same"
            said = {**said, "verdict": "failed", "reasons": [why]}
        report = folder / said["folder"] if said.get("folder") else None
        log = scratch / (LOG if (scratch / LOG).exists() else OUTPUT)
        if report and report.is_dir() and status is not None:
            (scratch / JOURNAL).unlink()  # the report has one
            for each in scratch.iterdir():
                shutil.move(each, report / each.name)
            scratch.rmdir()
            log = report / log.name
        return cls(
            verdict=said["verdict"],
            reasons=list(said["reasons"]),
            run=said["run"],
            report=report,
            log=log,
            figures=_read(report / "summary.json") if report else {},
        )

    @property
    def passed(self) -> bool:
        """Whether the test passes."""
        return self.verdict == "passed" and not self.reasons

    @property
    def properties(self) -> list[tuple[str, object]]:
        """What --junitxml writes down: every duration that was measured, too."""
        lab = self.figures.get("lab") or {}
        found = {
            "verdict": self.verdict,
            "run": self.run,
            "report": str(self.report or ""),
            "target": self.figures.get("target"),
            "lab_speed": lab.get("speed"),
            **{name: each for name, each in self.figures.items() if name.endswith("_seconds")},
        }
        return [(name, each) for name, each in found.items() if isinstance(each, (str, int, float))]

    def shown(self, here: Path) -> str:
        """The verdict, its reasons one a line, and where to look, as one can type it in `here`."""
        word = f"{self.verdict}: "
        # The first line is the whole of pytest's short summary.
        lines = [word + f"\n{' ' * len(word)}".join(self.reasons)]
        if self.report:
            lines.append(f"report: {_from(here, self.report)}")
        return "\n".join([*lines, f"log: {_from(here, self.log)}"])


def _stop(process: subprocess.Popen[bytes], target: str) -> str:
    """Ends a run as a person would; says so if it could not.

    SIGINT: the key is put back and the recovery waited for. Once more: the key, and nothing is
    waited for. Only a run on the lab, which goes with it, is ever killed.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
        # Another Ctrl-C ends the wait, and no more: it is passed on.
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(GRACE[target if target in GRACE else "lab"])
            return ""
    if target == "aws":
        return f"it still runs, as process {process.pid}: it or its watchdog puts the key back"
    process.kill()
    process.wait()
    return "it had to be killed"


@contextlib.contextmanager
def _signals_as_ctrl_c() -> Iterator[None]:
    """Inside, what would end pytest at once and leave the run behind interrupts it."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _errors(output: Path) -> list[str]:
    """What it printed as errors, or its last line."""
    text = COLOUR.sub("", output.read_text(errors="replace"))
    lines = [line for line in text.splitlines() if line.strip()]
    return [found[1] for line in lines if (found := SAID.match(line))] or lines[-1:]


def _in_words(status: int | None) -> str:
    if status is not None and status < 0:
        return signal.Signals(-status).name
    return f"exit status {status}"


def _from(here: Path, path: Path) -> Path:
    return path.relative_to(here) if path.is_relative_to(here) else path


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name)
