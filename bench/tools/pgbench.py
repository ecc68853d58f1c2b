"""pgbench at a rate, with its progress report once a second."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from bench.intervals import Interval, low_intervals
from bench.leash import Program
from bench.tool import DEADLINE, QUERY, Outage, Sustained, Tool, from_utc, register
from chaosaws_kms_ext.checkers.percentile import nearest_rank
from chaosaws_kms_lab.data_plane.binaries import Binaries, LabCannotStart

PROGRESS = re.compile(r"progress: ([0-9.]+) s, ([0-9.]+) tps, .*")


@cache
def beside_the_server(name: str) -> str | None:
    """A program next to PostgreSQL's, else on PATH."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            beside = Binaries.find(Path(folder)).directory / name
        except LabCannotStart:
            return shutil.which(name)
    return str(beside) if beside.exists() else shutil.which(name)


@register
class Pgbench(Tool):
    """A line a second."""

    name = "pgbench"
    title = "`pgbench -R -P 1`"
    settings = (
        f"`pgbench -n -f QUERY -M prepared -j 1 -R RATE -L {DEADLINE * 1000:.0f} -P 1 "
        "--progress-timestamp`; arrivals by chance, those that are late by more than the limit are "
        "skipped"
    )
    measures_rate = True
    _ended: float | None = None
    """When it ended by itself."""

    @classmethod
    def absent(cls) -> str:
        return "" if beside_the_server("pgbench") else "no pgbench beside PostgreSQL or on PATH"

    @classmethod
    def version(cls) -> str:
        asked = [str(beside_the_server("pgbench")), "--version"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()

    def start(self, conninfo: str, rate: float, clients: int) -> None:
        self._rate = rate
        script = self.folder / "query.sql"
        script.write_text(f"{QUERY};\n")
        log = ["--log", "--log-prefix", str(self.folder / "each")] if self.logs_each else []
        self._program = Program(
            [
                str(beside_the_server("pgbench")), "--no-vacuum", "--file", str(script),
                "--protocol", "prepared", "--jobs", "1", "--client", str(clients),
                "--rate", f"{rate:g}", "--latency-limit", f"{DEADLINE * 1000:.0f}",
                "--progress", "1", "--progress-timestamp", "--time", f"{self.seconds:.0f}", *log,
                f"{conninfo} application_name={self.name}",
            ],
            self.folder / "log",
        )  # fmt: skip

    def stop(self) -> None:
        if not self._program.running:
            self._ended = from_utc(self._program.ended_at())
        if not (self.logs_each and self._program.wait(self.seconds)):
            self._program.stop()

    def survived(self) -> str:
        if self._program.running:
            return "yes"
        return f'no: it ended with "{self._errors()[-1]}"'

    def outages(self) -> Sequence[Outage]:
        found = low_intervals(self._intervals(), self._rate)
        if self._ended is None or (found and found[-1][1] is None):
            return found
        return [*found, (self._ended, None)]

    def said(self, begin: float, end: float) -> str:
        told = list(filter(None, map(PROGRESS.match, self._program.lines())))
        its = [each for each in told if begin + 0.5 < from_utc(float(each[1])) <= end + 1]
        if its:
            worst = min(its, key=lambda each: float(each[2]))
            return f'"{worst[0].partition(" s, ")[2]}" in the worst second'
        return f'"{self._errors()[-1]}"'

    def cpu_seconds(self) -> float:
        return self._program.cpu_seconds()

    def sustained(self, begin: float, end: float) -> Sustained:
        took = []
        for path in self.folder.glob("each.*"):
            for line in path.read_text().splitlines():
                _, _, latency, _, seconds, microseconds, *_ = line.split()
                at = from_utc(int(seconds) + int(microseconds) / 1e6)
                if latency != "skipped" and begin <= at < end:
                    took.append(int(latency))
        p99 = nearest_rank(np.array(took), 0.99)
        return Sustained(len(took) / (end - begin), float("inf") if p99 is None else p99 / 1000)

    def _errors(self) -> list[str]:
        return [line for line in self._program.lines() if "error" in line] or ["no line"]

    def _intervals(self) -> list[Interval]:
        found = filter(None, map(PROGRESS.match, self._program.lines()))
        ends = [(from_utc(float(each[1])), float(each[2])) for each in found]
        return [Interval(end - 1, end, answered) for end, answered in ends]
