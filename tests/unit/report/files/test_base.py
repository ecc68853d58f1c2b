"""Which files a run leaves, and how one is added."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from chaosaws_kms_ext.report.files import FILES, UnknownFile, kinds_of, write_files
from chaosaws_kms_ext.report.files.base import report_file

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
