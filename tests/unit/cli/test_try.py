"""`chaos kms try` from an empty folder: `chaos run` on a lab, whatever AWS_PROFILE says."""

from __future__ import annotations

import os
import subprocess

import pytest
from click.testing import CliRunner

from chaosaws_kms_ext.cli import kms
from tests.support.labs import program


def attempt(folder, *arguments, **environment):
    return subprocess.run(
        [program("chaos"), "--no-version-check", "kms", "try", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_it_is_a_run_of_chaos_toolkit_on_the_lab_and_exits_as_that_does(tmp_path):
    done = attempt(tmp_path, CHAOS_LOAD_RATE="none", CHAOS_TARGET="aws", AWS_PROFILE="production")
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "Running experiment: What happens to our service" in said
    assert "CHAOS_LOAD_RATE must be a number" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert {path.name for path in tmp_path.iterdir()} >= {"reports"}


@pytest.mark.soak
def test_a_run_from_an_empty_folder_passes_and_leaves_its_report_there(tmp_path):
    done = attempt(tmp_path, CHAOS_LAB_SPEED="300", AWS_PROFILE="production")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "reports" / "latest" / "report.html").is_file()


def test_an_experiment_that_there_is_not_and_a_folder_that_cannot_be_made_are_told(tmp_path):
    assert "is not one of" in CliRunner().invoke(kms, ["try", "none"]).output
    (tmp_path / "reports").write_text("")
    environment = {"CHAOS_REPORTS_DIR": str(tmp_path / "reports")}
    done = CliRunner().invoke(kms, ["try"], env=environment)
    assert done.exit_code == 2
    assert "cannot be made" in done.output
