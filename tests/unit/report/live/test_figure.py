"""The one figure that matters now, from the begin of a run to its end."""

from __future__ import annotations

import json
import re

import pytest

from chaosaws_kms_ext.report.live import fate as fates
from chaosaws_kms_ext.report.live.figure import figure_of
from chaosaws_kms_ext.report.live.moment import moment_of
from tests.support.live_runs import LiveRun, read
from tests.support.synthetic_run import GONE


def figure(run):
    tail = read(run.folder)
    return figure_of(moment_of(tail), tail.conditions, tail.anchor and tail.anchor.monotonic_ns)


def seconds(figure):
    return int(re.fullmatch(r"(\d+) s", figure.value)[1])


def test_before_the_fault_it_is_what_is_answered(tmp_path):
    run = LiveRun(tmp_path, ago=8)
    run.load(0, 40)
    its = figure(run)
    assert (its.label, its.value, its.note) == ("Before the fault", "100", "answers a second")
    assert its.said == "Before the fault"  # and not its value, which changes all the time


def test_then_the_time_since_the_key_was_taken_away(tmp_path):
    run = LiveRun(tmp_path, ago=10)
    run.inject(5)
    run.load(0, 40)
    its = figure(run)
    assert its.label == "Since the key was taken away"
    assert 5 <= seconds(its) <= 20
    assert its.note == "queries are still answered"


def test_then_the_outage_so_far(tmp_path):
    run = LiveRun(tmp_path, ago=20)
    run.inject(2)
    run.load(0, 8)
    run.load(8, 18, "timeout")
    its = figure(run)
    assert (its.label, its.tone) == ("Outage so far", "out")
    assert 12 <= seconds(its) <= 27


def test_of_an_outage_that_has_just_begun_nothing_is_recorded_yet(tmp_path):
    run = LiveRun(tmp_path, ago=10.5)
    run.inject(2)
    run.load(0, 8)
    assert figure(run).label == "Outage so far"


@pytest.mark.parametrize(("ago", "tone", "said"), [(30, "out", "limit 1:00"), (90, "over", "over")])
def test_then_the_time_since_the_key_was_put_back_beside_its_limit(tmp_path, ago, tone, said):
    run = LiveRun(tmp_path, ago=ago)
    run.inject(2)
    run.load(0, 8)
    run.load(8, ago - 2, "timeout")
    run.put_back(20)
    its = figure(run)
    assert (its.label, its.tone) == ("Since the key was put back", tone)
    assert said in its.note
    assert "outage so far" in its.note


@pytest.mark.parametrize(("back", "tone"), [(25, "well"), (90, "over")])
def test_then_how_long_the_recovery_took(tmp_path, back, tone):
    run = LiveRun(tmp_path, ago=back + 10)
    run.inject(2)
    run.load(0, 8)
    run.load(8, back, "timeout")
    run.put_back(20)
    run.load(back, back + 40)
    its = figure(run)
    assert (its.label, its.tone) == ("Recovered after about", tone)
    assert its.value == {25: "5 s", 90: "1:10"}[back]


def test_a_key_that_is_back_before_anybody_noticed(tmp_path):
    run = LiveRun(tmp_path, ago=10)
    run.inject(2)
    run.put_back(4)
    run.load(0, 40)
    its = figure(run)
    assert (its.label, its.note) == ("Since the key was put back", "no outage was seen")


def test_of_several_faults_it_is_about_the_last(tmp_path):
    run = LiveRun(tmp_path, ago=60)
    run.inject(2)
    run.load(0, 8)
    run.load(8, 20, "timeout")
    run.put_back(15)
    run.load(20, 90)
    assert figure(run).label == "Recovered after about"
    run.inject(40)
    assert figure(run).label == "Since the key was taken away"
    run.put_back(50)
    assert figure(run).note == "no outage was seen"


def test_where_there_is_no_load_nothing_is_said_of_answers(tmp_path):
    run = LiveRun(tmp_path, ago=10)
    run.inject(2)
    for path in (run.folder / "history").glob("*.arrows"):
        path.unlink()
    assert (figure(run).label, figure(run).note) == ("Since the key was taken away", "")


def test_it_is_read_out_every_half_a_minute(tmp_path):
    said = []
    for ago in (25, 35, 55, 65):
        run = LiveRun(tmp_path / str(ago), ago=ago + 2)
        run.inject(2)
        run.load(0, ago + 30)
        said.append(figure(run).said)
    since = "Since the key was taken away"
    assert said == [since, f"{since}: 30 s", f"{since}: 30 s", f"{since}: 1:00"]


def test_a_run_that_was_killed_does_not_count_on(tmp_path, monkeypatch):
    monkeypatch.setattr(fates, "QUIET", -1.0)
    run = LiveRun(tmp_path, ago=500, process=GONE)
    run.inject(2)
    run.load(0, 8)
    its = figure(run)
    assert (its.label, its.value) == ("The run was killed", "killed")
    assert "`chaos kms restore`" in its.note
    assert figure(run) == its


def test_a_run_that_has_ended_says_how(tmp_path):
    run = LiveRun(tmp_path, ago=10, process=GONE)
    run.load(0, 9)
    run.end(9)
    assert figure(run).note == "It left no summary."
    summary = {"verdict": "failed", "reasons": ["it was too slow"]}
    (run.folder / "summary.json").write_text(json.dumps(summary))
    its = figure(run)
    assert (its.value, its.note, its.tone) == ("failed", "it was too slow", "over")


def test_a_run_without_any_load_tells_how_long_it_takes(tmp_path):
    run = LiveRun(tmp_path, ago=0)
    for path in (run.folder / "history").glob("*.arrows"):
        path.unlink()
    assert figure(run).label == "Since the run began"
