"""The experiments and the load that come with the package, for who has no clone of the repository.

In a clone they are links to the repository's own folders; the wheel has the files.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from chaosaws_kms_ext.errors import PlainError

__all__ = ["EXPERIMENTS", "QUERY_LOAD", "copy_to", "experiment", "titles"]

HERE = Path(__file__).parent
EXPERIMENTS = HERE / "experiments"
PROBES = HERE / "probes"
QUERY_LOAD = PROBES / "query_load.py"
"""The load of the lab's own table: a Locust file."""


class AlreadyThere(PlainError):
    """A file that a copy would replace."""


def titles() -> dict[str, str]:
    """Each experiment's name, and the question that it answers."""
    found = sorted(EXPERIMENTS.glob("*.json"))
    return {each.stem: str(json.loads(each.read_text("utf-8"))["title"]) for each in found}


def experiment(name: str) -> Path:
    """The file of an experiment that there is."""
    return EXPERIMENTS / f"{name}.json"


def copy_to(folder: Path) -> list[Path]:
    """Copies the experiments and their load into a folder, as they lie in the repository.

    Returns the files. Raises AlreadyThere before it copies anything, and OSError.
    """
    found = [*EXPERIMENTS.glob("*.json"), *EXPERIMENTS.glob("plans/*.toml"), *PROBES.glob("*.py")]
    copies = {folder / source.relative_to(HERE): source for source in sorted(found)}
    for copy in copies:
        if copy.exists() or copy.is_symlink():
            raise AlreadyThere(f"{copy} is there already: name another folder, or move it away")
    for copy, source in copies.items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    return list(copies)
