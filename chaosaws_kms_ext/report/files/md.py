"""summary.md: for a step summary of GitHub, or a chat."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from chaosaws_kms_ext.report.files.base import Found, report_file
from chaosaws_kms_ext.report.table import objective_in_words, where_in_words
from chaosaws_kms_ext.text import shortened

__all__ = ["md"]

SPECIAL = re.compile(r"([\\`*_{}\[\]#|<>~&@]|(?<=:)/(?=/)|(?<=www)\.)", re.IGNORECASE)
"""What Markdown, or GitHub's kind of it, takes for more than text within a line: also a bare
address, a mention, the number of an issue."""


@report_file("md", "summary.md")
def md(found: Found) -> str:
    """The verdict, its reasons, the figures and the objectives."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Found) -> Iterator[str]:
    summary = found.summary
    yield f"# {_text(summary['verdict'])}: {_text(summary['experiment'])}"
    yield ""
    yield f"**{_text(where_in_words(summary))}**, {_text(summary['started'])}"
    yield ""
    for reason in summary["reasons"]:
        yield f"- {_text(reason)}"
    if summary["reasons"]:
        yield ""
    yield from _table(("what", "found"), (row for row in found.judgement.rows if row[0]))
    objectives = [(each["name"], objective_in_words(each)) for each in summary["objectives"]]
    if objectives:
        yield ""
        yield from _table(("objective", "met?"), objectives)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield f"| {' | '.join(map(_text, row))} |"


def _text(value: object) -> str:
    """Text that stays text: on one line, and nothing in it is a link, a tag or a mention."""
    line = " ".join(shortened(str(value)).split())
    return SPECIAL.sub(r"\\\1", line)
