"""A run on the lab that is watched: the page follows it to its end, and the run does not notice."""

from __future__ import annotations

import json
import re
import signal

import psutil
import pytest

from chaosaws_kms_ext.report.live.process import AFTER
from tests.support.chaos_runs import MOMENTS
from tests.support.labs import until
from tests.support.live_page import Viewer, ask

pytestmark = pytest.mark.thorough

SHOWN = "The run is shown at "


def address_of(running):
    running.until_said(SHOWN)
    return re.search(rf"{SHOWN}(\S+)", running.output)[1]


def page_of(running):
    """The process that shows it."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        if "report.live.process" in command and str(running.folder) in command:
            found.append(process)
    return found


def test_a_run_is_followed_to_its_end_and_the_page_leads_to_the_report(chaos):
    running = chaos.start_run(CHAOS_WATCH="yes", CHAOS_REPORT_FILES="html", CHAOS_HOLD="1800")
    seen, labels = [], []
    with Viewer(address_of(running)) as viewer:
        address = address_of(running)

        def ended():
            view = viewer.view
            for known, new in ((labels, view["figure"]["label"]), (seen, _now(view))):
                if new and new not in known:
                    known.append(new)
            return view["state"] == "ended"

        viewer.until(ended, 120)
        assert viewer.view["warnings"] == []
        assert {step["state"] for step in viewer.view["steps"]} == {"done"}
        assert sum(viewer.columns("main ok")["number"]) > 0
        assert len(viewer.columns("main outages")["left"]) == 3
        path = "/" + address.split("/", 3)[3] + "report.html"
        status, text, _ = ask(address, path)
        assert (status, text) == (200, (running.folder / "reports/latest/report.html").read_text())
        shown = viewer.view["figure"]["value"]
    ran = running.wait()
    assert ran.status == 0, ran.output
    assert shown == ran.summary["verdict"] == "passed"
    wanted = ["Outage so far", "Since the key was put back", "Recovered after about"]
    assert [label for label in labels if label in wanted] == wanted
    assert {"hold-the-outage", "wait-for-recovery"} <= set(seen)
    (page,) = page_of(running)
    page.terminate()
    page.wait(10)
    assert running.left() == []


def _now(view):
    return next((step["name"] for step in view["steps"] if step["state"] == "now"), "")


@pytest.mark.soak
def test_a_run_goes_on_where_its_page_is_killed_and_one_that_is_killed_is_called_so(chaos):
    # It is killed long before the hold is over.
    running = chaos.start_run(CHAOS_WATCH="yes", CHAOS_REPORT_FILES="html", CHAOS_HOLD="60000")
    address_of(running)
    running.until_said(MOMENTS["impact"])
    (page,) = page_of(running)
    page.send_signal(signal.SIGKILL)
    running.until_said(MOMENTS["hold"])
    (folder,) = (running.folder / "reports" / "kms-disable").iterdir()
    watching = chaos.start("kms", "watch", CHAOS_REPORTS_DIR=str(running.folder / "reports"))
    until(lambda: "(Ctrl-C ends it)" in watching.output, 30)
    with Viewer(watching.output.split(" ")[0]) as viewer:
        viewer.until_state("going-on")
        assert viewer.view["title"] == "kms-disable"
        running.signal(signal.SIGKILL)
        viewer.until_state("killed")
        figure = viewer.view["figure"]
        assert figure["label"] == "The run was killed"
        assert "chaos kms restore" in figure["note"]
        viewer.hear(1.5)
        assert viewer.view["figure"] == figure
    watching.signal(signal.SIGINT)
    assert watching.process.wait(20) == 0
    assert json.loads((folder / "history" / "run.json").read_text())["settings"]["watch"] == "yes"


@pytest.mark.soak
def test_a_page_goes_by_itself_a_minute_after_the_run(chaos):
    running = chaos.start_run(CHAOS_WATCH="yes", CHAOS_REPORT_FILES="none")
    assert running.wait().status == 0
    (page,) = page_of(running)
    page.wait(AFTER + 10)
