"""What a browser makes of report.html: Debian's chromium, driven by playwright."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.report.files import Found, write_files
from chaosaws_kms_ext.report.summary import read_run
from tests.support.synthetic_run import stored

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = pytest.mark.browser

RANGE = (
    "(() => {const r = Bokeh.documents[0].get_model_by_name('time'); return [r.start, r.end]})()"
)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = stored(tmp_path_factory.mktemp("reports"), 4000, 200.0, 40)
    run = read_run(folder)
    found = Found(run.judge(folder), run.history, run.conditions, {})
    assert write_files(folder, found) == []
    return (folder / "report.html").as_uri()


@pytest.fixture(params=["light", "dark"])
def seen(request, watched, address):
    """The page, what the console said of it, and what it asked for."""
    page, wrong, asked = watched(
        color_scheme=request.param, viewport={"width": 1200, "height": 900}
    )
    page.goto(address)
    page.wait_for_function("window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle")
    return page, wrong, asked


def test_it_is_drawn_without_an_error_and_without_a_request(seen, address):
    page, wrong, asked = seen
    assert page.locator(".bk-Figure").count() == 3
    assert wrong == []
    assert asked == [address]


def test_it_is_accessible(seen):
    page, *_ = seen
    found = axe.Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []


def test_buttons_zoom_by_the_keyboard_and_all_parts_follow(seen):
    page, *_ = seen
    whole = page.evaluate(RANGE)
    page.get_by_role("button", name="recovery", exact=True).focus()
    page.keyboard.press("Enter")
    begin, end = page.evaluate(RANGE)
    assert whole[0] < begin < end < whole[1]
    assert end - begin == pytest.approx(2.0)
    page.get_by_role("button", name="whole run").click()
    assert page.evaluate(RANGE) == pytest.approx(whole)


def test_it_fits_on_a_phone(browser, address):
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()
