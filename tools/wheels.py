"""`make wheels`: of which pinned version macOS has no wheel, so that pip would have to build it.

Asks for the versions of constraints.txt that an installation with the lab needs there. A package
without a wheel for any system (pure Python, from its source) is named apart: pip builds it without
a compiler. Nothing is downloaded but what describes the packages.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MACHINES = {"Apple silicon": "aarch64-apple-darwin", "Intel": "x86_64-apple-darwin"}
"""As uv calls them; it takes macOS 13 for each."""

PYTHONS = ("3.11", "3.13")
HERE = "x86_64-unknown-linux-gnu"
NO_WHEEL = re.compile(r"Wheels are required for `([^`]+)`")
LIMIT = 300.0
"""Seconds for one look."""


class NotKnown(Exception):
    """One sentence that says what could not be looked up."""


def main() -> None:
    try:
        for name, machine in MACHINES.items():
            for python in PYTHONS:
                print(f"{name}, Python {python}: {_said(machine, python)}", flush=True)
    except NotKnown as problem:
        sys.exit(f"Not known: {problem}")


def _said(machine: str, python: str) -> str:
    pins = list(needed(machine, python))
    lacking = without_wheel(pins, machine, python)
    nowhere = without_wheel(lacking, HERE, python)
    words = [f"{len(pins) - len(lacking)} of {len(pins)} have a wheel"]
    if only_there := [pin for pin in lacking if pin not in nowhere]:
        words.append(f"Linux has one, and macOS none of {', '.join(only_there)}")
    if nowhere:
        words.append(f"for no system: {', '.join(nowhere)}")
    return "; ".join(words)


def needed(machine: str, python: str) -> Iterator[str]:
    """The pins of an installation with the lab; raises NotKnown."""
    found = _compile(
        machine, python, "--extra", "lab", "--constraint", str(ROOT / "constraints.txt"),
        str(ROOT / "pyproject.toml"),
    )  # fmt: skip
    if found.returncode:
        raise NotKnown(f"what is needed on {machine}: {found.stderr.strip()[-500:]}")
    return (line for line in found.stdout.splitlines() if "==" in line)


def without_wheel(pins: list[str], machine: str, python: str) -> list[str]:
    """Those of these pins that have no wheel for this machine and Python; raises NotKnown."""
    left, lacking = list(pins), list[str]()
    while left:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("\n".join(left))
            file.flush()
            found = _compile(machine, python, "--no-build", "--no-deps", file.name)
        if not found.returncode:
            break
        named = set(NO_WHEEL.findall(found.stderr))
        gone = [pin for pin in left if pin.partition("==")[0] in named]
        if not gone:
            raise NotKnown(f"the wheels for {machine}: {found.stderr.strip()[-500:]}")
        lacking += gone
        left = [pin for pin in left if pin not in gone]
    return lacking


def _compile(machine: str, python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--python-platform", machine,
        "--python-version", python, "--no-emit-index-url", "--no-header", "--no-annotate",
        *arguments,
    ]  # fmt: skip
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        raise NotKnown(f"{' '.join(command)} took more than {LIMIT:g} s") from None


if __name__ == "__main__":
    main()
