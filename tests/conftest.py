"""What every test may use: labs, and AWS clients that can reach nothing but them."""

from __future__ import annotations

import contextlib
import gc
import os
import shlex
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from chaosaws_kms_lab.data_plane.binaries import Binaries, LabCannotStart
from chaosaws_kms_lab.data_plane.postgres import CONF, Postgres
from tests.support.examples import examples
from tests.support.forked_experiments import fork_experiments
from tests.support.forked_labs import new_lab
from tests.support.forked_workers import fork_workers
from tests.support.forks import share
from tests.support.labs import (
    FAST,
    client,
    scratch,
    scratch_reaper,
    watchdogs,
)
from tests.support.replaced import before_the_imports
from tests.support.rewritten import rewrite_once

SHARED_MEMORY = Path("/dev/shm")
ENOUGH = 4 * 2**30
"""Bytes."""


def pytest_configure(config: pytest.Config) -> None:
    """What would take most of the tests' time is done in memory, seldom, and once."""
    _files_in_memory()
    # A shell that starts it in the background has it ignore Ctrl-C, as would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    share(worker=hasattr(config, "workerinput"))
    fork_experiments()
    before_the_imports()
    gc.set_threshold(100_000, 50, 50)
    if not hasattr(config, "workerinput"):  # who starts the workers; they inherit it
        _initdb_once(config)
        rewrite_once(config, Path(__file__).parent)
        fork_workers(config)


def pytest_collection_finish() -> None:
    """What the imports made is no garbage: nobody has to look at it again."""
    gc.freeze()


def pytest_unconfigure() -> None:
    """At its end pytest looks for garbage several times, which goes with the process anyway."""
    gc.freeze()


def _files_in_memory() -> None:
    """Labs make and remove thousands of files: in memory where there is enough of it."""
    with contextlib.suppress(OSError):
        there = os.statvfs(SHARED_MEMORY)
        usable = not there.f_flag & os.ST_NOEXEC and os.access(SHARED_MEMORY, os.W_OK | os.X_OK)
        if usable and there.f_bavail * there.f_frsize > ENOUGH:
            os.environ["TMPDIR"] = str(SHARED_MEMORY)
            tempfile.tempdir = None


# The machine may be busy with other tests: how long an example takes says nothing.
settings.register_profile("busy", deadline=None, max_examples=examples(50))
settings.load_profile("busy")


INITDB_ONCE = """\
#!/bin/sh
case "$1" in --pgdata) exec cp -R {template} "$2" ;; esac
exec {initdb} "$@"
"""


def _initdb_once(config: pytest.Config) -> None:
    """Each lab begins with initdb, which makes the same each time: the others get a copy."""
    directory = scratch()
    config.add_cleanup(scratch_reaper().reap)
    try:
        binaries = Binaries.find(directory)
    except LabCannotStart:  # each test that needs a lab says so
        return
    template = Postgres(binaries, directory / "template", 0)
    template.initialise()
    conf = template.data / "postgresql.conf"
    conf.write_text(conf.read_text().removesuffix(CONF))  # which each copy gets again
    programs = directory / "bin"
    programs.mkdir()
    programs.chmod(0o755)
    for program in binaries.directory.iterdir():
        (programs / program.name).symlink_to(program)
    initdb = programs / "initdb"
    initdb.unlink()
    initdb.write_text(
        INITDB_ONCE.format(
            template=shlex.quote(f"{template.data}/."),
            initdb=shlex.quote(str(binaries.directory / "initdb")),
        )
    )
    initdb.chmod(0o755)
    os.environ["LAB_PG_BINDIR"] = str(programs)


LONG = (
    "e2e/test_kms_disable", "e2e/test_safeguards", "e2e/test_interrupts", "e2e/test_activities",
    "e2e/test_faults_of_the_data", "e2e/test_stop_conditions", "e2e/test_secrets", "test_tutorial",
    "test_pytest_plugin", "e2e/test_experiments", "experiments/", "e2e/test_stalls",
    "e2e/test_unaffected_load",
)  # fmt: skip
"""Files of tests that take tens of seconds and mostly wait."""


