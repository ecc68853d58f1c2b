"""A plan as a TOML file says it: which experiments, in which order, with which settings."""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.files import read_plain
from chaosaws_kms_ext.settings import Settings
from chaosaws_kms_ext.text import shortened

__all__ = ["BadPlan", "Item", "Plan", "read"]

OF_PLAN = ("name", "go_on", "blast_radius", "pause", "region", "settings", "item")
OF_ITEM = ("name", "experiment", "pause", "region", "settings")
SETTINGS = frozenset(each.name for each in fields(Settings))
OF_ALL = "reports_dir"
"""The setting that no item has for itself: one report links to all of them."""

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,58}[A-Za-z0-9])?")
REGION = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-\d+")
MOST_ITEMS, LONGEST_PAUSE, MOST_LOST = 100, 7 * 86400.0, 100_000
SHOWN = 60
"""Characters of what is wrong."""


class BadPlan(PlainError):
    """A plan that cannot be carried out: one sentence for each thing that is wrong."""


@dataclass(frozen=True)
class Item:
    """One experiment of a plan."""

    name: str
    experiment: Path
    region: str
    """Empty: that of the environment."""
    pause: float
    """Seconds before it, from the end of the one before."""
    settings: Mapping[str, str]
    """Setting → its text: the item's own, or else the plan's."""

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """What its run is started with: the plan's settings win over those of `environ`."""
        given = {f"CHAOS_{name.upper()}": text for name, text in self.settings.items()}
        region = {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}
        return {**environ, **given, **(region if self.region else {})}


@dataclass(frozen=True)
class Plan:
    """Several experiments, in order."""

    name: str
    path: Path
    items: tuple[Item, ...]
    blast_radius: int
    """How many things may lose their key on AWS over the whole plan."""
    go_on: bool
    """Whether the next item is begun although the one before did not pass."""


def read(path: Path) -> Plan:
    """The plan of a file; raises BadPlan with everything that is wrong with it."""
    said = _toml(path)
    wrong = _unknown("the plan", said, OF_PLAN)
    name = said.get("name", path.stem)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        wrong.append(f"the plan's name is letters, digits and hyphens, not {_shown(name)}")
    radius, go_on = said.get("blast_radius", 0), said.get("go_on", False)
    if not _is_whole(radius) or not 0 <= radius <= MOST_LOST:
        wrong.append(f"blast_radius is a whole number up to {MOST_LOST}, not {_shown(radius)}")
    if not isinstance(go_on, bool):
        wrong.append(f"go_on is true or false, not {_shown(go_on)}")
    wrong += _place(said, "the plan")
    common, its_wrong = _settings(said.get("settings", {}), "[settings]")
    wrong += its_wrong
    tables = said.get("item", [])
    if not isinstance(tables, list) or not 0 < len(tables) <= MOST_ITEMS:
        wrong.append(f"the plan needs 1 to {MOST_ITEMS} tables [[item]]")
        tables = []
    items: list[Item] = []
    for number, table in enumerate(tables, 1):
        item, its_wrong = _item(table, number, said, common)
        wrong += its_wrong
        items += [item] if item else []
    names = [item.name for item in items]
    for twice in sorted({each for each in names if names.count(each) > 1}):
        wrong.append(f"two items are called {twice}: give each a name of its own")
    if wrong:
        raise BadPlan("; ".join(wrong))
    return Plan(name, path, tuple(items), radius, go_on)


# Internals


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_plain(path).decode())
    except FileNotFoundError:
        raise BadPlan(f"{path} is not there: name the TOML file of a plan") from None
    except OSError as problem:
        raise BadPlan(f"{path} cannot be read: {problem.strerror or problem}") from None
    except (ValueError, RecursionError) as problem:
        raise BadPlan(f"{path} is no TOML: {shortened(str(problem), 200)}") from None


def _item(
    table: Any, number: int, plan: Mapping[str, Any], common: Mapping[str, str]
) -> tuple[Item | None, list[str]]:
    """The item of a table, and what is wrong with it."""
    of = f"item {number}"
    if not isinstance(table, dict):
        return None, [f"{of} is no table"]
    wrong = _unknown(of, table, OF_ITEM)
    file = table.get("experiment")
    if not isinstance(file, str) or not file or not file.isprintable():
        return None, [*wrong, f"{of} needs an experiment: the path of a JSON file"]
    name = table.get("name", Path(file).stem)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        wrong.append(f"the name of {of} is letters, digits and hyphens, not {_shown(name)}")
        name = of
    wrong += _place(table, of)
    own, its_wrong = _settings(table.get("settings", {}), f"the settings of {of}")
    wrong += its_wrong
    if OF_ALL in own:
        wrong.append(f"{OF_ALL} is a setting of the whole plan: put it in its [settings]")
    if wrong:
        return None, wrong
    pause = float(table.get("pause", plan.get("pause", 0.0)))
    region = str(table.get("region", plan.get("region", "")))
    pause = pause if number > 1 else float(table.get("pause", 0.0))
    return Item(name, Path(file), region, pause, {**common, **own}), []


def _place(table: Mapping[str, Any], of: str) -> list[str]:
    """What is wrong with a Region and a pause."""
    wrong = []
    pause, region = table.get("pause", 0.0), table.get("region", "")
    number = isinstance(pause, int | float) and not isinstance(pause, bool)
    if not number or not math.isfinite(pause) or not 0 <= pause <= LONGEST_PAUSE:
        wrong.append(
            f"the pause of {of} is seconds from 0 to {LONGEST_PAUSE:g}, not {_shown(pause)}"
        )
    if region != "" and not (isinstance(region, str) and REGION.fullmatch(region)):
        wrong.append(f"the region of {of} is one as eu-west-1, not {_shown(region)}")
    return wrong


def _settings(table: Any, of: str) -> tuple[dict[str, str], list[str]]:
    """Setting → its text, as an environment variable has it; and what is wrong."""
    if not isinstance(table, dict):
        return {}, [f"{of} is a table of settings, not {_shown(table)}"]
    wrong, found = _unknown(of, table, sorted(SETTINGS)), {}
    for name, value in table.items():
        if name not in SETTINGS:
            continue
        if isinstance(value, list | dict):
            found[name] = json.dumps(value) if _of_tables(value) else ",".join(map(str, value))
        elif isinstance(value, str) or (isinstance(value, int | float) and value is not True):
            found[name] = str(value)
        else:
            wrong.append(f"{name} of {of} is a text, a number or a list, not {_shown(value)}")
        if "\0" in found.get(name, ""):
            wrong.append(f"{name} of {of} has a character that no setting has")
    return found, wrong


def _of_tables(value: Any) -> bool:
    """Whether it is said as JSON: the lab's misbehaviours are tables."""
    return isinstance(value, dict) or any(isinstance(each, dict) for each in value)


def _unknown(of: str, table: Mapping[str, Any], known: Collection[str]) -> list[str]:
    return [
        f"{of} has no {_shown(name)}{_meant(name, known)}" for name in table if name not in known
    ]


def _meant(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name.lower().removeprefix("chaos_"), known, n=1, cutoff=0.6)
    return f": did you mean {near[0]}?" if near else f": there are {', '.join(sorted(known)[:8])}"


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return shortened(repr(value), SHOWN)
