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
from chaosaws_kms_ext.history.aws_calls import AwsCall
from chaosaws_kms_ext.history.records import Event
from chaosaws_kms_ext.report.drawing import RECOVERED, drawing_of
from chaosaws_kms_ext.report.files.html import html as html_of
from chaosaws_kms_ext.report.slices import drawn
from chaosaws_kms_ext.report.summary import judge
from tests.support.found import EVIL
from tests.support.synthetic_run import stored


@pytest.fixture(scope="module")
def page(found):
    return html_of(found)


def without_scripts(page):
    return re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL)


def text_of(page):
    return html.unescape(re.sub(r"<[^>]+>", " ", without_scripts(page)))


def test_the_verdict_and_where_it_ran_come_first(page, found):
    judgement = found.judgement
    said = " ".join(text_of(page.partition("<main>")[0]).split())
    assert f"{judgement.verdict.word} : kms-disable" in said
    assert judgement.verdict.reasons[0] in said
    assert "on the lab (observed, speed 60): its times are the lab's, not AWS'" in said


def test_every_figure_is_that_of_the_summary(page, found):
    said = text_of(page)
    judgement, summary = found.judgement, found.summary
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


def test_the_steps_of_the_recovery_are_marks_at_their_instants(found):
    drawing = drawing_of(found.history, found.conditions, drawn, found.summary)
    back = found.history.first(EventName.PUT_BACK).at
    for name, said in RECOVERED.items():
        seconds = found.summary["recovery_curve"][name]
        marks = [mark.at for mark in drawing.marks if mark.name == f"main: {said}"]
        expected = [] if seconds is None else [back + round(seconds * 1e9)]
        assert marks == expected
    assert found.summary["recovery_curve"]["all"] is not None


def test_it_asks_nobody_for_anything(page):
    assert len(page.encode()) < 2_000_000
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?!data:)[a-z]+:""", without_scripts(page))
    assert 'src="' not in re.sub(r"<script\b[^>]*>.*?</script>", "", page, flags=re.DOTALL)


def test_text_of_others_stays_text(page, evil):
    last = evil.history.events[-1].at
    finding = {"about": EVIL, "state": "ok", "why": EVIL}
    told = [
        Event(last, EventName.RDS_EVENT, {"event": "E", "message": EVIL}),
        Event(last, EventName.GUARD, {"findings": [finding]}),
        Event(last, EventName.SAFEGUARDS, {"key": EVIL, "armed": {"lock": EVIL}}),
        Event(last, EventName.READY, {"caller": EVIL}),
    ]
    calls = [AwsCall(last, 0.1, "rds", "DescribeDBClusters", EVIL, EVIL, 0, EVIL)]
    history = replace(evil.history, events=[*evil.history.events, *told], calls=calls)
    other = html_of(replace(evil, history=history))
    assert "<script>alert" not in other
    assert "\x1b[31m" not in without_scripts(other)
    assert html.escape("<script>alert(1)</script>") in other
    # The page's own scripts, and no other.
    assert len(re.findall(r"<script[ >]", other)) == len(re.findall(r"<script[ >]", page))


def test_a_run_without_any_load_has_a_page_without_a_picture(found):
    history = replace(found.history, recorded={})
    judgement = judge(history, found.conditions)
    page = html_of(replace(found, history=history, judgement=judgement))
    assert "There is no timeline: nothing was recorded of a load" in page
    assert "Bokeh" not in page


def test_report_writes_every_file_for_its_owner_only_and_says_when_it_cannot(tmp_path, monkeypatch):
    folder = stored(tmp_path, 400, 200.0, 40)
    CliRunner().invoke(kms, ["report", str(folder)])
    for name in ("report.html", "summary.md", "junit.xml", "metrics.prom"):
        assert (folder / name).stat().st_mode & 0o077 == 0
    monkeypatch.setattr("chaosaws_kms_ext.report.page.page.timeline", lambda *_: 1 / 0)
    done = CliRunner().invoke(kms, ["report", str(folder)])
    assert "report.html could not be written: ZeroDivisionError" in done.output
    assert json.loads((folder / "summary.json").read_text())["verdict"]


def test_who_draws_nothing_imports_no_plotting_library():
    lines = "import sys, chaosaws_kms_ext.controls.run; print('bokeh' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
