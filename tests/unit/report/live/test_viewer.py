"""Pages that are open: each sees the run as it is, whenever it came."""

from __future__ import annotations

import json

import pytest

from tests.support.live_page import Viewer, served_folder
from tests.support.live_runs import LiveRun

pytestmark = pytest.mark.thorough


def test_a_run_is_followed_to_its_end_by_several_and_who_comes_late_sees_all_of_it(tmp_path):
    run = LiveRun(tmp_path, ago=20)
    run.load(0, 8)
    with served_folder(run.folder) as page, Viewer(page.address) as first:
        first.until(lambda: first.view["figure"]["label"] == "Before the fault")
        first.until(lambda: first.axis is not None)
        before = first.columns("main ok")
        run.inject(4)
        run.load(8, 16, "timeout")
        first.until(lambda: first.view["figure"]["label"] == "Outage so far")
        first.until(lambda: sum(first.columns("main timeout")["number"]))
        assert first.columns("main ok")["number"][:50] == before["number"][:50]
        run.put_back(14)
        run.load(16, 60)
        first.until(lambda: first.view["figure"]["label"] == "Recovered after about")
        run.end(19)
        first.until(lambda: first.view["state"] == "concluding")
        summary = {"verdict": "passed", "reasons": []}
        (run.folder / "summary.json").write_text(json.dumps(summary))
        (run.folder / "report.html").write_text("<!doctype html>")
        first.until_state("ended")
        assert first.view["report"] is True
        first.hear(1.2)  # the last picture
        with Viewer(page.address) as late:
            for source in ("main ok", "main timeout", "main p50", "bands", "marks", "main outages"):
                assert str(late.columns(source)) == str(first.columns(source)), source
            assert late.view["figure"] == first.view["figure"]


def test_an_axis_grows_with_the_run_until_somebody_zooms_and_again_when_asked(tmp_path):
    run = LiveRun(tmp_path, ago=20)
    run.load(0, 8)
    with served_folder(run.folder) as page, Viewer(page.address) as viewer:
        viewer.until(lambda: viewer.axis is not None)
        ended = viewer.axis.end
        viewer.until(lambda: viewer.axis.end > ended + 1.5)
        viewer.zoom(2.0, 3.0)
        looks = viewer.view["look"]
        viewer.until(lambda: viewer.view["look"] > looks + 6)
        assert (viewer.axis.start, viewer.axis.end) == (2.0, 3.0)
        viewer.show_whole()
        viewer.until(lambda: viewer.axis.end > ended + 1.5)
        assert viewer.axis.start == pytest.approx(0, abs=0.01)


def test_a_page_that_is_open_before_the_run_has_written_anything(tmp_path):
    with served_folder(tmp_path / "run") as page, Viewer(page.address) as viewer:
        assert viewer.view["state"] in ("waiting", "gone")
