"""Runs the programs of these tools, with little of the environment that somebody has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "Failed", "run"]

ROOT = Path(__file__).parents[1]
KEPT = ("PIP_", "UV_", "LC_", "SSL_")
"""How the variables begin that a program is given."""


class Failed(Exception):
    """One sentence that says why."""


def run(
    program: object,
    *arguments: object,
    speed: int,
    limit: float,
    folder: Path = ROOT,
    fails: bool = False,
) -> str:
    """Runs a program to its end, for at most `limit` seconds; what it printed.

    `speed`: of its labs; `folder`: where it runs, which is its HOME if that is not the repository;
    `fails`: whether it has to. Raises Failed if it does not end as it has to.
    """
    command = [str(program), *map(str, arguments)]
    environment = {
        **{name: value for name, value in os.environ.items() if name.startswith(KEPT)},
        "HOME": str(folder) if folder != ROOT else os.environ.get("HOME", "/"),
        "PATH": os.pathsep.join([str(Path(command[0]).parent), os.environ["PATH"]]),
        "UV_LINK_MODE": "copy",
        "CHAOS_LAB_SPEED": str(speed),
    }
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(command)} took more than {limit:g} s") from None
    if (done.returncode != 0) is not fails:
        print(done.stdout, file=sys.stderr)
        raise Failed(f"{' '.join(command)} ended with {done.returncode}")
    return done.stdout
