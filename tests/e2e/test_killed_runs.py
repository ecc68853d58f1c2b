"""The folder of a real run that was killed: `chaos kms report` tells what is left of it, also where
files of it are damaged."""

from __future__ import annotations

import json
import shutil
import signal

import pytest

from tests.support.chaos import LabAsAws
from tests.support.damages import DAMAGES, NOT_SEEN, inputs_of
from tests.support.labs import until
from tests.support.told import ask_for, check, report


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run that was killed while the key was away; its watchdog has put the key back."""
    lab_as_aws = LabAsAws.start(tmp_path_factory.mktemp("killed"), CHAOS_HOLD="60")
    running = lab_as_aws.chaos.start_run(CHAOS_REPORT_FILES="all")
    running.until_said("Action: hold-the-outage")
    running.signal(signal.SIGKILL)
    running.wait(60)
    until(lambda: lab_as_aws.key_state() == "Enabled")
    until(lambda: not running.left(), every=0.2)
    (folder,) = (lab_as_aws.chaos.folder / "reports").glob("*/*/")
    yield folder
    lab_as_aws.lab.stop()


def test_what_is_left_is_told_and_all_files_of_the_report_are_made(killed):
    reasons = check(killed, report(killed))
    summary = json.loads((killed / "summary.json").read_text())
    assert summary["verdict"] == "aborted"
    assert summary["ended"] is None
    assert summary["time_to_impact_seconds"] is not None
    assert reasons[0].startswith("the run did not record its end")
    assert any("was put back: `chaos kms restore` does it" in each for each in reasons)
    assert any(each.startswith("journal.json is missing") for each in reasons)
    page = (killed / "report.html").read_text()
    assert "fault injected" in page
    assert "an end that was not recorded" in page


def test_whatever_happens_to_its_files_nothing_passes_and_there_is_no_traceback(killed, tmp_path):
    for path in inputs_of(killed):
        for name, damage in DAMAGES.items():
            folder = tmp_path / "run"
            shutil.copytree(killed, folder)
            ask_for(folder, "md", "junit", "metrics")
            damage(next(each for each in inputs_of(folder) if each.name == path.name))
            ran = report(folder)
            if path.name == "run.json" and (path.name, name) not in NOT_SEEN:
                assert ran.exit_code == 2
                assert len(ran.output.splitlines()) == 1
            else:
                check(folder, ran)
            shutil.rmtree(folder)
