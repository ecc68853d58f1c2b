"""The article's second scenario by hand: the AWS CLI and psql, and nothing of ours but the lab."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import time

import pytest

from tests.conftest import program, until

LOST = "inaccessible-encryption-credentials-recoverable"


@pytest.fixture
def shell():
    """A shell in which what `chaos kms lab` printed was pasted, and what else it printed."""
    lab = subprocess.Popen(
        [program("chaos"), "--no-version-check", "kms", "lab", "--speed", "300"],
        stdout=subprocess.PIPE,
        text=True,
    )
    said = []
    while not said or "Ctrl-C" not in said[-1]:
        said.append(lab.stdout.readline())
    exports = dict(re.findall(r"^export (\w+)=(\S+)$", "".join(said), re.MULTILINE))
    yield {**os.environ, **exports}, "".join(said)
    lab.send_signal(signal.SIGINT)
    assert lab.wait(10) == 0


def test_disable_the_key_wait_enable_it_and_the_four_rows_are_back(shell):
    env, said = shell
    key = re.search(r"arn:aws:kms:\S+", said).group()
    conninfo = re.search(r"^psql '(.*)'$", said, re.MULTILINE).group(1)
    query = "SELECT name FROM users ORDER BY id"

    def aws(*command):
        return subprocess.run(
            [program("aws"), *command], env=env, capture_output=True, text=True, timeout=60
        )

    def status():
        said = aws("rds", "describe-db-clusters", "--query", "DBClusters[0].Status")
        return json.loads(said.stdout)

    def psql(timeout):
        return subprocess.run(
            [program("psql"), "-XAt", conninfo, "-c", query],
            env=env, capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip

    assert psql(10).stdout.split() == ["Alice", "Bob", "Charlie", "David"]
    opened = subprocess.Popen(
        [program("psql"), "-XAt", conninfo],
        env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    opened.stdin.write("SELECT 'open';\n")
    opened.stdin.flush()
    assert opened.stdout.readline() == "open\n"

    assert aws("kms", "disable-key", "--key-id", key).returncode == 0
    until(lambda: status() == LOST)
    refused = aws("rds", "start-db-cluster", "--db-cluster-identifier", "orders")
    assert "KMSKeyNotAccessibleFault" in refused.stderr
    refused = aws("kms", "encrypt", "--key-id", key, "--plaintext", "cm93")
    assert "DisabledException" in refused.stderr

    opened.stdin.write(query + ";\n")
    opened.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        psql(2)
    assert opened.poll() is None
    assert select.select([opened.stdout], [], [], 0)[0] == []

    assert aws("kms", "enable-key", "--key-id", key).returncode == 0
    time.sleep(1)
    assert status() == LOST
    until(lambda: status() == "available", timeout=30, every=0.2)
    assert psql(10).stdout.split() == ["Alice", "Bob", "Charlie", "David"]
    assert "server closed the connection unexpectedly" in opened.communicate(timeout=10)[1]
