"""report.html: the page to look at."""

from __future__ import annotations

from chaosaws_kms_ext.report.files.base import Found, report_file
from chaosaws_kms_ext.report.run_files import PAGE

__all__ = ["html"]


@report_file("html", PAGE)
def html(found: Found) -> str:
    """The page; who draws nothing imports no plotting library."""
    from chaosaws_kms_ext.report.page.page import page_of

    return page_of(found.judgement, found.history, found.conditions, found.journal)
