"""Which files a run leaves, and how one is added."""

from __future__ import annotations

import html
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from rich.console import Console

from chaosaws_kms_ext.report.files import FILES, Found, UnknownFile, kinds_of, write_files
from chaosaws_kms_ext.report.files.base import report_file
from chaosaws_kms_ext.report.files.metrics import PREFIX, numbers_of
from chaosaws_kms_ext.report.summary import judge
from chaosaws_kms_ext.report.table import objective_in_words, show, table
from tests.support.found import EVIL, JOURNAL, LONG, hostile_run
from tests.support.histories import (
    ENDED,
    conditions,
    history,
    load,
    outage_of_main,
    ran,
    started,
)

PAGE = Path(__file__).parents[4] / "docs" / "report.md"


def asking(found, *kinds):
    settings = replace(found.conditions.settings, report_files=kinds)
    return replace(found, conditions=replace(found.conditions, settings=settings))


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [(("all",), tuple(FILES)), (("none",), ()), (("md", "html", "md"), ("md", "html"))],
)
def test_a_run_leaves_what_is_asked_for(asked, kinds):
    assert kinds_of(asked) == kinds


@pytest.mark.parametrize("asked", [("pdf",), ("html", "pdf"), ("none", "html"), ("all", "md")])
def test_a_kind_that_there_is_not_is_one_sentence(asked):
    with pytest.raises(UnknownFile, match=r"CHAOS_REPORT_FILES names (pdf|none|all): must be"):
        kinds_of(asked)


def test_a_file_that_fails_is_said_and_the_others_are_written(found, tmp_path, monkeypatch):
    monkeypatch.setitem(FILES, "md", ("summary.md", lambda found: 1 / 0))
    problems = write_files(tmp_path, asking(found, "md", "junit"))
    assert problems == ["summary.md could not be written: ZeroDivisionError('division by zero')"]
    assert [path.name for path in tmp_path.iterdir()] == ["junit.xml"]


def test_the_example_of_the_page_makes_a_file(found, tmp_path, monkeypatch):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for kind in list(FILES):
        monkeypatch.setitem(FILES, kind, FILES[kind])
    exec(example, {"report_file": report_file, "Found": type(found)})
    try:
        assert write_files(tmp_path, asking(found, "csv")) == []
    finally:
        FILES.pop("csv")
    (window,) = found.summary["windows"]
    assert (tmp_path / "windows.csv").read_text() == f"{window['begin']},{window['seconds']}"


def test_a_kind_twice_is_an_error():
    with pytest.raises(ValueError, match="two files of a report are called html"):
        report_file("html", "other.html")(lambda found: "")


# What all of them have in common: the figures of the summary, and text that stays text


@pytest.fixture(scope="module")
def several():
    """A run with an outage, a missed objective, a met one, and a second load."""
    operations, events = outage_of_main()
    operations += load("copy", *["ok"] * 250, *["timeout"] * 50)
    events = [*started("main", "copy"), *events, *ran("copy", 0, 300), ENDED]
    asked = [{"name": "rto", "limit": 60}, "lost_writes", {"name": "outage_windows", "limit": 1}]
    its = conditions(True, asked)
    recorded = history(operations, events)
    return Found(judge(recorded, its), recorded, its, JOURNAL)


def written(found, folder):
    """The texts of all its files, by their kinds."""
    assert write_files(folder, found) == []
    return {kind: (folder / name).read_text() for kind, (name, _) in FILES.items()}


@pytest.fixture(scope="module")
def texts(several, tmp_path_factory):
    """Those of that run."""
    return written(several, tmp_path_factory.mktemp("several"))


@pytest.fixture(scope="module")
def own_scripts(tmp_path_factory):
    """How many scripts a page has by itself."""
    return scripts_of(written(hostile_run("x"), tmp_path_factory.mktemp("own"))["html"])


def scripts_of(page):
    return len(re.findall("<script[ >]", page))


