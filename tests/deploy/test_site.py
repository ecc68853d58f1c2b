"""The pages as a site: no link is broken, and a browser asks nobody else for anything."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.labs import program

pytestmark = pytest.mark.deploy

ROOT = Path(__file__).parents[2]
FETCHED = re.compile(r"""<(?:script|img|link|iframe)\b[^>]*(?:src|href)="?(?:https?:)?//[^>]*>""")


def built(root, folder):
    return subprocess.run(
        [program("mkdocs"), "build", "--strict", "--site-dir", str(folder)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_site_is_built_without_a_warning_and_fetches_nothing_from_elsewhere(tmp_path):
    done = built(ROOT, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "files" / "experiments" / "kms-disable.json").is_file()
    pages = list(tmp_path.glob("*.html"))
    assert len(pages) > 20
    for page in pages:
        fetched = [tag for tag in FETCHED.findall(page.read_text()) if 'rel="canonical"' not in tag]
        assert fetched == [], page


def test_a_broken_link_fails_the_build(tmp_path):
    for name in ("docs", "experiments", "probes", "policies", "deploy", "reports"):
        ignored = shutil.ignore_patterns("20*", "*kms*") if name == "reports" else None
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("mkdocs.yml", "README.md", "SECURITY.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)
    with (tmp_path / "docs" / "aws.md").open("a") as page:
        page.write("\n[nowhere](none.md)\n")
    done = built(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert "none.md" in done.stderr
