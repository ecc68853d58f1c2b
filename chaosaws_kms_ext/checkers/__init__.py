"""Judgement: each file answers one question about a run, as a pure function of the records.

A result that could not be had is None and has a reason; nothing here reads a clock, a file or a
database.
"""

from __future__ import annotations

from chaosaws_kms_ext.checkers.base import BROKEN, CHECKERS, Checker, Field, Result, checker, load
from chaosaws_kms_ext.checkers.objectives import OBJECTIVES, Objective

__all__ = [
    "BROKEN",
    "CHECKERS",
    "OBJECTIVES",
    "Checker",
    "Field",
    "Objective",
    "Result",
    "checker",
    "load",
]

load(__path__, __name__)
