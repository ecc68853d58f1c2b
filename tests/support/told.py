"""What `chaos kms report` tells of a run that is not whole."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

from click.testing import CliRunner, Result

from chaosaws_kms_ext.cli import kms
from chaosaws_kms_ext.history import read_conditions
from chaosaws_kms_ext.report.files import FILES, kinds_of
from chaosaws_kms_ext.text import printable
from tests.support.schemas import problems

__all__ = ["ask_for", "check", "made_files", "report"]


def report(folder: Path) -> Result:
    """`chaos kms report` of a folder."""
    return CliRunner().invoke(kms, ["report", str(folder)])


def made_files() -> list[str]:
    """The names of all files that it can make."""
    return ["summary.json", *(name for name, _ in FILES.values())]


def ask_for(folder: Path, *kinds: str) -> None:
    """From now on its report has these files."""
    path = folder / "history" / "run.json"
    said = json.loads(path.read_text())
    said["settings"]["report_files"] = list(kinds)
    path.write_text(json.dumps(said) + "\n")


def asked_for(folder: Path) -> tuple[str, ...]:
    """The kinds of files that its report has."""
    return kinds_of(read_conditions(folder / "history").settings.report_files)


def check(folder: Path, ran: Result) -> list[str]:
    """It is told well, whatever the damage; gives back the reasons."""
    assert isinstance(ran.exception, SystemExit), ran.exception
    assert "Traceback" not in ran.output
    assert "Warning" not in ran.output, ran.output
    assert ran.exit_code == 1, ran.output
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["verdict"] in ("inconclusive", "aborted", "failed")
    assert problems("summary", summary) == []
    kinds = asked_for(folder)
    page = html.unescape((folder / "report.html").read_text()) if "html" in kinds else ""
    text = re.sub(r"\\(.)", r"\1", (folder / "summary.md").read_text())
    assert summary["reasons"]
    for reason in summary["reasons"]:
        shown = printable(reason)
        assert shown in page or not page
        assert " ".join(shown.split()) in text
        assert shown in ran.output
    for name in ("summary.json", *(FILES[kind][0] for kind in kinds)):
        assert (folder / name).stat().st_size > 100
    return summary["reasons"]
