"""The lab's own life: how it starts, and that nothing of it is left."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3
import psutil
import psycopg
import pytest

from chaosaws_kms_ext.lab_client.local_lab import LabDidNotStart, LocalLab, only_the_lab
from chaosaws_kms_lab.data_plane.binaries import Binaries
from tests.support.labs import FAST, client, mostly_soak, program, scratch, until

pytestmark = pytest.mark.common_lab

PARENT = """
import sys, time
from chaosaws_kms_ext.lab_client.local_lab import LocalLab
lab = LocalLab.start(300, "observed")
print(lab._child.process.pid, lab.requests.parent, flush=True)
time.sleep(60)
"""


def left_of(directory):
    """The processes that still work in a lab's folder or were started for it."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = " ".join(process.info["cmdline"] or [])
        if str(directory) in command and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(command)
    return found


@pytest.fixture
def start_lab():
    """Starts the program itself."""
    labs = []

    def start():
        labs.append(LocalLab.start(FAST, "observed"))
        return labs[-1]

    yield start
    for running in labs:
        running.stop()


@pytest.mark.parametrize(
    ("number", "frozen"),
    mostly_soak(
        list(itertools.product([signal.SIGKILL, signal.SIGTERM], [False, True])),
        lambda case: case == (signal.SIGKILL, True),
    ),
)
def test_a_lab_dies_with_its_parent(number, frozen):
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    pid, directory = parent.stdout.readline().split()
    assert left_of(directory)
    if frozen:
        for process in psutil.Process(int(pid)).children(recursive=True):
            if process.name() == "postgres":
                process.suspend()
    parent.send_signal(number)
    parent.wait()
    until(lambda: not left_of(directory) and not Path(directory).exists(), 5, every=0.2)


def test_nothing_is_left_of_a_lab_that_is_killed_itself(start_lab):
    lab = start_lab()
    directory = lab.requests.parent
    os.kill(lab._child.process.pid, signal.SIGKILL)
    until(lambda: not left_of(directory) and not directory.exists(), 5, every=0.2)


def test_the_next_lab_removes_what_was_left_when_even_the_reaper_was_killed(start_lab):
    lab = start_lab()
    directory = lab.requests.parent
    reaper = next(
        p
        for p in psutil.process_iter(["cmdline"])
        if "chaosaws_kms_lab.reaper" in (p.info["cmdline"] or [])
        and str(directory) in p.info["cmdline"]
    )
    reaper.kill()
    os.kill(lab._child.process.pid, signal.SIGKILL)
    lab._child.process.wait()
    # A lab of another test may be that next one already.
    until(lambda: left_of(directory) or not directory.exists())
    start_lab()
    until(lambda: not left_of(directory) and not directory.exists(), 5, every=0.2)


def test_the_next_lab_removes_a_folder_that_was_killed_before_it_had_its_name(
    start_lab, monkeypatch
):
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.chmod(0o711)
        monkeypatch.setenv("TMPDIR", temporary)
        for name, age in ((".chaosaws-kms-lab-old", 3600), (".chaosaws-kms-lab-new", 0)):
            (folder / name).mkdir()
            (folder / name / "lock").touch()
            then = time.time() - age
            os.utime(folder / name, (then, then))
        lab = start_lab()
        left = {path.name for path in folder.iterdir()}
        assert ".chaosaws-kms-lab-old" not in left
        assert ".chaosaws-kms-lab-new" in left
        lab.stop()


def test_a_taken_port_is_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LabDidNotStart, match="cannot listen on port"):
            LocalLab.start(60, "observed", port=taken.getsockname()[1])


def test_a_folder_that_is_too_long_for_a_socket_is_one_sentence(monkeypatch):
    with tempfile.TemporaryDirectory(prefix="long" * 20) as folder:
        Path(folder).chmod(0o711)
        monkeypatch.setenv("TMPDIR", folder)
        too_long = "too long for a socket: set TMPDIR to a short one"
        with pytest.raises(LabDidNotStart, match=too_long):
            LocalLab.start(60, "observed")


