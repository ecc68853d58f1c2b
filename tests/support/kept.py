"""Folders of runs as they are kept: summaries of a real judgement, with other figures."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.report.summary import judge_again
from tests.support.synthetic_run import stored

__all__ = ["EVIL", "a_summary", "keep"]

EVIL = "<script>alert(1)</script>\x1b[31m</td>&amp;{{x}}\n"


def a_summary(folder: Path) -> dict[str, Any]:
    """The summary of a run in which the key was disabled and put back."""
    found: dict[str, Any] = json.loads(judge_again(stored(folder, 4000, 200.0, 40)).as_text())
    return found


def keep(
    reports: Path, summary: dict[str, Any], time: str, experiment: str = "", **changed: Any
) -> Path:
    """A run's folder with this summary, in which some fields are changed; returns it.

    A field with two underscores is one inside: `lab__speed`.
    """
    its = copy.deepcopy(summary)
    its["experiment"] = experiment or its["experiment"]
    for name, value in changed.items():
        *path, last = name.split("__")
        inside = its
        for each in path:
            inside = inside[each]
        inside[last] = value
    folder = reports / its["experiment"] / time
    (folder / "history").mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(its))
    return folder
