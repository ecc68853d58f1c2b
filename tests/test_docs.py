"""The pages of docs/ that are made from the code are as it is now; links lead somewhere."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "reports" / "README.md",
]


@pytest.mark.parametrize("page", ["settings.md", "catalogue.md", "summary.md"])
def test_a_page_that_is_made_is_as_the_code_is(page):
    made = runpy.run_path(str(ROOT / "docs" / "generate.py"))["PAGES"][page]
    assert (ROOT / "docs" / page).read_text() == made(), "make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_of_a_page_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not link.startswith(("http", "#")):
            assert (page.parent / link.partition("#")[0]).exists(), link


def test_the_readme_can_be_read_at_one_go():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
