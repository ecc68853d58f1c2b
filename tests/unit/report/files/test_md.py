"""summary.md."""

from __future__ import annotations

import re

from chaosaws_kms_ext.report.files.md import md
from chaosaws_kms_ext.report.table import objective_in_words


def cells(text):
    """The cells of all tables, without what keeps text text."""
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    return [
        [re.sub(r"\\(.)", r"\1", cell) for cell in re.split(r"(?<!\\) \| ", row.strip("| "))]
        for row in rows
    ]


def test_it_has_the_verdict_the_reasons_and_every_row(found):
    text = md(found)
    first, _, where, *_ = text.splitlines()
    assert first == f"# {found.summary['verdict']}: kms-disable"
    assert "its times are the lab's, not AWS'" in where
    for reason in found.summary["reasons"]:
        assert reason in re.sub(r"\\(.)", r"\1", text)
    assert [list(row) for row in found.judgement.rows if row[0]] == cells(text)[2:][
        : len([row for row in found.judgement.rows if row[0]])
    ]
    for each in found.summary["objectives"]:
        assert [each["name"], objective_in_words(each)] in cells(text)


def test_text_of_others_stays_text(evil):
    text = md(evil)
    assert "\x1b" not in text
    bare = re.sub(r"\\.", "", text)
    for sign in ("<script", "](", "://", "@all", "#1", "&lt;", "www."):
        assert sign not in bare
    assert all(line.count(" | ") == 1 for line in bare.splitlines() if line.startswith("| "))
