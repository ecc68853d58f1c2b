"""`make sizes`: what each part of an installation takes, as a table for docs/systems.md.

Measured in the environment that it runs in: the files of the package and of all that it needs, as
pip has recorded them.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

PROJECT = "chaostoolkit-aws-kms"
SHOWN = 5.0
"""Megabytes: smaller ones are added up."""


def needed(extras: Iterable[str]) -> dict[str, Distribution]:
    """What an installation with these extras consists of, by name."""
    found: dict[str, Distribution] = {}
    waiting = [(PROJECT, frozenset(extras))]
    seen = set(waiting)
    while waiting:
        name, of = waiting.pop()
        try:
            its = distribution(name)
        except PackageNotFoundError:
            continue  # for another system
        found[its.metadata["Name"].lower()] = its
        for line in its.requires or ():
            need = Requirement(line)
            marker = need.marker
            if marker and not any(marker.evaluate({"extra": each}) for each in of or {""}):
                continue
            if (next_one := (need.name, frozenset(need.extras))) not in seen:
                seen.add(next_one)
                waiting.append(next_one)
    return found


def megabytes(its: Distribution) -> float:
    """The size of its files."""
    paths = (its.locate_file(name) for name in its.files or ())
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6  # type: ignore[attr-defined]


def table(parts: dict[str, Distribution]) -> list[str]:
    """The large ones, each with its version, and the rest in one line."""
    sizes = {name: megabytes(its) for name, its in parts.items()}
    large = sorted((name for name in sizes if sizes[name] >= SHOWN), key=lambda name: -sizes[name])
    rest = [name for name in sizes if name not in large]
    lines = [f"| {name} {parts[name].version} | {sizes[name]:.0f} |" for name in large]
    lines.append(f"| {len(rest)} others | {sum(sizes[name] for name in rest):.0f} |")
    return [*lines, f"| together | {sum(sizes.values()):.0f} |"]


def main() -> None:
    core, lab = needed(()), needed(("lab",))
    added = {name: its for name, its in lab.items() if name not in core}
    print(f"{platform.system()} {platform.machine()}, Python {platform.python_version()}.\n")
    for title, parts in {"the core": core, "the extra `lab` adds": added}.items():
        print(f"| {title} | MB |\n|---|---|")
        print("\n".join(table(parts)) + "\n")


if __name__ == "__main__":
    main()
