"""The timeline of a run so far, beside that of its report."""

from __future__ import annotations

import json

import numpy as np
import pytest

from chaosaws_kms_ext.history import SECOND, EventName
from chaosaws_kms_ext.report.drawing import drawing_of as drawing_of_report
from chaosaws_kms_ext.report.live.drawing import drawing_of
from chaosaws_kms_ext.report.live.moment import moment_of
from chaosaws_kms_ext.report.live.tail import Tail
from chaosaws_kms_ext.report.page.timeline import columns_of
from chaosaws_kms_ext.report.slices import drawn
from chaosaws_kms_ext.report.summary import read_run
from tests.support.found import EVIL
from tests.support.live_runs import LiveRun, read
from tests.support.synthetic import START
from tests.support.synthetic_run import stored


def drawing(folder):
    tail = read(folder)
    return drawing_of(tail, moment_of(tail))


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = stored(tmp_path_factory.mktemp("reports"), 8000, 200.0, 40)
    path = folder / "history" / "events.jsonl"
    head, *events, ended = map(json.loads, path.read_text().splitlines())
    head["anchor"]["monotonic_ns"] = START - SECOND
    ended["at"] = events[-1]["at"]
    path.write_text("".join(json.dumps(each) + "\n" for each in (head, *events, ended)))
    run = read_run(folder)
    return drawing(folder), drawing_of_report(run.history, run.conditions, drawn)


def test_its_axis_and_its_outage_are_those_of_the_report_but_for_a_tick(both):
    ours, theirs = both
    assert (ours.begin, ours.zero, ours.zero_is) == (theirs.begin, theirs.zero, theirs.zero_is)
    (lane,), (other,) = ours.lanes, theirs.lanes
    (outage,), (same,) = lane.outages, other.outages
    assert outage.impact == pytest.approx(same.impact, abs=0.1 * SECOND)
    assert outage.recovery == pytest.approx(same.recovery, abs=0.1 * SECOND)
    names = {mark.name for mark in ours.marks}
    assert names == {mark.name for mark in theirs.marks}
    assert len(ours.bands) == len(theirs.bands)


def test_it_counts_as_many_arrivals(both):
    totals = []
    for each in both:
        (lane,) = each.lanes
        width = (lane.slices["right"] - lane.slices["left"]) / SECOND
        totals.append([float(np.sum(lane.slices[name] * width)) for name in ("ok", "timeout")])
    assert totals[0] == pytest.approx(totals[1], abs=2)


def test_what_is_not_recorded_yet_is_not_drawn_as_if_nothing_were_answered(tmp_path):
    run = LiveRun(tmp_path, ago=10)
    run.load(0, 9.6)
    (lane,) = drawing(run.folder).lanes
    assert len(lane.slices["ok"]) > 80
    assert lane.slices["ok"].tolist()[1:] == [pytest.approx(100)] * (len(lane.slices["ok"]) - 1)


def test_words_of_others_are_cut_and_have_nothing_that_a_terminal_obeys(tmp_path):
    run = LiveRun(tmp_path, ago=10)
    run.load(0, 8)
    run.event(1, EventName.STATUS, key=EVIL + "x" * 1_000_000, cluster="available")
    run.event(2, EventName.RDS_EVENT, event=EVIL, message="y" * 1_000_000)
    its = columns_of(drawing(run.folder))
    assert "\x1b" not in str(its)
    assert len(str(its["bands"])) + len(str(its["marks"])) < 5000


def test_no_more_bands_and_marks_than_can_be_seen(tmp_path):
    run = LiveRun(tmp_path, ago=3000)
    run.load(0, 1)
    for second in range(1200):
        run.event(second, EventName.STATUS, key=f"k{second}", cluster="c")
        run.event(second, EventName.ALARM, alarm="a", state=str(second))
    its = drawing(run.folder)
    assert len(its.bands) == len(its.marks) == 500
    assert its.bands[-1].state == "k1199"
    assert its.marks[-1].what == "a, 1199"


def test_before_anything_was_recorded_there_is_none(tmp_path):
    tail = Tail(tmp_path)
    assert drawing_of(tail, moment_of(tail)) is None
