"""The settings of the environment (`CHAOS_<KEY>`), or else of the experiment's `configuration`.

Empty means the default.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.settings.contradictions import contradictions
from chaosaws_kms_ext.settings.settings import Settings

__all__ = ["NAMES", "BadSetting", "parse"]


class BadSetting(PlainError):
    """One sentence for each setting that is wrong: its name, what is wrong, what to do."""


NAMES = {f"CHAOS_{item.name.upper()}": item.name for item in fields(Settings)}
"""Variable → the setting that it sets."""


def parse(
    configuration: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
    needs_cluster: bool = True,
) -> Settings:
    """The settings of this run; raises BadSetting with everything that is wrong with them.

    `needs_cluster`: whether a run on AWS has to name one.
    """
    problems = [_misspelt(name) for name in environ if _looks_misspelt(name)]
    values: dict[str, Any] = {}
    for item in fields(Settings):
        variable = f"CHAOS_{item.name.upper()}"
        of_environment = environ.get(variable)
        given = of_environment or (configuration or {}).get(item.name)
        if given in (None, ""):
            continue
        try:
            if isinstance(given, (dict, list, bool)):
                raise ValueError("must be text or a number")
            values[item.name] = item.metadata["parse"](str(given).strip())
        except ValueError as wrong:
            # A connection string is not repeated: it may hold a password.
            shown = "" if item.name == "database" else f", not {_shown(given)}"
            by = "" if of_environment else f" (the experiment's {item.name})"
            problems.append(f"{variable}{by} {wrong}{shown}")
    # A value that could not be read contradicts nothing.
    defaults = {item.name: item.default for item in fields(Settings)}
    problems = problems or contradictions({**defaults, **values}, set(values), needs_cluster)
    if problems:
        raise BadSetting("; ".join(problems))
    return Settings(**values)


def _looks_misspelt(name: str) -> bool:
    return name.startswith("CHAOS_") and name not in NAMES and bool(_nearest(name))


def _misspelt(name: str) -> str:
    return f"{name} is no setting: did you mean {_nearest(name)[0]}?"


def _nearest(name: str) -> list[str]:
    return difflib.get_close_matches(name, NAMES, n=1, cutoff=0.85)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
