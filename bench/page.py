"""docs/benchmark.md, from what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from bench import scaling
from bench.lab import HOLD, SPEED
from bench.outages import CLIENTS, QUICK, RATE, SCENARIOS
from bench.rates import LIMIT_MS
from bench.tool import DEADLINE, QUERY, TOOLS
from bench.tools.waiter import DELAY

__all__ = ["page"]

HEAD = """\
<!-- Made by `make bench`: do not edit. -->
# This suite beside what people use today

`make bench` makes this page: the same faults on the same machine in the same run, for each tool.
The truth is what the benchmark did itself to a PostgreSQL of its own: the instants of SIGSTOP,
SIGCONT and SIGKILL, and the one at which a server was ready again after its crash recovery.
"""

ERRORS = """\
Each cell is how far the tool's instant, or width, is from the true one, in milliseconds: the median
over all outages of the kind in {rounds} round{plural}, and in brackets the one farthest off, with
its sign (minus: too early, too short). "not seen": of so many outages it told nothing, or told
several as one. When in a second the fault comes is drawn by lot, the same for all.

Of pgbench and Locust an outage is made from the seconds in which they counted fewer than three
quarters of the rate; for Locust from the totals in its CSV, since its `Requests/s` looks back.
"""


def page(found: Mapping[str, Any]) -> str:
    """The page's text; what was not measured is left out."""
    parts = [HEAD, _settings(found)]
    if outages := found.get("outages"):
        parts.append(_outages(outages))
    if lab := found.get("lab"):
        parts.append(_lab(lab))
    if rates := found.get("rates"):
        parts.append(_rates(rates))
    if by_processes := found.get("scaling"):
        parts.append(_scaling(by_processes))
    if judging := found.get("judging"):
        parts.append(_judging(judging))
    parts.append(_machine(found))
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(_cell(each) for each in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _title(name: str) -> str:
    return TOOLS[name].title


def _settings(found: Mapping[str, Any]) -> str:
    rows = [
        [_title(name), its["absent"] or its["version"], TOOLS[name].settings]
        for name, its in found["tools"].items()
    ]
    said = (
        f"Each asks `{QUERY}` (10 000 rows) with {CLIENTS} clients, {RATE:g} times a second, and "
        f"takes an answer within {DEADLINE:g} s for one in time, where it has such settings; all "
        "run at once, on a database that no other uses."
    )
    return f"## The tools\n\n{said}\n\n{_table(['tool', 'version', 'settings'], rows)}"


def _outages(outages: Mapping[str, Any]) -> str:
    text = ["## An outage: when it began, when it ended, how long it was", ""]
    rounds = len(next(iter(next(iter(outages.values())).values())))
    text.append(ERRORS.format(rounds=rounds, plural="" if rounds == 1 else "s"))
    said, survived = [], []
    for scenario in (*QUICK, *SCENARIOS):
        if not (tools := outages.get(scenario.name)):
            continue
        rows = [[_title(name), *_errors(its)] for name, its in tools.items()]
        text += [f"### {scenario.title[0].upper()}{scenario.title[1:]}", ""]
        text.append(_table(["tool", "begin, ms", "end, ms", "width, ms", "told of"], rows))
        said += [[scenario.title, _title(name), its[0]["said"]] for name, its in tools.items()]
        survived += [
            [scenario.title, _title(name), its[-1]["survived"]]
            for name, its in tools.items()
            if any(each["survived"] != "yes" for each in its)
        ]
    text += ["## What each said", "", "Its own words about the time of the fault, first round.", ""]
    text.append(_table(["fault", "tool", "said"], said))
    text += ["## Who does not go on afterwards", ""]
    text.append(_table(["fault", "tool", "goes on"], survived) if survived else "Nobody.\n")
    return "\n".join(text)


def _errors(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Cells for begin, end, width, and how many outages it told of."""
    every = [each for its in rounds for each in its["errors"]]
    cells = [_error([each[name] for each in every]) for name in ("begin", "end", "width")]
    told = sum(its["told"] for its in rounds)
    return [*cells, f"{told} of {len(every)}"]


def _error(values: Sequence[float | None]) -> str:
    known = [each for each in values if each is not None]
    if not known:
        return "not seen"
    worst = max(known, key=abs)
    missing = len(values) - len(known)
    more = f", {missing} of {len(values)} not seen" if missing else ""
    return f"{median(map(abs, known)) * 1000:.0f} [{worst * 1000:+.0f}]{more}"


def _lab(lab: Mapping[str, Any]) -> str:
    text = [
        "## A disabled key: who asks AWS for the status",
        "",
        f"On a lab at speed {SPEED:g}, with the key away {HOLD:g} s after the impact. The truth is "
        "what the lab did to its servers, which no tool may read. The waiter's delay is divided by "
        f"the lab's speed: on AWS its errors are {SPEED:g} times as large, since the delay is "
        f"{DELAY:g} s; those of the load are not.",
        "",
    ]
    rows = [[_title(name), *_errors([its]), its["said"]] for name, its in lab.items()]
    text.append(_table(["tool", "begin, ms", "end, ms", "width, ms", "told of", "said"], rows))
    return "\n".join(text)


def _rates(rates: Mapping[str, Any]) -> str:
    most = max(its["rate"] or 0 for its in rates.values())
    rows = [
        [
            _title(name),
            f"{its['rate']:,.0f}" if its["rate"] else "none",
            f"{its['rate'] / most:.2f}" if its["rate"] else "",
            ", ".join(f"{each:,.0f}" for each in its["rates"]),
            f"{its['cpu_us']:.0f}" if its["cpu_us"] else "",
        ]
        for name, its in rates.items()
    ]
    said = (
        f"The highest rate of which at least 97 % were answered with a 99th percentile below "
        f"{LIMIT_MS:g} ms by the tool's own account; steps of a tenth, rounds in turn; the "
        "server shares the cores. This suite counts from the instant an arrival was due, as "
        "pgbench does. Locust counts from when it sent, and its clients wait for their answers: "
        "it is run without any rate, as fast as it can. This suite writes every operation down; "
        "pgbench writes a line each (`--log`); Locust keeps sums only. CPU is that of the tool's "
        "own process at that rate."
    )
    head = ["tool", "operations/s (median)", "of the best", "each round", "CPU µs an operation"]
    return f"## How much load\n\n{said}\n\n{_table(head, rows)}"


def _scaling(measured: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            f"{its['processes']}",
            f"{its['rate']:,.0f}",
            f"{its['p99_ms']:.1f}",
            f"{its['cpu_us']:.0f}",
            f"{its['cpu_us'] / measured[0]['cpu_us']:.2f}",
        ]
        for its in measured
    ]
    said = (
        f"This suite's load in several processes, with {scaling.RATE:,.0f} operations a second and "
        f"{scaling.CLIENTS} clients in all; medians of {scaling.ROUNDS} rounds in turn. The server "
        "shares the cores, so that more of them show no higher rate here: what has to stay is what "
        "an operation costs all processes together."
    )
    head = ["processes", "answered/s", "p99, ms", "CPU µs an operation", "of one process"]
    return f"## More than one process\n\n{said}\n\n{_table(head, rows)}"


def _judging(judging: Sequence[Mapping[str, Any]]) -> str:
    first = judging[0]
    rows = [
        [
            f"{its['operations']:,}",
            f"{its['seconds']:.2f}",
            f"{its['cpu_seconds']:.2f}",
            f"{its['peak_bytes'] / 1e6:.0f}",
            _each(its, first),
        ]
        for its in judging
    ]
    said = (
        "`chaos kms report` on the folder of a synthetic run with one outage, the whole command, "
        "medians of three. The last column is the CPU that each operation adds to the smallest run."
    )
    head = ["operations", "seconds", "CPU seconds", "peak MB", "CPU ns an operation"]
    return f"## Judging\n\n{said}\n\n{_table(head, rows)}"


def _each(its: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    more = its["operations"] - first["operations"]
    return f"{(its['cpu_seconds'] - first['cpu_seconds']) / more * 1e9:.0f}" if more > 1e5 else ""


def _machine(found: Mapping[str, Any]) -> str:
    its = found["machine"]
    load = found["load_average"]
    return (
        "## The machine\n\n"
        f"{its['cpu']}, {its['cores']} cores, {its['memory_bytes'] / 2**30:.0f} GiB, "
        f"{its['system']}, Python {its['python']}, {found['postgres']}. Load average "
        f"{load['before']:.1f} before, {load['after']:.1f} after; {found['seconds']:.0f} s, "
        f"{found['at']}.\n"
    )
