"""The pages of docs/ that are made from the code are as it is now; links lead somewhere."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from chaosaws_kms_ext.history.writer import OperationWriter
from chaosaws_kms_ext.report.export import export
from tests.support.histories import load
from tests.support.small_run import stored

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "reports" / "README.md",
]


MADE = runpy.run_path(str(ROOT / "docs" / "generate.py"))["PAGES"]


@pytest.mark.parametrize("page", MADE)
def test_a_page_that_is_made_is_as_the_code_is(page):
    assert (ROOT / "docs" / page).read_text() == MADE[page](), "make docs"


def test_every_schema_is_made():
    there = {path.name for path in (ROOT / "docs" / "schemas").iterdir()}
    assert there == {page.removeprefix("schemas/") for page in MADE if "/" in page}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_of_a_page_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not link.startswith(("http", "#")):
            assert (page.parent / link.partition("#")[0]).exists(), link


def test_the_readme_can_be_read_at_one_go():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


RECORDS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "records.md").read_text(), re.DOTALL)


@pytest.mark.parametrize(("code", "says"), [(RECORDS[0], "0.99"), (RECORDS[1], "timeout")])
def test_others_read_the_records_as_the_page_says(code, says, tmp_path, monkeypatch, capsys):
    (tmp_path / "history").mkdir()
    writer = OperationWriter(tmp_path / "history", "main", 20.0)
    for part in (["ok"] * 40, ["timeout"] * 5):
        writer.write([each[1:] for each in load("main", *part)])
    monkeypatch.setattr("sys.argv", ["page", str(tmp_path)])
    exec(compile(code, "docs/records.md", "exec"), {})
    told = capsys.readouterr().out
    assert says in told
    assert "1" in told  # the second second


def test_others_read_an_export_as_the_page_says(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "other-tools.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    folder = stored(tmp_path)
    export(folder, folder / "export", "parquet")
    monkeypatch.setattr("sys.argv", ["page", str(folder)])
    exec(compile(code, "docs/other-tools.md", "exec"), {})
    told = capsys.readouterr().out
    assert "timeout" in told
    assert "+00:00" in told
