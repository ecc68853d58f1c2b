"""What a file of a report is: a name, and what makes its text. Each is a module of this folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chaosaws_kms_ext.history import Conditions
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.report.summary import Judgement

__all__ = ["FILES", "Found", "report_file"]


@dataclass(frozen=True, eq=False)
class Found:
    """What a file is made from: a run's records, and what was judged of them."""

    judgement: Judgement
    history: History
    conditions: Conditions
    journal: Mapping[str, Any]
    """Chaos Toolkit's; empty where there is none."""

    @property
    def summary(self) -> Mapping[str, Any]:
        """As summary.json has it."""
        return self.judgement.summary


Make = Callable[[Found], str]

FILES: dict[str, tuple[str, Make]] = {}
"""Kind, as CHAOS_REPORT_FILES names it → the name of the file, and what makes it."""


def report_file(kind: str, name: str) -> Callable[[Make], Make]:
    """Registers a file; a kind twice is an error."""

    def register(make: Make) -> Make:
        if kind in FILES:
            raise ValueError(f"two files of a report are called {kind}")
        FILES[kind] = (name, make)
        return make

    return register