def test_no_postgresql_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_PG_BINDIR", str(tmp_path))
    with pytest.raises(LabDidNotStart, match="found no PostgreSQL: install the extra 'lab'"):
        LocalLab.start(60, "observed")


def test_a_lab_finds_its_postgresql_and_makes_its_data_itself(monkeypatch, start_lab):
    monkeypatch.delenv("LAB_PG_BINDIR", raising=False)
    (cluster,) = start_lab().clusters
    with psycopg.connect(cluster["database"], connect_timeout=5) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (4,)


@pytest.mark.parametrize(
    "nowhere", mostly_soak(["/nowhere", "nowhere", "/"], lambda where: where == "nowhere")
)
def test_a_folder_without_postgresql_is_one_sentence(monkeypatch, nowhere):
    monkeypatch.setenv("LAB_PG_BINDIR", nowhere)
    with pytest.raises(LabDidNotStart, match=r"^the lab found no PostgreSQL: "):
        LocalLab.start(60, "observed")


@pytest.mark.skipif(os.geteuid() != 0, reason="otherwise they run as whoever runs the lab")
@pytest.mark.parametrize("found", [shutil.which("setpriv"), None], ids=["setpriv", "without"])
def test_the_programs_of_a_lab_of_roots_run_as_another_account(monkeypatch, tmp_path, found):
    binaries = Binaries.find(scratch())
    monkeypatch.setattr(shutil, "which", lambda _: found)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with binaries.start("postgres", "-D", "/nowhere", cwd=scratch(), **pipes) as process:
        said = process.communicate(timeout=20)[0].decode()
    assert "/nowhere" in said  # it looks for its data: of root it wants nothing to do
    assert "root" not in said


def test_no_moto_is_one_sentence(monkeypatch, tmp_path):
    (tmp_path / "moto.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(LabDidNotStart, match="moto"):
        LocalLab.start(60, "observed")


def test_inside_the_lab_no_real_credential_can_be_used(lab, monkeypatch):
    poison = {
        "AWS_PROFILE": "production",
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_SESSION_TOKEN": "real",
        "AWS_ENDPOINT_URL_KMS": "https://kms.eu-west-1.amazonaws.com",
        "PGHOSTADDR": "192.0.2.1",
        "HTTP_PROXY": "http://192.0.2.1:3128",
        "http_proxy": "http://192.0.2.1:3128",
    }
    for name, value in poison.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with only_the_lab(lab):
        assert not set(poison.values()) & {
            v for k, v in os.environ.items() if "roxy" not in k.lower()
        }
        import boto3

        assert boto3.client("kms").describe_key(KeyId="alias/orders")
        assert boto3.client("kms").meta.endpoint_url == lab.endpoint
    assert dict(os.environ) == before


def test_chaos_kms_lab_says_in_one_line_of_json_what_there_is(monkeypatch):
    shown = subprocess.Popen(
        [program("chaos"), "--no-version-check", "kms", "lab", "--json", "--readers", "1"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said = json.loads(shown.stdout.readline())
        assert set(said) == {"endpoint", "region", "clusters", "environment"}
        (cluster,) = said["clusters"]
        assert set(cluster) == {"id", "key", "database", "password"}
        assert said["environment"]["AWS_ENDPOINT_URL"] == said["endpoint"]
        for name, value in said["environment"].items():
            monkeypatch.setenv(name, value)
        kms, rds = (boto3.Session().client(service) for service in ("kms", "rds"))
        assert kms.describe_key(KeyId=cluster["key"])["KeyMetadata"]["KeyState"] == "Enabled"
        (described,) = rds.describe_db_clusters()["DBClusters"]
        writers = [member["IsClusterWriter"] for member in described["DBClusterMembers"]]
        assert writers == [True, False]
        assert described["ReaderEndpoint"] != described["Endpoint"]
    finally:
        shown.send_signal(signal.SIGINT)
        assert shown.wait(10) == 0


def test_the_lab_is_reached_by_the_environment_that_it_prints(lab):
    assert client(lab, "rds").describe_db_clusters()["DBClusters"][0]["Status"] == "available"
    assert set(lab.environment) == {
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "PGPASSFILE",
    }
