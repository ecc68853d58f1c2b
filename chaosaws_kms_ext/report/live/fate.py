"""What has become of a run: whether it still goes on, by its folder alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.report.live.tail import Tail
from chaosaws_kms_ext.report.run_files import PAGE, SUMMARY

__all__ = ["QUIET", "Fate", "fate_of"]

QUIET = 3.0
"""Seconds in which a run that goes on writes something: its load does, every second."""

LARGEST = 1 << 26
"""Bytes of a summary, by far."""


@dataclass(frozen=True)
class Fate:
    """Where a run is."""

    kind: Literal["going-on", "concluding", "ended", "killed", "gone"]
    """`concluding`: nothing is measured any more, and the report is not there yet; `killed`: it has
    ended without its end; `gone`: it was refused, and left no folder."""
    here: bool = True
    """Whether its process runs on this machine, so that its clock is ours."""
    verdict: str = ""
    reason: str = ""
    report: bool = False
    """Whether its page is there."""

    @property
    def over(self) -> bool:
        """Whether nothing will come any more."""
        return self.kind in ("ended", "killed", "gone")


def fate_of(tail: Tail) -> Fate:
    """What has become of the run that is followed."""
    if not tail.folder.is_dir():
        return Fate("gone", here=False)
    here = tail.conditions is None or tail.conditions.process.is_running
    concluded = any(event.name == EventName.ENDED for event in reversed(tail.events))
    verdict, reason = _judged(tail.folder / SUMMARY)
    report = (tail.folder / PAGE).is_file()
    if concluded or verdict:
        over = (report and bool(verdict)) or not here
        return Fate("ended" if over else "concluding", here, verdict, reason, report and over)
    if here or tail.quiet_for < QUIET:
        return Fate("going-on", here)
    return Fate("killed", here)


def _judged(path: Path) -> tuple[str, str]:
    """The verdict of a summary, and its first reason; empty where there is none."""
    try:
        if path.stat().st_size > LARGEST:
            return "", ""
        said = json.loads(path.read_bytes())
        reasons = said["reasons"] or [""]
        return str(said["verdict"]), str(reasons[0])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "", ""
