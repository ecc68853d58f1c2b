"""The same faults for every tool at the same time: what each makes of them, beside the truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from bench.server import Server, Times, a_server
from bench.tool import Outage, Tool

__all__ = ["CLIENTS", "QUICK", "RATE", "SCENARIOS", "compared", "run_round"]

RATE, CLIENTS = 200.0, 8
WARM, WARM_QUICK = 12.0, 1.5
"""Seconds of service before the first fault: Locust's `Requests/s` looks back at ten."""
AFTER, AFTER_QUICK = 4.2, 2.2
"""Seconds of service after each."""
UP_WITHIN = 30
"""Seconds for the tools to have their sessions."""


def _three_short(server: Server) -> list[Times]:
    found = []
    for number in range(3):
        if number:
            time.sleep(1.3)
        found.append(server.freeze(0.8))
    return found


@dataclass(frozen=True)
class Scenario:
    """One kind of outage."""

    name: str
    title: str
    happen: Callable[[Server], list[Times]]
    """Does it; says what the truth is."""


SCENARIOS = (
    Scenario("freeze", "total freeze, 3.4 s", lambda its: [its.freeze(3.4)]),
    Scenario("half", "half of the sessions frozen, 3.4 s", lambda its: [its.freeze_half(3.4)]),
    Scenario("short", "three freezes of 0.8 s, 1.3 s apart", _three_short),
    Scenario("crash", "killed, and 2 s later crash recovery", lambda its: [its.crash(2)]),
)
QUICK = (Scenario("brief", "total freeze, 1.6 s", lambda its: [its.freeze(1.6)]),)
"""What a quick run has."""


def run_round(
    number: int, scenarios: Sequence[Scenario], tools: Sequence[type[Tool]], folder: Path
) -> dict[str, dict[str, Any]]:
    """What each tool says of each scenario, one after another on a server of their own:
    scenario → tool → figures."""
    warm, after = (WARM_QUICK, AFTER_QUICK) if scenarios is QUICK else (WARM, AFTER)
    truth: dict[str, list[Times]] = {}
    survived: dict[str, dict[str, str]] = {}
    with a_server() as server:
        running: list[Tool] = []
        try:
            for tool in tools:
                running.append(tool(folder / tool.name))
                running[-1].start(server.conninfo, RATE, CLIENTS)
            _wait_until_up(server, running)
            time.sleep(warm)
            for scenario in scenarios:
                # At any place of a second: most tools speak once in one.
                time.sleep(Random(f"{scenario.name} {number}").random())
                truth[scenario.name] = scenario.happen(server)
                time.sleep(after)
                survived[scenario.name] = {each.name: each.survived() for each in running}
        finally:
            for each in running:
                each.stop()
    return {
        name: {
            each.name: {
                "survived": survived[name][each.name],
                "said": each.said(its[0][0], its[-1][1]),
                **compared(each.outages(), its),
            }
            for each in running
        }
        for name, its in truth.items()
    }


def _wait_until_up(server: Server, running: Sequence[Tool]) -> None:
    end = time.monotonic() + UP_WITHIN
    waiting = [each.name for each in running if each.name != "psql"]
    while waiting and time.monotonic() < end:
        time.sleep(0.1)
        waiting = [name for name in waiting if server.sessions(name) < CLIENTS]


def compared(outages: Sequence[Outage], truth: Sequence[Times]) -> dict[str, Any]:
    """For each true outage the error of begin, end and width (seconds; None: it was not told, or
    not as one of its own), and how many the tool told of at that time."""
    near = [its for its in outages if _overlap(its, truth[0][0], truth[-1][1])]
    found: list[dict[str, float | None]] = []
    taken: set[int] = set()
    for begin, end in truth:
        match = next(
            (n for n, its in enumerate(near) if n not in taken and _overlap(its, begin, end)), None
        )
        if match is None:
            found.append({"begin": None, "end": None, "width": None})
            continue
        taken.add(match)
        found.append(_errors(near[match], begin, end))
    return {"told": len(near), "errors": found}


def _errors(told: Outage, begin: float, end: float) -> dict[str, float | None]:
    its_begin, its_end = told
    off_begin = None if its_begin is None else its_begin - begin
    off_end = None if its_end is None else its_end - end
    width = None if off_begin is None or off_end is None else off_end - off_begin
    return {"begin": off_begin, "end": off_end, "width": width}


def _overlap(told: Outage, begin: float, end: float) -> bool:
    its_begin, its_end = told
    return (its_begin is None or its_begin < end) and (its_end is None or its_end > begin)
