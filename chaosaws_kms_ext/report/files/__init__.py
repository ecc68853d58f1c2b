"""The files of a report beside summary.json: one module each, registered by its kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chaosaws_kms_ext.discovery import import_all
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.files import write_whole
from chaosaws_kms_ext.report.files.base import FILES, Found

__all__ = ["FILES", "Found", "UnknownFile", "kinds_of", "write_files"]

BROKEN = import_all(__path__, __name__)
"""Modules of this folder that cannot be imported, and why."""


class UnknownFile(PlainError):
    """CHAOS_REPORT_FILES names a kind that there is not. One sentence."""


def kinds_of(asked: Sequence[str]) -> tuple[str, ...]:
    """The kinds of files that CHAOS_REPORT_FILES asks for; raises UnknownFile."""
    if asked in (("all",), ("none",)):
        return tuple(FILES) if asked == ("all",) else ()
    if unknown := [kind for kind in asked if kind not in FILES]:
        raise UnknownFile(
            f"CHAOS_REPORT_FILES names {', '.join(unknown)}: must be all, none, or some of "
            f"{', '.join(FILES)}, with commas"
        )
    return tuple(dict.fromkeys(asked))


def write_files(folder: Path, found: Found) -> list[str]:
    """Writes what a run asks for into its folder; returns why some could not, each in a sentence.

    A file that fails changes no verdict: summary.json has every figure.
    """
    problems = [f"the {kind} of the report cannot be made: {why}" for kind, why in BROKEN.items()]
    try:
        kinds = kinds_of(found.conditions.settings.report_files)
    except UnknownFile as problem:  # those of another version
        return [*problems, str(problem)]
    for kind in kinds:
        name, make = FILES[kind]
        try:
            write_whole(folder / name, make(found))
        except Exception as problem:
            problems.append(f"{name} could not be written: {problem!r:.300}")
    return problems
