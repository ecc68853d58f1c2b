"""What an operation costs a load of several processes, at one rate: near-linear if it stays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.server import Server, a_server
from bench.tool import Sustained, cost_of
from bench.tools.ours import Ours
from chaosaws_kms_ext.waiting import Observer

__all__ = ["CLIENTS", "PROCESSES", "RATE", "ROUNDS", "measure_scaling"]

PROCESSES = (1, 2, 4)
RATE, CLIENTS = 6000.0, 16
"""Operations a second, which one process can do beside the server; and all its users."""
UP_WITHIN, SECONDS, ROUNDS = 30.0, 3.0, 3


def measure_scaling(
    processes: Sequence[int], folder: Path, rounds: int = ROUNDS
) -> list[dict[str, Any]]:
    """For each number of processes the medians of how many were answered a second, of the 99th
    percentile in ms, and of microseconds of CPU for an operation, those of all of them together."""
    kept: dict[int, list[tuple[Sustained, float]]] = {number: [] for number in processes}
    with a_server() as server:
        for round_ in range(rounds):
            for number in processes:
                kept[number].append(_measured(server, number, folder / f"{number}-{round_}"))
    return [
        {
            "processes": number,
            "rate": median(did.rate for did, _ in its),
            "p99_ms": median(did.p99_ms for did, _ in its),
            "cpu_us": median(cpu for _, cpu in its),
        }
        for number, its in kept.items()
    ]


def _measured(server: Server, number: int, folder: Path) -> tuple[Sustained, float]:
    its = Ours(folder)
    its.processes = number

    def begin() -> None:
        its.start(server.conninfo, RATE, CLIENTS)
        its.load.wait_until_steady(1.0, 0.97, UP_WITHIN, Observer())

    return cost_of(its, begin, SECONDS)