def words_of_page(text):
    bare = re.sub(r"<script\b.*?</script>", "", text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", bare)).split())


def words_of_md(text):
    return " ".join(re.sub(r"\\(.)", r"\1", text.replace("|", " ")).split())


def test_a_figure_is_the_same_in_every_file_and_in_the_summary(several, texts):
    summary, text = several.summary, texts
    page, md = words_of_page(text["html"]), words_of_md(text["md"])
    samples = {
        (e.name.removeprefix(PREFIX), e.labels.get("load"), e.labels.get("objective")): e.value
        for family in text_string_to_metric_families(text["metrics"])
        for e in family.samples
    }
    cases = {
        case.get("name"): case for case in ElementTree.fromstring(text["junit"]).iter("testcase")
    }
    for each in summary["objectives"]:
        shown = " ".join(objective_in_words(each).split())
        assert f"{each['name']} {shown}" in page
        assert f"{each['name']} {shown}" in md
        assert samples["objective_met", None, each["name"]] == each["met"]
        said = [inside.get("message") for inside in cases[each["name"]]]
        assert said == ([] if each["met"] else [objective_in_words(each)])
    (rto, lost, windows) = summary["objectives"]
    assert (rto["met"], lost["met"], windows["met"]) == (False, True, True)
    assert f"{rto['measured_seconds']:.2f} s" in objective_in_words(rto)
    assert rto["measured_seconds"] == summary["time_to_recovery_seconds"]
    for name in ("time_to_recovery", "outage", "time_to_impact"):
        seconds = summary[f"{name}_seconds"]
        assert samples[f"{name}_seconds", "main", None] == seconds
        row = f"{name.replace('_', ' ')} {seconds:.2f} s"
        assert row in page
        assert row in md
    writes = summary["writes"]
    row = f"writes {writes['acknowledged']} acknowledged · {writes['unknown']} unknown · 0 lost"
    assert row in page
    assert row in md
    assert samples["writes_acknowledged", "main", None] == writes["acknowledged"]


def test_every_number_of_every_load_is_in_the_metrics(several, texts):
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(texts["metrics"]):
        for each in family.samples:
            if load_name := each.labels.get("load"):
                its = found.setdefault(load_name, {})
                its[each.name.removeprefix(PREFIX)] = each.value
    summary = several.summary
    assert found == {
        "main": dict(numbers_of(summary)),
        "copy": dict(numbers_of(summary["loads"]["copy"])),
    }
    assert found["copy"]["operations_timeout"] == 50


@pytest.mark.parametrize("text", [EVIL, LONG], ids=["short", "a megabyte"])
def test_text_of_others_stays_text_in_every_file_and_on_the_terminal(text, tmp_path, own_scripts):
    found = hostile_run(text)
    assert text in found.judgement.as_text() or json.dumps(text)[1:-1] in found.judgement.as_text()
    for kind, made in written(found, tmp_path).items():
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", outside_scripts(made)), kind
        assert len(made) < 4_000_000, kind
        assert "alert(1)" in made, kind
    page = (tmp_path / "report.html").read_text()
    assert "<script>alert" not in page
    assert scripts_of(page) == own_scripts
    md = re.sub(r"\\.", "", (tmp_path / "summary.md").read_text())
    for sign in ("<script", "](", "://", "@all", "#1", "&lt;", "www."):
        assert sign not in md
    suite = ElementTree.parse(tmp_path / "junit.xml")
    assert any("</script><script>" in each.get("name", "") for each in suite.iter("testcase"))
    families = list(text_string_to_metric_families((tmp_path / "metrics.prom").read_text()))
    assert {e.labels["cluster"][:9] for f in families for e in f.samples} == {"</script>"}
    assert "\x1b" not in table(found.judgement, "folder")
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100, no_color=True)
    show(found.judgement, "folder", found.history, found.conditions, terminal)
    assert "\x1b[31m @all" not in terminal.file.getvalue()


def outside_scripts(text):
    return re.sub(r"<script\b.*?</script>", "", text, flags=re.DOTALL)
