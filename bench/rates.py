"""The most that a tool can ask while its p99 is below a limit, and what an operation costs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.outages import CLIENTS
from bench.server import Server, a_server
from bench.tool import Sustained, Tool, cost_of

__all__ = ["LIMIT_MS", "highest", "measure_rates"]

LIMIT_MS = 10.0
SHARE = 0.97
"""Of the rate that was asked for, at least."""
STEPS = [round(1000 * 1.1**n) for n in range(45)]
"""Operations a second."""
FIRST = 21
"""The step that the first round begins with."""
WIDE, NARROW = 8, 3
"""Steps at once: as long as nothing is known of a tool, and then."""
UNBOUNDED = 1e6
"""Operations a second of a tool whose clients are as fast as their answers come."""
SETTLE, SECONDS = 0.5, 2.0
ROUNDS = 3
UP_WITHIN = 20


def measure_rates(tools: Sequence[type[Tool]], folder: Path) -> dict[str, Any]:
    """By name: the rates that were sustained in each round, their median, and microseconds of CPU
    for an operation at it."""
    kept: dict[str, list[tuple[float, float]]] = {tool.name: [] for tool in tools}
    hints = {tool.name: FIRST for tool in tools}
    with a_server() as server:
        for number in range(ROUNDS):
            for tool in tools:
                search = _Search(tool, server, folder / f"{tool.name}-{number}")
                stride = WIDE if number == 0 else NARROW
                steps = 1 if tool.waits_for_answers else len(STEPS)
                step = highest(search.sustains, min(hints[tool.name], steps - 1), steps, stride)
                if step is not None:
                    hints[tool.name] = step
                    did, cpu = search.found[step]
                    kept[tool.name].append((did.rate, cpu))
    return {
        name: {
            "rates": [rate for rate, _ in its],
            "rate": median(rate for rate, _ in its) if its else None,
            "cpu_us": median(cpu for _, cpu in its) if its else None,
        }
        for name, its in kept.items()
    }


def highest(passes: Callable[[int], bool], hint: int, number: int, stride: int) -> int | None:
    """The highest of `number` steps that passes, looked for from `hint` on; None: none does."""
    low, high = -1, number  # the highest that passed, the lowest that did not
    at = hint
    while high - low > 1:
        if passes(at):
            low = at
            at = min(at + stride, high - 1) if high == number else (low + high) // 2
        else:
            high = at
            at = max(at - stride, low + 1) if low == -1 else (low + high) // 2
    return None if low == -1 else low


class _Search:
    """One round of one tool."""

    def __init__(self, tool: type[Tool], server: Server, folder: Path) -> None:
        self._tool, self._server, self._folder = tool, server, folder
        self.found: dict[int, tuple[Sustained, float]] = {}
        """Step → how it did, and microseconds of CPU for an operation."""

    def sustains(self, step: int) -> bool:
        """Whether the tool can do it at this step's rate."""
        waits = self._tool.waits_for_answers
        rate = UNBOUNDED if waits else STEPS[step]
        its, cpu = _probe(self._tool, self._server, rate, self._folder / str(step))
        self.found[step] = its, cpu
        return its.p99_ms < LIMIT_MS and (waits or its.rate >= SHARE * rate)


def _probe(tool: type[Tool], server: Server, rate: float, folder: Path) -> tuple[Sustained, float]:
    """How it did at a rate, and microseconds of CPU for an operation."""
    its = tool(folder, seconds=round(SETTLE + SECONDS + 1), logs_each=True)

    def begin() -> None:
        its.start(server.conninfo, rate, CLIENTS)
        end = time.monotonic() + UP_WITHIN
        while server.sessions(tool.name) < CLIENTS and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(SETTLE)

    return cost_of(its, begin, SECONDS)
