"""The files of a report beside summary.json: one module each, registered by its kind."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.discovery import import_all
from chaosaws_kms_ext.files import write_whole
from chaosaws_kms_ext.report.files.base import FILES, Found

__all__ = ["FILES", "Found", "journal_of", "write_files"]

BROKEN = import_all(__path__, __name__)
"""Modules of this folder that cannot be imported, and why."""


def write_files(folder: Path, found: Found, kinds: Iterable[str]) -> list[str]:
    """Writes these files into a run's folder; returns why some could not, each in a sentence.

    A file that fails changes no verdict: summary.json has every figure.
    """
    problems = []
    for kind in kinds:
        if kind not in FILES:
            problems.append(f"the {kind} of the report cannot be made: {BROKEN.get(kind, '')}")
            continue
        name, make = FILES[kind]
        try:
            write_whole(folder / name, make(found))
        except Exception as problem:
            problems.append(f"{name} could not be written: {problem!r:.300}")
    return problems


def journal_of(folder: Path) -> Mapping[str, Any]:
    """Chaos Toolkit's journal in a run's folder, as far as it is there."""
    try:
        found = json.loads((folder / "journal.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
