"""The runs that a folder of reports keeps, by what each has left: no database, no index."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.files import read_plain
from chaosaws_kms_ext.history import CannotBeJudged, read_conditions
from chaosaws_kms_ext.report.figures import is_number
from chaosaws_kms_ext.report.run_files import SUMMARY, folders_in
from chaosaws_kms_ext.report.summary import SCHEMA
from chaosaws_kms_ext.text import shortened

__all__ = ["LATEST", "CannotBeRead", "KeptRun", "find", "kept_runs", "read_summary"]

LATEST = "latest"
HISTORY = "history"
OVER_TIME = ("slices", "latency_slices")
"""Fields that are long, and that no list shows: a thousand runs have to fit into memory."""
REASON = 300
"""Characters of why a run has no summary."""
SHOWN = 5
"""Runs of one name that are listed."""


class CannotBeRead(PlainError):
    """A run, or the folder of all of them, cannot be read, or is not there. One sentence."""


@dataclass(frozen=True)
class KeptRun:
    """A run's folder, and what its summary.json says."""

    folder: Path
    summary: Mapping[str, Any] | None
    """Without what it has over time; None: it cannot be read."""
    why_not: str = ""
    """Why it cannot."""

    @property
    def time(self) -> str:
        """When it was started, as its folder is called."""
        return self.folder.name

    @property
    def experiment(self) -> str:
        """As the folder that it is in is called."""
        return self.folder.parent.name


def kept_runs(reports: Path, experiment: str = "") -> list[KeptRun]:
    """All of them, the oldest first, also those without a summary; raises CannotBeRead.

    `experiment`: only those of it.
    """
    return [
        _kept(folder)
        for folder in _folders(reports)
        if not experiment or experiment in (folder.name, folder.parent.name)
    ]


def find(reports: Path, name: str) -> Path:
    """The folder of a run; raises CannotBeRead.

    `name`: a folder; or, of those in `reports`, `latest`, an experiment and a time with a slash
    between, a time alone, or an experiment alone: the newest of it.
    """
    if name == LATEST:
        if not (reports / LATEST).is_dir():
            raise CannotBeRead(
                f"{reports / LATEST} is not there: no run has ended in {reports} yet"
            )
        return _led_to(reports / LATEST)
    for folder in (Path(name), reports / name):
        if _is_run(folder):
            return folder
    known = _folders(reports)
    of_experiment = [folder for folder in known if folder.parent.name == name]
    of_time = [folder for folder in known if folder.name == name]
    if len(of_time) > 1:
        said = ", ".join(f"{each.parent.name}/{each.name}" for each in of_time[:SHOWN])
        raise CannotBeRead(f"{len(of_time)} runs began at {name}: name one of {said}")
    if found := of_time or of_experiment[-1:]:
        return found[0]
    raise CannotBeRead(
        f"{shortened(name, 100)} is no folder of a run, and no run in {reports}: "
        "`chaos kms runs` lists those that there are"
    )


def _led_to(link: Path) -> Path:
    """Where a link leads, which says more to a person."""
    return link.parent / link.readlink() if link.is_symlink() else link


def read_summary(folder: Path) -> dict[str, Any]:
    """The summary.json of a run's folder, as far as lists and comparisons rely on it; raises
    CannotBeRead."""
    path = folder / SUMMARY
    try:
        said = json.loads(read_plain(path))
    except FileNotFoundError:
        raise CannotBeRead(_without_summary(folder)) from None
    except OSError as problem:
        raise CannotBeRead(f"{path} cannot be read: {problem.strerror or problem}") from None
    except (ValueError, RecursionError) as problem:
        raise CannotBeRead(f"{path} is damaged: {shortened(str(problem), REASON)}") from None
    if wrong := _wrong(said):
        raise CannotBeRead(f"{path} is damaged, or of another version: {wrong}")
    assert isinstance(said, dict)
    return said


def _kept(folder: Path) -> KeptRun:
    try:
        if not os.access(folder, os.X_OK):
            raise CannotBeRead(f"{folder} cannot be read: this user may not enter it")
        summary = read_summary(folder)
        return KeptRun(folder, {key: its for key, its in summary.items() if key not in OVER_TIME})
    except CannotBeRead as problem:
        return KeptRun(folder, None, shortened(str(problem), REASON))


def _folders(reports: Path) -> list[Path]:
    """The folders of all runs, the oldest first, by their names; raises CannotBeRead."""
    try:
        experiments = folders_in(reports)
    except FileNotFoundError:
        raise CannotBeRead(f"{reports} is not there: CHAOS_REPORTS_DIR names the folder") from None
    except OSError as problem:
        raise CannotBeRead(f"{reports} cannot be read: {problem.strerror or problem}") from None
    found = []
    for experiment in experiments:
        try:
            found += [folder for folder in folders_in(experiment) if _is_run(folder)]
        except OSError:
            found.append(experiment)  # which says of itself that it cannot be read
    return sorted(found, key=lambda folder: (folder.name, folder.parent.name))


def _is_run(folder: Path) -> bool:
    try:
        return (folder / HISTORY).is_dir() or (folder / SUMMARY).exists()
    except PermissionError:  # it is there, and another's
        return True
    except (OSError, ValueError):  # no name of a file
        return False


def _without_summary(folder: Path) -> str:
    """Why a run has none."""
    if not folder.is_dir():
        return f"{folder} is not there"
    judged = f"`chaos kms report {folder}` judges it"
    try:
        process = read_conditions(folder / HISTORY).process
    except CannotBeJudged as problem:
        return f"it has no {SUMMARY}, and cannot be judged: {problem}"
    if process.is_running:
        return f"it goes on: its process {process.pid} runs"
    return f"it was killed, and has no {SUMMARY}: {judged}"


def _wrong(said: Any) -> str:
    """What is not as in a summary.json; empty: nothing."""
    if not isinstance(said, dict):
        return "it is no JSON object"
    if said.get("schema") != SCHEMA:
        return f"its schema is {said.get('schema')!r:.20}, and this version reads {SCHEMA}"
    for name in ("experiment", "target", "verdict", "started"):
        if not isinstance(said.get(name), str):
            return f"its {name} is no text"
    for name in ("region", "cluster"):
        if not isinstance(said.get(name), str | None):
            return f"its {name} is no text"
    objectives = said.get("objectives")
    if not isinstance(objectives, list) or not all(map(_is_objective, objectives)):
        return "its objectives are none"
    reasons = said.get("reasons")
    if not isinstance(reasons, list) or not all(isinstance(why, str) for why in reasons):
        return "its reasons are none"
    right = {"lab": _is_lab(said.get("lab")), "aws": said.get("lab") is None}
    return "" if right.get(said["target"]) else "its target is neither the lab nor AWS"


def _is_objective(said: Any) -> bool:
    known = isinstance(said, dict) and isinstance(said.get("name"), str)
    return known and said.get("met", "") in (True, False, None)


def _is_lab(said: Any) -> bool:
    if not isinstance(said, dict):
        return False
    known = is_number(said.get("speed")) and isinstance(said.get("profile"), str)
    return known and isinstance(said.get("faults", []), list)
