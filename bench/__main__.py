"""`python -m bench`: measures, and writes reports/bench.json and docs/benchmark.md."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from bench.judging import SIZES, measure_judging
from bench.lab import run_lab
from bench.machine import machine
from bench.outages import QUICK, SCENARIOS, run_round
from bench.page import page
from bench.rates import measure_rates
from bench.scaling import PROCESSES, measure_scaling
from bench.tool import TOOLS, Tool
from bench.tools.pgbench import beside_the_server

ROOT = Path(__file__).parents[1]
ROUNDS = 3
QUICK_SIZES = (10_000,)

HIDDEN = ("AWS_", "BOTO", "LOCUST_", "PG")
"""How variables begin that could lead a tool elsewhere, or change what it does."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence, without the usage."""
        self.exit(2, f"Error: {message}\n")


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", type=_names, default=list(TOOLS), help="tools, with commas")
    parser.add_argument(
        "--quick", action="store_true", help="one round of a freeze; no lab, no rates"
    )
    parser.add_argument("--reports", type=Path, default=ROOT / "reports", help="for bench.json")
    return parser.parse_args(words)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in TOOLS:
            raise argparse.ArgumentTypeError(
                f"there is no tool {name!r}: there are {', '.join(TOOLS)}"
            )
    return [name for name in TOOLS if name in names]


def _measured(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    absent = {name: TOOLS[name].absent() for name in arguments.only}
    here = [TOOLS[name] for name in arguments.only if not absent[name]]
    began, load = time.monotonic(), os.getloadavg()[0]
    found: dict[str, Any] = {
        "schema": 1,
        "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": machine(),
        "postgres": _postgres(),
        "tools": {
            name: {"absent": why, "version": "" if why else TOOLS[name].version()}
            for name, why in absent.items()
        },
    }
    for name, measure in _parts(arguments, here, folder):
        since = time.monotonic()
        found[name] = measure()
        print(f"{name}: {time.monotonic() - since:.0f} s", file=sys.stderr, flush=True)
    found["seconds"] = time.monotonic() - began
    found["load_average"] = {"before": load, "after": os.getloadavg()[0]}
    return found


def _parts(
    arguments: argparse.Namespace, here: list[type[Tool]], folder: Path
) -> list[tuple[str, Callable[[], Any]]]:
    """What is measured, in this order."""
    on_database = [tool for tool in here if tool.watches == "database"]
    on_cluster = [tool for tool in here if tool.watches == "cluster"]
    for_rates = [tool for tool in here if tool.measures_rate]
    ours = [tool for tool in here if tool.name == "ours"]
    quick = arguments.quick
    parts: list[tuple[str, Callable[[], Any]]] = []
    if on_database:
        parts.append(("outages", lambda: _outages(on_database, folder, quick)))
    if on_cluster:
        parts.append(("lab", lambda: run_lab([*ours, *on_cluster], folder / "lab")))
    if for_rates and not quick:
        parts.append(("rates", lambda: measure_rates(for_rates, folder / "rates")))
    if ours and not quick:
        parts.append(("scaling", lambda: measure_scaling(PROCESSES, folder / "scaling")))
    if ours:
        sizes, times = (QUICK_SIZES, 1) if quick else (SIZES, 3)
        parts.append(("judging", lambda: measure_judging(sizes, folder / "judging", times)))
    return parts


def _outages(tools: list[type[Tool]], folder: Path, quick: bool) -> dict[str, Any]:
    """Scenario → tool → what it made of it in each round."""
    scenarios = QUICK if quick else SCENARIOS
    found: dict[str, dict[str, list[Any]]] = {
        each.name: {tool.name: [] for tool in tools} for each in scenarios
    }
    for number in range(1 if quick else ROUNDS):
        for scenario, told in run_round(number, scenarios, tools, folder / f"{number}").items():
            for name, its in told.items():
                found[scenario][name].append(its)
    return found


def _postgres() -> str:
    asked = [str(beside_the_server("postgres")), "--version"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def main(words: Sequence[str] | None = None) -> None:
    """Measures what it was asked for; a run of a part leaves the page in docs/ alone."""
    arguments = _arguments(words)
    signal.signal(signal.SIGTERM, _end)
    os.chdir(ROOT)
    for name in [name for name in os.environ if name.startswith(HIDDEN)]:
        del os.environ[name]
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        found = _measured(arguments, folder)
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
    arguments.reports.mkdir(parents=True, exist_ok=True)
    (arguments.reports / "bench.json").write_text(json.dumps(found, indent=2) + "\n")
    whole = not arguments.quick and arguments.only == list(TOOLS)
    where = ROOT / "docs" if whole else arguments.reports
    (where / "benchmark.md").write_text(page(found))
    print(f"{arguments.reports / 'bench.json'}, {where / 'benchmark.md'}")


if __name__ == "__main__":
    main()
