"""What a page shows beside the timeline: words of others stay words, and are not long."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.report.live import fate as fates
from chaosaws_kms_ext.report.live.moment import moment_of
from chaosaws_kms_ext.report.live.view import view_of, waiting_view
from tests.support.found import EVIL
from tests.support.live_runs import LiveRun, read
from tests.support.synthetic_run import GONE


def view(folder, behind=False):
    tail = read(folder)
    return view_of(tail, moment_of(tail), behind)


def test_it_says_what_runs_where_and_how_it_is(tmp_path):
    run = LiveRun(tmp_path, ago=10)
    run.load(0, 40)
    its = view(run.folder)
    assert its["title"] == "kms-disable"
    assert its["where"] == "on the lab (speed 60): its times are the lab's, not AWS'"
    assert its["facts"] == ["100 answered/s", "key Enabled", "cluster available"]
    assert [step["name"] for step in its["steps"]][2] == "disable-the-key"
    assert (its["state"], its["report"], its["warnings"]) == ("going-on", False, [])
    assert json.loads(json.dumps(its)) == its


def test_words_of_others_are_short_and_have_nothing_that_a_terminal_obeys(tmp_path):
    run = LiveRun(tmp_path, ago=10)
    long = EVIL + "x" * 1_000_000
    run.event(1, EventName.STATUS, key=long, cluster=EVIL)
    path = run.folder / "history" / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "experiment": long}))
    lines = (run.folder / "history" / "events.jsonl").read_text()
    lines = lines.replace("disable-the-key", json.dumps(long)[1:-1])
    (run.folder / "history" / "events.jsonl").write_text(lines)
    its = view(run.folder)
    assert "\x1b" not in str(its)
    assert its["title"].startswith("</script><script>alert(1)</script>")
    assert len(json.dumps(its)) < 10_000


def test_no_more_steps_than_a_page_has_room_for(tmp_path):
    run = LiveRun(tmp_path, ago=1)
    steps = [{"part": "method", "place": n, "name": "s"} for n in range(10_000)]
    path = run.folder / "history" / "events.jsonl"
    head, first, *rest = path.read_text().splitlines(keepends=True)
    event = {**json.loads(first), "details": {"steps": steps}}
    path.write_text("".join([head, json.dumps(event) + "\n", *rest]))
    assert len(view(run.folder)["steps"]) == 200


@pytest.mark.parametrize("seconds", [2, 60])
def test_a_load_that_records_nothing_is_told(tmp_path, seconds):
    run = LiveRun(tmp_path, ago=seconds)
    run.load(0, 1)
    said = view(run.folder)["warnings"]
    pattern = r"the load main has recorded nothing for \d+ s"
    assert [bool(re.fullmatch(pattern, each)) for each in said] == [True] * (seconds == 60)


def test_who_is_behind_says_so(tmp_path):
    run = LiveRun(tmp_path, ago=1)
    (warning,) = view(run.folder, behind=True)["warnings"]
    assert "still being read" in warning


def test_what_was_killed_has_the_time_of_its_last_record(tmp_path, monkeypatch):
    run = LiveRun(tmp_path, ago=50, process=GONE)
    run.load(0, 8)
    assert "process of the run is not on this machine" in view(run.folder)["warnings"][0]
    monkeypatch.setattr(fates, "QUIET", -1.0)
    its = view(run.folder)
    assert its["facts"][-1].startswith("last record 20")
    assert its["warnings"] == []
    assert [step["state"] for step in its["steps"]][1:] == ["not done"] * 4


def test_a_run_that_left_nothing(tmp_path):
    run = LiveRun(tmp_path, ago=5)
    tail = read(run.folder)
    shutil.rmtree(run.folder)
    its = view_of(tail, moment_of(tail), False)
    assert (its["state"], its["figure"]["value"]) == ("gone", "refused")


def test_while_there_is_no_run_it_says_where_one_is_waited_for():
    its = waiting_view("reports")
    assert its["figure"]["note"] == "The next one in reports shows here."
    assert its.keys() == view_keys()


def view_keys():
    return {"title", "where", "figure", "facts", "steps", "warnings", "state", "report"}
