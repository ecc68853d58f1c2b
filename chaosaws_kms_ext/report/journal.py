"""Chaos Toolkit's journal in a run's folder: what became of each step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["read_journal"]

FILE = "journal.json"
UNKNOWN = "what became of each step is not known"


def read_journal(folder: Path) -> tuple[Mapping[str, Any], list[str]]:
    """The journal, and what is wrong with it, in a sentence; raises nothing.

    One that is not as Chaos Toolkit writes it is empty: who shows its steps need not look twice.
    """
    try:
        found = json.loads((folder / FILE).read_bytes())
    except FileNotFoundError:
        return {}, [f"{FILE} is missing: {UNKNOWN}"]
    except (OSError, ValueError, RecursionError) as problem:
        return {}, [f"{FILE} cannot be read ({problem!s:.200}): {UNKNOWN}"]
    if not isinstance(found, dict) or not all(_are_steps(found.get(p)) for p in PARTS):
        return {}, [f"{FILE} is damaged: {UNKNOWN}"]
    return found, []


PARTS = ("run", "rollbacks")


def _are_steps(part: Any) -> bool:
    return part is None or (isinstance(part, list) and all(map(_is_step, part)))


def _is_step(step: Any) -> bool:
    if not isinstance(step, dict) or not isinstance(step.get("activity"), dict):
        return False
    seconds, said = step.get("duration"), step.get("exception")
    timed = seconds is None or type(seconds) in (int, float)
    return timed and (said is None or isinstance(said, list))
