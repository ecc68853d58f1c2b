"""Sixty times the program that started a lab is killed, whenever: nothing of the lab is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from tests.support.labs import until

pytestmark = pytest.mark.soak

KILLS = 60
LATEST = 5.0
"""Seconds after which it is killed at the latest: a lab is up after one or two."""
GONE_WITHIN = 10.0

BUSY = """
import random, sys, time
from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from tests.support.labs import client
draw = random.Random(int(sys.argv[1]))
lab = LocalLab.start(300, "observed")
kms, rds = client(lab, "kms"), client(lab, "rds")
orders = {"DBClusterIdentifier": "orders"}
for number in range(1000):
    calls = [
        lambda: kms.disable_key(KeyId=lab.clusters[0]["key"]),
        lambda: kms.enable_key(KeyId=lab.clusters[0]["key"]),
        lambda: rds.start_db_cluster(**orders),
        lambda: rds.stop_db_cluster(**orders),
        lambda: rds.failover_db_cluster(**orders),
        lambda: rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier=f"s{number}", **orders),
        lambda: rds.create_db_instance(
            DBInstanceIdentifier=f"i{number}", DBInstanceClass="db.r6g.large",
            Engine="aurora-postgresql", **orders),
    ]
    try:
        draw.choice(calls)()
    except Exception:
        pass
    time.sleep(draw.random() / 5)
"""


def of_it(folder):
    """Every process with this TMPDIR, which nothing but the killed program's has."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        try:
            if process.info["status"] != psutil.STATUS_ZOMBIE and (
                process.environ().get("TMPDIR") == folder
            ):
                found.append(" ".join(process.info["cmdline"] or []))
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("seed", range(KILLS))
def test_no_process_and_no_file_outlives_a_killed_parent(seed):
    draw = random.Random(f"kill {seed}")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        parent = subprocess.Popen(
            [sys.executable, "-c", BUSY, str(seed)],
            env={**os.environ, "TMPDIR": folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(draw.uniform(0.1, LATEST))
            assert parent.poll() is None
            assert of_it(folder)
        finally:
            parent.send_signal(signal.SIGKILL)
            parent.wait()
        until(lambda: not of_it(folder) and not os.listdir(folder), GONE_WITHIN, every=0.1)
