"""Which run goes on in a folder of reports."""

from __future__ import annotations

import json
import time

from chaosaws_kms_ext.history import Process
from chaosaws_kms_ext.report.live.find import going_on
from tests.support.live_runs import LiveRun
from tests.support.synthetic_run import GONE, begun


def test_the_newest_that_goes_on_and_neither_one_that_ended_nor_one_that_was_killed(tmp_path):
    assert going_on(tmp_path / "nothing") is None
    assert going_on(tmp_path) is None
    killed = LiveRun(tmp_path, ago=1, process=GONE)
    assert going_on(tmp_path) is None
    run = LiveRun(tmp_path, ago=1)
    assert going_on(tmp_path) == run.folder
    (run.folder / "summary.json").write_text(json.dumps({"verdict": "passed"}))
    assert going_on(tmp_path) is None
    assert killed.folder.exists()


def test_what_is_no_run_is_passed_over(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "x" / "2026-11-29T000000Z" / "history").mkdir(parents=True)
    (tmp_path / "x" / "2026-11-29T000000Z" / "history" / "run.json").write_text("{")
    run = LiveRun(tmp_path, ago=1)
    (tmp_path / "latest").symlink_to(run.folder)
    assert going_on(tmp_path) == run.folder


def test_among_a_thousand_runs_only_the_newest_are_looked_at(tmp_path):
    run, folder = begun(tmp_path, 20.0, process=Process.this())
    run.close()
    newest = folder.rename(folder.with_name("2027-01-01T000000Z"))
    for number in range(1000):
        (folder.parent / f"2026-01-01T{number:06}Z").mkdir()
    began = time.process_time()
    assert going_on(tmp_path) == newest
    assert time.process_time() - began < 1.0
