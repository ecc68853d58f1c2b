"""The page of a run, report.html: one file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from chaosaws_kms_ext.history import Conditions
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.report.summary import Judgement

__all__ = ["try_to_write_page"]


def try_to_write_page(
    folder: Path, judgement: Judgement, history: History, conditions: Conditions
) -> str:
    """Writes report.html into a run's folder; returns why it could not, in a sentence, or nothing.

    A picture that fails changes no verdict: summary.json has every figure.
    """
    try:
        # Imported late: who draws nothing needs no plotting library.
        from chaosaws_kms_ext.report.page.page import write_page

        write_page(folder, judgement, history, conditions)
    except Exception as problem:
        return f"report.html could not be written: {problem!r:.300}"
    return ""
