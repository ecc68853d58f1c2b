"""What a browser makes of the live page: Debian's chromium, driven by playwright."""

from __future__ import annotations

import json
import signal

import pytest

from chaosaws_kms_ext.history import EventName
from tests.support.chaos import Chaos
from tests.support.found import EVIL
from tests.support.labs import until
from tests.support.live_page import served_folder
from tests.support.live_runs import LiveRun

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = pytest.mark.browser

RANGE = (
    "(() => {const r = Bokeh.documents[0].get_model_by_name('time'); return [r.start, r.end]})()"
)
DRAWN = "window.Bokeh && Bokeh.documents.length && document.querySelectorAll('#steps li').length"


def wait(page, condition, timeout=30):
    """The page's own policy forbids playwright's way of waiting."""
    until(lambda: page.evaluate(condition), timeout)


@pytest.fixture
def open_page(watched):
    """Opens a page; what the console said of it, and what it asked for."""

    def open_it(address, scheme="light", width=1400):
        page, wrong, asked = watched(color_scheme=scheme, viewport={"width": width, "height": 1000})
        page.goto(address)
        wait(page, DRAWN)
        return page, wrong, asked

    return open_it


def outage(tmp_path):
    run = LiveRun(tmp_path, ago=30)
    run.load(0, 8)
    run.load(8, 27, "timeout")
    run.inject(2)
    return run


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_drawn_and_accessible_and_asks_nobody_else(open_page, tmp_path, scheme):
    with served_folder(outage(tmp_path).folder) as served:
        page, wrong, asked = open_page(served.address, scheme)
        page.wait_for_selector(".bk-Figure >> nth=2")
        assert page.inner_text("#label") == "Outage so far"
        height = page.evaluate("document.getElementById('value').getBoundingClientRect().height")
        assert height > 120  # to be read from across a room
        found = axe.Axe().run(page).response["violations"]
        assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
        assert wrong == []
        assert asked == [served.address, f"{served.address}static/js/bokeh.min.js"]


def test_the_figure_goes_on_and_is_read_out_seldom(open_page, tmp_path):
    run = outage(tmp_path)
    with served_folder(run.folder) as served:
        page, *_ = open_page(served.address)
        page.evaluate(
            "window.spoken = 0; new MutationObserver(() => window.spoken++).observe("
            "document.getElementById('said'), {childList: true, subtree: true})"
        )
        seen = set()
        for _ in range(40):
            seen.add(page.inner_text("#value"))
            page.wait_for_timeout(100)
        assert len(seen) >= 3
        assert page.evaluate("window.spoken") <= 1
        assert page.get_attribute("#said", "role") == "status"
        run.put_back(29)
        wait(page, "document.getElementById('label').innerText.includes('put back')")
        assert page.inner_text("#said").startswith("Since the key was put back")


def test_text_of_others_stays_text(open_page, tmp_path):
    run = outage(tmp_path)
    run.event(3, EventName.STATUS, key=EVIL, cluster=EVIL)
    run.event(3, EventName.RDS_EVENT, event=EVIL, message=EVIL)
    history = run.folder / "history"
    said = json.loads((history / "run.json").read_text())
    (history / "run.json").write_text(json.dumps({**said, "experiment": EVIL}))
    lines = (history / "events.jsonl").read_text()
    (history / "events.jsonl").write_text(lines.replace("disable-the-key", json.dumps(EVIL)[1:-1]))
    with served_folder(run.folder) as served:
        page, wrong, _ = open_page(served.address)
        shown = EVIL.replace("\x1b", "\\x1b")
        wait(page, "document.getElementById('facts').innerText.includes('alert')")
        assert page.inner_text("#title") == shown
        assert shown in page.inner_text("#steps")
        assert page.locator("main script").count() == 0
        assert wrong == []


def test_buttons_work_by_the_keyboard_and_the_picture_goes_on_when_asked(open_page, tmp_path):
    with served_folder(outage(tmp_path).folder) as served:
        page, *_ = open_page(served.address)
        page.wait_for_selector(".bk-Figure >> nth=2")
        begin, end = page.evaluate(RANGE)
        wait(page, f"{RANGE}[1] > {end} + 1.5")
        page.evaluate("Bokeh.documents[0].get_model_by_name('time').setv({start: 5, end: 9})")
        page.wait_for_timeout(2500)
        assert page.evaluate(RANGE) == [5, 9]
        page.get_by_role("button", name="whole run").focus()
        page.keyboard.press("Enter")
        wait(page, f"{RANGE}[1] > {end} + 3")
        assert page.evaluate(RANGE)[0] == pytest.approx(begin)


def test_a_page_that_hears_nothing_says_so(open_page, tmp_path):
    with served_folder(outage(tmp_path).folder) as served:
        page, *_ = open_page(served.address)
    wait(page, "document.getElementById('warnings').innerText.includes('has heard nothing')")


def test_it_fits_on_a_phone(open_page, tmp_path):
    with served_folder(outage(tmp_path).folder) as served:
        page, *_ = open_page(served.address, width=360)
        page.wait_for_selector(".bk-Figure >> nth=2")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.timeout(240)
def test_it_follows_a_run_on_the_lab_to_its_report(open_page, tmp_path, request):
    running = Chaos(tmp_path).start_run(CHAOS_WATCH="yes", CHAOS_REPORT_FILES="html")
    request.addfinalizer(lambda: running.signal(signal.SIGKILL))  # if this fails
    running.until_said("The run is shown at ")
    address = running.output.split("The run is shown at ")[1].split()[0]
    page, wrong, asked = open_page(address)
    wait(page, "document.getElementById('label').innerText === 'Outage so far'", 60)
    page.wait_for_url("**/report.html", timeout=120_000)
    assert page.inner_text("h1").startswith("passed")
    assert wrong == []
    assert {url.rsplit("/", 1)[0] for url in asked} <= {
        address.rstrip("/"), f"{address}static/js",
    }  # fmt: skip
    assert running.wait().status == 0