THOROUGH = frozenset((
    "kms-failover", "kms-proxy", "kms-maintenance", "kms-flap", "kms-longest-blink",
    "kms-dependents", "kms-material-deleted", "kms-material-expired", "kms-keystore-disconnected",
    "watch-only", "kms-secondary-keys", "kms-terminal", "kms-point-in-time", "kms-late-recovery",
    "kms-shared-key", "backup-under-same-key", "policy-deny", "kms-pending-deletion",
))  # fmt: skip
"""Experiments that `make thorough` runs: compositions, and rarer ways to lose a key."""


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Iterator[None]:
    """Long tests come first, and as many to each worker: each begins with an equal share."""
    for item in items:
        if item.path.suffix == ".json" and item.name in THOROUGH:
            item.add_marker("thorough")
    yield  # what is not asked for goes
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    long = _together([item for item in items if any(name in item.nodeid for name in LONG)])
    taken = {item for group in long for item in group}
    short = [item for item in items if item not in taken]
    size = -(-len(items) // workers)
    mixed: list[pytest.Item] = []
    for worker in range(workers):
        mine = [item for group in long[worker::workers] for item in group]
        mixed += mine
        rest = max(size - len(mine), 0)
        mixed += short[:rest]
        del short[:rest]
    items[:] = [*mixed, *short]


def _together(items: Sequence[pytest.Item]) -> list[list[pytest.Item]]:
    """The tests in groups: those of a module that share its lab are one, any other is its own."""
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        shares = "lab" in getattr(item, "fixturenames", ())
        groups.setdefault(str(item.path) if shares else item.nodeid, []).append(item)
    return list(groups.values())


@pytest.fixture(autouse=True)
def _no_real_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "PG", "CHAOS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    # A look at ten services is a second of time; tests of the dependents ask for it.
    monkeypatch.setenv("CHAOS_DEPENDENTS", "skip")


@pytest.fixture(scope="session")
def _common_lab() -> Iterator[LocalLab]:
    running = new_lab(FAST, "observed")
    yield running
    stop_after_the_watchdogs(running)


@pytest.fixture(scope="session")
def _common_lab_without_servers() -> Iterator[LocalLab]:
    running = new_lab(FAST, "observed", servers=False)
    yield running
    stop_after_the_watchdogs(running)


def stop_after_the_watchdogs(lab: LocalLab) -> None:
    """On a lab that is gone, a watchdog that waits for its cluster would try for hours."""
    end = time.monotonic() + 30
    while stay := watchdogs(lab):
        if time.monotonic() > end:
            for each in stay:
                each.kill()
            lab.stop()
            raise AssertionError(f"watchdogs that stayed: {stay}")
        time.sleep(0.1)
    lab.stop()


@pytest.fixture
def kms(lab: LocalLab) -> Any:
    """The KMS of the lab that the tests of one module share."""
    return client(lab, "kms")


@pytest.fixture
def rds(lab: LocalLab) -> Any:
    """Its RDS."""
    return client(lab, "rds")


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest) -> Iterator[LocalLab]:
    """A lab that the tests of one module share; with others that are marked `common_lab` too."""
    servers = not request.node.get_closest_marker("no_servers")
    if request.node.get_closest_marker("common_lab"):
        name = "_common_lab" if servers else "_common_lab_without_servers"
        yield request.getfixturevalue(name)
        return
    running = new_lab(FAST, "observed", servers)
    yield running
    stop_after_the_watchdogs(running)


@pytest.fixture(autouse=True)
def _passwords(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """libpq finds the passwords of the lab of the module, if the test has one."""
    if "lab" in request.fixturenames:
        lab = request.getfixturevalue("lab")
        if isinstance(lab, LocalLab):  # some have no servers
            monkeypatch.setenv("PGPASSFILE", str(lab.passfile))


@pytest.fixture
def misbehaviours(lab: LocalLab) -> Iterator[Misbehaviours]:
    """What goes wrong by order on the lab of the module; nothing any more after the test."""
    ordering = Misbehaviours.of(lab)
    yield ordering
    ordering.clear()


@pytest.fixture
def on_aws(lab: LocalLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is on a lab that plays AWS, without any control; a run of its own a test."""
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CHAOS_TARGET", "aws")
    monkeypatch.setenv("CHAOS_CLUSTER_ID", "orders")
    runs.end()
    yield
    runs.end()


@pytest.fixture
def start_lab() -> Iterator[Callable[..., LocalLab]]:
    """Starts labs of a test's own."""
    labs: list[LocalLab] = []

    def start(speed: float = FAST, profile: str = "observed") -> LocalLab:
        labs.append(new_lab(speed, profile))
        return labs[-1]

    yield start
    for running in labs:
        running.stop()
