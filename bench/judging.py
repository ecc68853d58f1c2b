"""How long `chaos kms report` takes for a run, and how much memory, by the run's size."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.leash import Program

__all__ = ["SIZES", "measure_judging"]

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
"""Operations."""
RATE, BATCH = 1000, 250
"""Operations a second; in a batch, as the load writes them four times a second."""
LONG = 300
"""Seconds that one step may take."""


def measure_judging(sizes: Sequence[int], folder: Path, times: int = 3) -> list[dict[str, Any]]:
    """For each size the medians of the whole command: seconds, CPU seconds, peak bytes."""
    folder.mkdir(parents=True)
    return [_measured(size, folder / str(size), times) for size in sizes]


def _measured(size: int, folder: Path, times: int) -> dict[str, Any]:
    made = Program(
        [
            sys.executable, "-m", "tests.support.synthetic_run",
            str(folder), str(size), str(RATE), str(BATCH),
        ],
        folder.with_suffix(".made"),
    )  # fmt: skip
    if not made.wait(LONG) or made.usage()["status"]:
        raise RuntimeError(f"no synthetic run of {size}: {made.lines()[-1:]}")
    run = made.lines()[-1]
    used, verdict = [], ""
    for number in range(times):
        log = folder.with_suffix(f".{number}")
        chaos = str(Path(sys.executable).with_name("chaos"))
        report = Program(
            [chaos, "--no-version-check", "--log-file", f"{log}.chaos", "kms", "report", run],
            log,
            {**os.environ, "COLUMNS": "120"},
        )
        report.wait(LONG)
        used.append(report.usage())
        verdict = next((line.split()[-1] for line in report.lines() if "verdict" in line), "none")
    shutil.rmtree(folder)
    return {
        "operations": size,
        "verdict": verdict,
        "seconds": median(each["wall"] for each in used),
        "cpu_seconds": median(each["cpu"] for each in used),
        "peak_bytes": median(each["peak"] for each in used),
    }
