"""mypy, told that this is macOS: no call or constant that only Linux has is left unguarded."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.labs import program

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]


def on_macos(cache, *what):
    command = [program("mypy"), "--platform", "darwin", "--no-warn-unreachable"]
    return subprocess.run(
        [*command, "--cache-dir", str(cache), *what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=580,
    )


def test_nothing_is_called_that_macos_does_not_have(tmp_path):
    done = on_macos(tmp_path)
    assert done.returncode == 0, done.stdout


def test_a_call_that_macos_does_not_have_is_found(tmp_path):
    file = tmp_path / "linux.py"
    file.write_text("import os\n\nos.sched_setaffinity(0, {1})\nos.memfd_create('x')\n")
    done = on_macos(tmp_path / "cache", str(file))
    assert done.returncode == 1
    assert "sched_setaffinity" in done.stdout
    assert "memfd_create" in done.stdout
