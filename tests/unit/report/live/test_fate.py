"""What has become of a run, by its folder."""

from __future__ import annotations

import json
import shutil

import pytest

from chaosaws_kms_ext.report.live import fate as fates
from chaosaws_kms_ext.report.live.fate import Fate, fate_of
from tests.support.live_runs import LiveRun, read
from tests.support.synthetic_run import GONE


def test_a_run_goes_on_as_long_as_its_process_does(tmp_path):
    assert fate_of(read(LiveRun(tmp_path, ago=500).folder)) == Fate("going-on")


def test_one_of_another_machine_goes_on_as_long_as_it_writes(tmp_path, monkeypatch):
    tail = read(LiveRun(tmp_path, ago=5, process=GONE).folder)
    assert fate_of(tail) == Fate("going-on", here=False)
    monkeypatch.setattr(fates, "QUIET", -1.0)
    assert fate_of(tail) == Fate("killed", here=False)


def test_the_report_comes_after_the_end(tmp_path):
    run = LiveRun(tmp_path, ago=5)
    run.end(4)
    assert fate_of(read(run.folder)) == Fate("concluding")
    summary = {"verdict": "passed", "reasons": []}
    (run.folder / "summary.json").write_text(json.dumps(summary))
    assert fate_of(read(run.folder)) == Fate("concluding", verdict="passed")
    (run.folder / "report.html").write_text("<!doctype html>")
    assert fate_of(read(run.folder)) == Fate("ended", verdict="passed", report=True)


def test_a_run_that_leaves_no_page_ends_with_its_process(tmp_path):
    run = LiveRun(tmp_path, ago=5, process=GONE)
    run.end(4)
    assert fate_of(read(run.folder)) == Fate("ended", here=False)


def test_a_run_that_was_refused_leaves_nothing(tmp_path):
    run = LiveRun(tmp_path, ago=5)
    tail = read(run.folder)
    shutil.rmtree(run.folder)
    assert fate_of(tail).kind == "gone"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"verdict": "x"}', "[" * 100_000])
def test_a_summary_that_is_none_is_as_good_as_none(tmp_path, text):
    run = LiveRun(tmp_path, ago=5, process=GONE)
    run.end(4)
    (run.folder / "summary.json").write_text(text)
    assert fate_of(read(run.folder)) == Fate("ended", here=False)
