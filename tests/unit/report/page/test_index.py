"""index.html: every kept run with the figures of its summary, and that it needs nothing else."""

from __future__ import annotations

import html
import json
import os
import re
from html.parser import HTMLParser

import pytest

from chaosaws_kms_ext.report.figures import FIGURES
from chaosaws_kms_ext.report.kept import kept_runs
from chaosaws_kms_ext.report.page.index import index_of
from tests.support.kept import EVIL, a_summary, keep


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    return a_summary(tmp_path_factory.mktemp("reports"))


def time(number):
    return f"2026-01-{number:02}T000000Z"


@pytest.fixture
def reports(tmp_path, summary):
    for number, seconds in enumerate((38.073, 39.5, None), 1):
        keep(tmp_path, summary, time(number), time_to_recovery_seconds=seconds, verdict="passed")
    (tmp_path / "kms-disable" / time(2) / "report.html").write_text("the page")
    keep(tmp_path, summary, time(4), lab__speed=300.0)
    keep(tmp_path, summary, time(5), target="aws", lab=None, cluster="orders")
    keep(tmp_path, summary, time(6), "policy-deny")
    return tmp_path


def page_of(reports):
    return index_of(kept_runs(reports), reports)


class Tables(HTMLParser):
    """The rows of every table, each as the texts of its cells; the addresses of all links."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.links, self.scripts, self._cell = [], [], 0, None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self._cell = ""
        elif tag == "a":
            self.links.append(dict(attributes)["href"])
        elif tag == "script":
            self.scripts += 1

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.rows[-1].append(self._cell)
            self._cell = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data


def trends(page):
    found = re.findall(r'id="setup-[\d-]+-trend-data">(.*?)</script>', page, re.DOTALL)
    return [json.loads(each) for each in found]


def test_every_run_has_a_row_with_the_figures_of_its_summary(reports):
    rows = {row[0].split()[0]: row for row in Tables(page_of(reports)).rows if row[0][:2] == "20"}
    runs = kept_runs(reports)
    assert len(rows) == len(runs) == 6
    for run in runs:
        row = rows[run.time]
        assert row[1] == run.summary["verdict"]
        for cell, figure in zip(row[2:], FIGURES, strict=False):
            value = figure.read(run.summary)
            assert cell == "-" if value is None else float(cell) == value, figure.name


def test_the_pictures_have_the_same_figures_in_order_and_the_limits(reports, summary):
    (data,) = trends(page_of(reports))  # the others are alone in their setups
    columns = data["columns"]
    assert columns["time_to_recovery_seconds"] == [38.073, 39.5, None]
    assert columns["outage_seconds"] == [summary["outage_seconds"]] * 3
    assert columns["time"] == [time(1), time(2), time(3)]
    limits = {each["name"]: each["limit_seconds"] for each in summary["objectives"][:1]}
    assert columns["time_to_recovery_seconds: limit"] == [limits["rto"]] * 3
    assert "line time_to_know.alarm" in data["hide"]
    assert "line outage_seconds" not in data["hide"]


def test_places_speeds_and_experiments_share_no_line(reports, summary):
    for number, lab in enumerate([300.0, 60.0], 7):
        keep(reports, summary, time(number), "policy-deny", lab__speed=lab)
    page = page_of(reports)
    heads = re.findall(r"<h[23][^>]*>(.*?)</h[23]>", page)
    assert [html.unescape(each) for each in heads] == [
        "kms-disable", "on AWS, orders in eu-west-1",
        "on the lab (observed, speed 300): its times are the lab's, not AWS'",
        "on the lab (observed, speed 60): its times are the lab's, not AWS'",
        "policy-deny",
        "on the lab (observed, speed 60): its times are the lab's, not AWS'",
        "on the lab (observed, speed 300): its times are the lab's, not AWS'",
    ]  # fmt: skip
    assert sorted(len(each["columns"]["x"]) for each in trends(page)) == [2, 3]


def test_names_that_differ_in_their_case_are_two_experiments(tmp_path, summary):
    for number, name in enumerate(("a", "A", "a"), 1):
        keep(tmp_path, summary, time(number), name)
    assert re.findall(r"<h2>(.*?)</h2>", page_of(tmp_path)) == ["A", "a"]


def test_a_run_leads_to_its_page_or_else_to_its_folder(reports):
    its = Tables(page_of(reports))
    assert f"./kms-disable/{time(2)}/report.html" in its.links
    assert f"./kms-disable/{time(1)}/" in its.links
    assert (
        f"./kms-disable/{time(2)}/report.html" in trends(page_of(reports))[0]["columns"]["address"]
    )


def test_runs_without_a_summary_are_listed_with_the_reason(reports):
    (reports / "kms-disable" / time(1) / "summary.json").write_text("{")
    page = page_of(reports)
    assert "1 without a readable summary" in page
    (row,) = [row for row in Tables(page).rows if row[0] == f"kms-disable/{time(1)}"]
    assert "summary.json is damaged" in row[1]


def test_it_asks_nobody_for_anything(reports):
    page = page_of(reports)
    text = re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:|\./)""", text)
    assert 'src="' not in re.sub(r"<script\b[^>]*>.*?</script>", "", page, flags=re.DOTALL)
    assert len(page.encode()) < 2_000_000


def test_text_of_others_stays_text(reports, summary):
    before = Tables(page_of(reports)).scripts
    its = json.loads(json.dumps(summary))
    its |= {"verdict": EVIL * 50_000, "cluster": EVIL, "objectives": [{"name": EVIL, "met": False}]}
    its["lab"] |= {"profile": EVIL, "faults": [{"kind": EVIL}]}
    for number in (1, 2):
        folder = keep(reports, its, time(number), "evil")
        said = {**its, "experiment": EVIL * 50_000}
        (folder / "summary.json").write_text(json.dumps(said))
    keep(reports, its, time(3), "worse", schema=EVIL)
    page = page_of(reports)
    assert "<script>alert" not in page
    assert "\x1b[31m" not in re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL)
    assert html.escape("<script>alert(1)</script>") in page
    assert len(page.encode()) < 2_000_000
    assert Tables(page).scripts == before + 1  # the data of one more picture


@pytest.mark.parametrize("name", ["javascript:alert(1)", "a b&c\"'<i>", os.fsdecode(b"\xff\xfe")])
def test_a_folder_of_any_name_is_linked_and_nothing_more(tmp_path, summary, name):
    folder = keep(tmp_path, summary, name)
    (folder / "report.html").write_text("")
    (link,) = Tables(page_of(tmp_path)).links
    assert link.startswith("./kms-disable/")
    assert re.fullmatch(r"[\w./%-]+", link)
    page_of(tmp_path).encode()


def test_however_many_setups_there_are_the_charts_are_made_once(tmp_path, summary):
    for number in range(1, 25):
        keep(tmp_path, summary, time(number), lab__speed=float(number // 2 + 1))
    page = page_of(tmp_path)
    assert len(trends(page)) == 11  # of 13: the first and the last have one run
    assert page.count('"doc":') == 1


def test_without_two_runs_of_a_setup_there_is_no_picture_and_no_library(tmp_path, summary):
    keep(tmp_path, summary, time(1))
    assert "Bokeh" not in page_of(tmp_path)
    assert "Kept runs: 0" in index_of([], tmp_path)
