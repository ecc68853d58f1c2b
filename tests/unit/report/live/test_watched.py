"""The run that is shown: waited for, followed, and then left alone."""

from __future__ import annotations

import json
import shutil

from chaosaws_kms_ext.report.live import fate as fates
from chaosaws_kms_ext.report.live import watched as watched_run
from chaosaws_kms_ext.report.live.watched import Watched
from tests.support.live_runs import LiveRun
from tests.support.synthetic_run import GONE


def watched(*found):
    """Waits for a run, which is there when it is asked for the last time."""
    answers = list(found)
    return Watched(None, lambda: answers.pop(0) if answers else None, "reports")


def test_a_run_that_is_not_there_yet_is_waited_for(tmp_path):
    run = LiveRun(tmp_path, ago=1)
    its = watched(None, run.folder)
    its.look()
    assert (its.view["state"], its.drawing, its.folder) == ("waiting", None, None)
    its.look()
    assert (its.view["state"], its.folder) == ("going-on", run.folder)
    assert its.drawing is not None
    assert {"bands", "marks"} <= set(its.columns)


def test_after_a_run_that_was_refused_the_next_is_waited_for(tmp_path):
    run = LiveRun(tmp_path, ago=1)
    its = watched(run.folder)
    its.look()
    shutil.rmtree(run.folder)
    its.look()
    assert (its.view["state"], its.drawing) == ("waiting", None)
    only = Watched(run.folder, lambda: None, "")
    only.look()
    assert only.view["state"] == "gone"


def test_it_is_drawn_anew_only_now_and_then_and_more_seldom_the_longer_it_is(tmp_path, monkeypatch):
    run = LiveRun(tmp_path, ago=5)
    its = Watched(run.folder, lambda: None, "")
    its.look()
    number, drawing = its.number, its.drawing
    its.look()
    assert (its.number, its.drawing) == (number, drawing)
    assert its.looks == 2
    assert its._draws_every() == 1.0
    run.load(0, 2)
    run.load(3000, 3001)
    its.look()
    assert its._draws_every() == 5.0
    monkeypatch.setattr(watched_run.time, "monotonic", lambda: 2.0**40)
    its.look()
    assert its.number == number + 1


def test_of_a_run_that_is_over_nothing_is_read_again(tmp_path):
    run = LiveRun(tmp_path, ago=5, process=GONE)
    run.load(0, 3)
    run.end(4)
    summary = {"verdict": "passed", "reasons": []}
    (run.folder / "summary.json").write_text(json.dumps(summary))
    its = Watched(run.folder, lambda: None, "")
    its.look()
    assert its.view["figure"]["value"] == "passed"
    assert its.drawing is not None
    shutil.rmtree(run.folder)
    its.look()
    assert its.view["figure"]["value"] == "passed"


def test_what_cannot_be_shown_is_said_and_not_raised(tmp_path, monkeypatch):
    monkeypatch.setattr(watched_run, "view_of", lambda *_: [][1])
    its = Watched(LiveRun(tmp_path, ago=5).folder, lambda: None, "")
    for _ in range(2):
        assert its.look() is False
    (warning,) = its.view["warnings"]
    assert warning.startswith("the page cannot be made any more: IndexError")


def test_damage_is_said_as_text(tmp_path):
    run = LiveRun(tmp_path, ago=5)
    path = run.folder / "history" / "events.jsonl"
    _, *lines = path.read_text().splitlines(keepends=True)
    odd = {"schema": 1, "anchor": {"monotonic_ns": "<b>\x1b[31m", "utc_ns": None}}
    path.write_text("".join([json.dumps(odd) + "\n", *lines]))
    its = Watched(run.folder, lambda: None, "")
    its.look()
    (warning,) = its.view["warnings"]
    assert warning.startswith("events.jsonl is damaged: not an instant on two clocks")
    assert "\x1b" not in warning


def test_a_run_that_was_killed_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr(fates, "QUIET", -1.0)
    its = Watched(LiveRun(tmp_path, ago=5, process=GONE).folder, lambda: None, "")
    its.look()
    assert its.over_since is not None
    assert its.view["state"] == "killed"
