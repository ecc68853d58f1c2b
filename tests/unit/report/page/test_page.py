"""report.html: what stands in it, and that it needs nothing else."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from chaosaws_kms_ext.cli import kms
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.history.records import Event
from chaosaws_kms_ext.report.page.page import page_of
from chaosaws_kms_ext.report.page.sections import sections
from chaosaws_kms_ext.report.summary import judge, read_run
from tests.support.synthetic_run import stored

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m&lt;"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("reports"), 4000, 200.0, 40)


@pytest.fixture(scope="module")
def run(folder):
    return read_run(folder)


@pytest.fixture(scope="module")
def judgement(folder, run):
    return run.judge(folder)


@pytest.fixture(scope="module")
def page(run, judgement):
    return page_of(judgement, run.history, run.conditions, {})


def without_scripts(page):
    return re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL)


def text_of(page):
    return html.unescape(re.sub(r"<[^>]+>", " ", without_scripts(page)))


def test_the_verdict_and_where_it_ran_come_first(page, judgement):
    said = " ".join(text_of(page.partition("<main>")[0]).split())
    assert f"{judgement.verdict.word} : kms-disable" in said
    assert judgement.verdict.reasons[0] in said
    assert "on the lab (observed, speed 60): its times are the lab's, not AWS'" in said


def test_every_figure_is_that_of_the_summary(page, judgement):
    said = text_of(page)
    summary = judgement.summary
    for name, bound in summary["bounds"].items():
        value = {**summary, **summary["recovery"]}[name]
        if value is not None:
            label = name.removesuffix("_seconds").replace("_", " ")
            assert re.search(rf"{label}\s+{value:g}\s+{bound:g}\s", said), name
    for each in summary["windows"]:
        assert f"{each['seconds']:g}" in said
        assert each["begin"] in said
    for name, found in judgement.rows:
        assert name in said
        assert found in said


def test_it_asks_nobody_for_anything(page):
    assert len(page.encode()) < 2_000_000
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?!data:)[a-z]+:""", without_scripts(page))
    assert 'src="' not in re.sub(r"<script\b[^>]*>.*?</script>", "", page, flags=re.DOTALL)


def test_text_of_others_stays_text(run, judgement):
    evil = Event(run.history.events[-1].at, EventName.RDS_EVENT, {"event": "E", "message": EVIL})
    history = replace(run.history, events=[*run.history.events, evil])
    conditions = replace(run.conditions, experiment=EVIL)
    found = judge(history, conditions, [EVIL])
    journal = {"run": [{"activity": {"name": EVIL}, "status": EVIL, "duration": 1.5}]}
    page = page_of(found, history, conditions, journal)
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert html.escape("<script>alert(1)</script>") in page
    # The page's own scripts, and no other.
    plain = page_of(judgement, run.history, run.conditions, {})
    assert len(re.findall(r"<script[ >]", page)) == len(re.findall(r"<script[ >]", plain))


def test_a_run_without_any_load_has_a_page_without_a_picture(run):
    history = replace(run.history, recorded={})
    page = page_of(judge(history, run.conditions), history, run.conditions, {})
    assert "There is no timeline: nothing was recorded of a load" in page
    assert "Bokeh" not in page


def test_sections_that_have_nothing_to_say_are_left_out(judgement):
    conditions = {"run": "r", "versions": {}, "settings": {"rto": 5.0, "key_id": ""}}
    found = {each.title: each for each in sections(judgement.summary, [], {}, conditions)}
    assert "Steps" not in found
    assert "Figures" not in found
    assert list(found["Conditions"].rows) == [("run", "r"), ("CHAOS_RTO", "5.0")]


def test_report_writes_it_for_its_owner_only_and_says_when_it_cannot(folder, monkeypatch):
    CliRunner().invoke(kms, ["report", str(folder)])
    assert (folder / "report.html").stat().st_mode & 0o077 == 0
    monkeypatch.setattr("chaosaws_kms_ext.report.page.page.timeline", lambda *_: 1 / 0)
    done = CliRunner().invoke(kms, ["report", str(folder)])
    assert "report.html could not be written: ZeroDivisionError" in done.output
    assert json.loads((folder / "summary.json").read_text())["verdict"]


def test_who_draws_nothing_imports_no_plotting_library():
    lines = "import sys, chaosaws_kms_ext.controls.run; print('bokeh' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
