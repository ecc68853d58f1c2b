"""What a browser makes of index.html."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.report.kept import kept_runs
from chaosaws_kms_ext.report.page.index import index_of
from tests.support.kept import EVIL, a_summary, keep

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = pytest.mark.browser

DRAWN = "document.querySelectorAll('.trend[data-drawn=done]').length"

PLACE = """(name) => {
  const its = Bokeh.documents[0].get_model_by_name(name);
  const seek = view => {
    if (view.model === its) return view;
    for (const child of [...(view.child_views ?? []), ...(view.renderer_views?.values() ?? [])]) {
      const found = seek(child);
      if (found) return found;
    }
  };
  const view = [...Bokeh.index].map(seek).find(found => found);
  const plot = view.plot_view, box = plot.el.getBoundingClientRect();
  const x = view.coordinates.x_scale.compute(6), data = its.data_source.data;
  const y = view.coordinates.y_scale.compute(data.outage_seconds[5]);
  return [box.left + x, box.top + y];
}"""
"""Where the point of the sixth run is on the page."""


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    summary = a_summary(tmp_path_factory.mktemp("reports"))
    for speed in (60.0, 300.0):
        for number in range(1, 13):
            time = f"2026-01-{number:02}T{int(speed):06}Z"
            run = keep(folder, summary, time, lab__speed=speed, outage_seconds=40.0 + number)
            (run / "report.html").write_text("<title>the run</title>")
    for day in (1, 3):
        time = f"2026-02-{day:02}T000000Z"
        keep(folder, summary, time, "policy-deny", verdict=EVIL, cluster=EVIL)
    keep(folder, summary, "2026-02-02T000000Z", "policy-deny", schema=EVIL)
    (folder / "index.html").write_text(index_of(kept_runs(folder), folder))
    return folder


@pytest.fixture(params=["light", "dark"])
def seen(request, watched, reports):
    page, wrong, asked = watched(
        color_scheme=request.param, viewport={"width": 1200, "height": 900}
    )
    page.goto((reports / "index.html").as_uri())
    page.wait_for_function(f"{DRAWN} >= 1")
    return page, wrong, asked


def test_it_is_drawn_as_it_comes_into_view_without_an_error_and_without_a_request(seen, reports):
    page, wrong, asked = seen
    page.locator(".trend").nth(1).scroll_into_view_if_needed()
    page.locator(".trend").nth(2).scroll_into_view_if_needed()
    page.wait_for_function(f"{DRAWN} == 3")
    page.wait_for_function("Bokeh.documents.every(each => each.is_idle)")
    shown = page.evaluate(
        "Bokeh.documents.map(each => each.get_model_by_name('runs').data.outage_seconds)"
    )
    assert sorted(map(len, shown)) == [2, 12, 12]
    assert shown.count([40.0 + number for number in range(1, 13)]) == 2
    assert wrong == []
    assert asked == [(reports / "index.html").as_uri()]


def test_it_is_accessible(seen):
    page, *_ = seen
    found = axe.Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []


def test_a_click_on_a_point_leads_to_its_run(watched, reports):
    page, *_ = watched(viewport={"width": 1200, "height": 900})
    page.goto((reports / "index.html").as_uri())
    page.wait_for_function(f"{DRAWN} >= 1 && Bokeh.documents[0].is_idle")
    place = page.evaluate(PLACE, "points outage_seconds")
    page.mouse.click(*place)
    page.wait_for_url("**/report.html")
    assert page.title() == "the run"
    assert page.url.endswith("2026-01-06T000300Z/report.html")


def test_a_link_of_the_table_does_too_by_the_keyboard(watched, reports):
    page, *_ = watched()
    page.goto((reports / "index.html").as_uri())
    page.get_by_role("link").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/report.html")


def test_before_a_print_all_are_drawn(seen):
    page, *_ = seen
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function(f"{DRAWN} == 3")


def test_it_fits_on_a_phone(watched, reports):
    page, *_ = watched(viewport={"width": 360, "height": 740})
    page.goto((reports / "index.html").as_uri())
    page.wait_for_function(f"{DRAWN} >= 1")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
