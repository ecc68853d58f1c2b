"""docs/tutorial.sh: the article's three scenarios, with the AWS CLI, psql and nothing of ours."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from chaosaws_kms_ext.cli.lab import UNSET
from tests.support.labs import program

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.sh"


@pytest.fixture
def pasted():
    """What `chaos kms lab` tells a person to paste into another shell."""
    lab = subprocess.Popen(
        [program("chaos"), "--no-version-check", "kms", "lab", "--speed", "300"],
        stdout=subprocess.PIPE,
        text=True,
    )
    said = []
    while not said or "Ctrl-C" not in said[-1]:
        said.append(lab.stdout.readline())
        assert said[-1]
    yield "".join(line for line in said if line.startswith(("unset ", "export ")))
    lab.send_signal(signal.SIGINT)
    assert lab.wait(10) == 0


@pytest.fixture
def path():
    """A PATH on which the AWS CLI is, and psql if it is not one's own."""
    tools = {str(Path(program(name)).parent) for name in ("aws", "psql")}
    return os.pathsep.join([*sorted(tools), os.environ["PATH"]])


@pytest.mark.soak
def test_the_scenarios_go_as_the_article_tells(pasted, path):
    stray = {"AWS_PROFILE": "production", "PGHOSTADDR": "192.0.2.1", "PATH": path}
    done = subprocess.run(
        ["sh", "-c", f"{pasted}\nexec sh {TUTORIAL}"],
        env={**os.environ, **stray}, capture_output=True, text=True, timeout=170,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Alice\nBob\nCharlie\nDavid\n") == 3
    assert done.stdout.count("KMSKeyNotAccessibleFault") == 2
    assert "timeout expired" in done.stdout


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_what_could_lead_elsewhere_is_unset_however_it_is_called(shell):
    stray = {
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": "https://example.org",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_CA_BUNDLE": "a=b\nPGNOT=c",
        "PGHOSTADDR": "192.0.2.1",
    }
    left = subprocess.run(
        [shell, "-c", f"{UNSET} && env"], env={"PATH": os.defpath, **stray},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert left.stderr == ""
    assert not [line for line in left.stdout.splitlines() if line.startswith(("AWS_", "PG"))]
    subprocess.run([shell, "-c", UNSET], env={"PATH": os.defpath}, check=True)


def test_it_touches_nothing_but_the_lab():
    elsewhere = {**os.environ, "AWS_ENDPOINT_URL": "https://rds.eu-west-1.amazonaws.com"}
    done = subprocess.run(["sh", str(TUTORIAL)], env=elsewhere, capture_output=True, text=True)
    assert done.returncode == 2
    assert "chaos kms lab" in done.stderr
