"""docs/tutorial.sh: the article's three scenarios, with the AWS CLI, psql and nothing of ours."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import program

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.sh"


@pytest.fixture
def environment(start_lab):
    """A shell in which what `chaos kms lab` printed was pasted."""
    lab = start_lab(speed=300)
    tools = {str(Path(program(name)).parent) for name in ("aws", "psql")}
    return {
        **os.environ,
        **lab.environment,
        "PATH": os.pathsep.join([*sorted(tools), os.environ["PATH"]]),
    }


def test_the_three_scenarios_go_as_the_article_tells(environment):
    done = subprocess.run(
        ["sh", str(TUTORIAL)], env=environment, capture_output=True, text=True, timeout=170
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Alice\nBob\nCharlie\nDavid\n") == 3
    assert "KMSKeyNotAccessibleFault" in done.stdout


def test_it_touches_nothing_but_the_lab():
    elsewhere = {**os.environ, "AWS_ENDPOINT_URL": "https://rds.eu-west-1.amazonaws.com"}
    done = subprocess.run(["sh", str(TUTORIAL)], env=elsewhere, capture_output=True, text=True)
    assert done.returncode == 2
    assert "chaos kms lab" in done.stderr
