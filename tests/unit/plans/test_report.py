"""The report of a plan."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from chaosaws_kms_ext.plans.report import write_report
from chaosaws_kms_ext.report.summary import judge_again
from tests.support.schemas import problems
from tests.support.small_run import stored

EVIL = "<script>alert(1)</script>](http://x) @all \x1b[31m \"'"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "plans" / "night" / "2026-11-29T200000Z"
    made.mkdir(parents=True)
    return made


def item(name="a", state="passed", folder=None, reasons=()):
    return {
        "name": name, "experiment": "x.json", "region": "eu-west-1", "cluster": "", "settings": {},
        "files": "01-a", "state": state, "reasons": list(reasons), "started": None, "ended": None,
        "run": "r", "folder": folder and str(folder),
    }  # fmt: skip


def written(folder, reports, *items, **more):
    state = {
        "name": "night", "file": "night.toml", "reports": str(reports), "state": "failed",
        "reasons": [], "started": "2026-11-29T20:00:00.000Z", "ended": None, "items": list(items),
    }  # fmt: skip
    write_report({**state, **more}, folder)
    summary = json.loads((folder / "summary.json").read_text())
    assert problems("plan", summary) == [] or "state" in more
    return summary, (folder / "index.html").read_text(), (folder / "summary.md").read_text()


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("$", lambda s: s.update(more=1)),
        ("$.verdict", lambda s: s.update(verdict="well")),
        ("$.ended", lambda s: s.update(ended="later")),
        ("$.items[0]", lambda s: s["items"][0].pop("run")),
        ("$.items[0].verdict", lambda s: s["items"][0].update(verdict="well")),
        ("$.items[0].target", lambda s: s["items"][0].update(target="moon")),
        ("$.items[0].figures", lambda s: s["items"][0]["figures"].pop("outage_seconds")),
    ],
)
def test_what_is_no_summary_of_a_plan_is_found_by_its_schema(folder, tmp_path, place, change):
    summary, _, _ = written(folder, tmp_path, item())
    change(summary)
    assert [each.partition(":")[0] for each in problems("plan", summary)] == [place]


def test_it_has_every_item_its_figures_and_a_link_to_its_report(folder, tmp_path):
    run = tmp_path / "x y" / "2026-11-29T200001Z"
    run.parent.mkdir()
    shutil.copytree(stored(tmp_path), run)
    judge_again(run).write(run)
    known = json.loads((run / "summary.json").read_text())
    (run / "report.html").write_text("")
    summary, page, text = written(folder, tmp_path, item(folder=run), item("b", "not-run"))
    first, second = summary["items"]
    assert first["figures"]["outage_seconds"] == known["outage_seconds"]
    assert first["target"] == known["target"]
    assert set(second["figures"].values()) == {None}
    (address,) = re.findall(r'href="(\./[^"]+)"', page)
    assert address == "./../../../x%20y/2026-11-29T200001Z/report.html"
    assert "not-run" in page
    assert "not-run" in text


def test_a_run_whose_summary_is_damaged_costs_its_figures_alone(folder, tmp_path):
    run = tmp_path / "x" / "1"
    run.mkdir(parents=True)
    (run / "summary.json").write_text("[")
    summary, page, _ = written(
        folder, tmp_path, item(folder=run), item("b", folder=tmp_path / "no")
    )
    assert "is damaged" in summary["items"][0]["reasons"][0]
    assert "is not there" in summary["items"][1]["reasons"][0]
    assert page.count('href="./') == 2


def test_text_of_others_stays_text(folder, tmp_path):
    evil = item(EVIL, EVIL, tmp_path / EVIL.replace("/", ""), [EVIL])
    _, page, text = written(folder, tmp_path, evil, name=EVIL, reasons=[EVIL], state=EVIL)
    assert "<script>alert" not in page
    assert "\x1b" not in page + text
    bare = re.sub(r"\\.", "", text)
    for sign in ("<script", "](", "://", "@all"):
        assert sign not in bare
