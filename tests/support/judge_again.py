"""Judges stored runs again: `python -m tests.support.judge_again reports/test`.

Ends with 1 where a summary is not the same, byte for byte, where a file is not as its schema says,
or where there is no run at all.
"""

from __future__ import annotations

import sys
from pathlib import Path

from chaosaws_kms_ext.report.summary import judge_again
from tests.support.schemas import invalid

__all__ = ["differing", "differs", "runs"]


def runs(reports: Path) -> list[Path]:
    """The folders of the runs that were judged, but for those of an older version."""
    found = sorted(path.parent for path in reports.glob("*/*/summary.json"))
    return [
        folder
        for folder in found
        if not folder.is_symlink() and (folder / "history" / "run.json").exists()
    ]


def differing(reports: Path) -> list[Path]:
    """Those whose summary would be another one now."""
    return [folder for folder in runs(reports) if differs(folder)]


def differs(folder: Path) -> bool:
    """Whether the summary of this run would be another one now."""
    return judge_again(folder).as_text() != (folder / "summary.json").read_text()


if __name__ == "__main__":
    where = Path(sys.argv[1])
    others = differing(where)
    for each in others:
        print(f"{each} is judged otherwise now")
    wrong = invalid(where)
    for why in wrong:
        print(why)
    print(
        f"{len(runs(where))} stored runs judged again, {len(others)} otherwise; "
        f"{len(wrong)} things are not as the schemas say"
    )
    sys.exit(bool(others or wrong or not runs(where)))
