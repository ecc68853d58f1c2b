"""summary.md: for a step summary of GitHub, or a chat."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from chaosaws_kms_ext.report.files.base import Found, report_file
from chaosaws_kms_ext.report.table import objective_in_words, where_in_words
from chaosaws_kms_ext.text import shortened

__all__ = ["md", "table", "text"]

SPECIAL = re.compile(r"([\\`*_{}\[\]#|<>~&@]|(?<=:)/(?=/)|(?<=www)\.)", re.IGNORECASE)
"""What Markdown, or GitHub's kind of it, takes for more than text within a line: also a bare
address, a mention, the number of an issue."""


@report_file("md", "summary.md")
def md(found: Found) -> str:
    """The verdict, its reasons, the figures and the objectives."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Found) -> Iterator[str]:
    summary = found.summary
    yield f"# {text(summary['verdict'])}: {text(summary['experiment'])}"
    yield ""
    yield f"**{text(where_in_words(summary))}**, {text(summary['started'])}"
    yield ""
    for reason in summary["reasons"]:
        yield f"- {text(reason)}"
    if summary["reasons"]:
        yield ""
    yield from table(("what", "found"), (row for row in found.judgement.rows if row[0]))
    objectives = [(each["name"], objective_in_words(each)) for each in summary["objectives"]]
    if objectives:
        yield ""
        yield from table(("objective", "met?"), objectives)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield f"| {' | '.join(map(text, row))} |"


def text(value: object) -> str:
    """Text that stays text: on one line, and nothing in it is a link, a tag or a mention."""
    line = " ".join(shortened(str(value)).split())
    return SPECIAL.sub(r"\\\1", line)
