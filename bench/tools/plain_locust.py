"""Plain Locust: its user for PostgreSQL, and its CSV files."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

from bench.intervals import Interval, low_intervals
from bench.leash import Program
from bench.tool import Outage, Sustained, Tool, from_utc, register


@register
class PlainLocust(Tool):
    """A row of its stats history a second."""

    name = "locust"
    title = "Locust, `PostgresUser` and CSV"
    settings = (
        "`locust --headless --csv`, `constant_throughput`; `PostgresUser` has no time-out and no "
        "reconnect, so there is no deadline"
    )
    measures_rate = True
    waits_for_answers = True

    @classmethod
    def version(cls) -> str:
        return f"locust {version('locust')}"

    def start(self, conninfo: str, rate: float, clients: int) -> None:
        self._rate = rate
        file = Path(__file__).parents[1] / "loads" / "plain.py"
        self._program = Program(
            [
                sys.executable, "-m", "locust", "--locustfile", str(file), "--headless",
                "--users", str(clients), "--spawn-rate", str(clients), "--only-summary",
                "--csv", str(self.folder / "its"), "--exit-code-on-error", "0",
            ],
            self.folder / "log",
            {
                **os.environ,
                "BENCH_CONNINFO": f"{conninfo} application_name={self.name}",
                "BENCH_EACH": str(rate / clients),
            },
        )  # fmt: skip

    def stop(self) -> None:
        self._program.stop()

    def survived(self) -> str:
        if not self._program.running:
            return f"no: {(self._program.lines() or ['it said nothing'])[-1]}"
        *_, row, last = self._rows() or [{}, {}]
        if not last:
            return "no: it wrote nothing"
        asked = _total(last, "Request") - _total(row, "Request")
        failed = _total(last, "Failure") - _total(row, "Failure")
        if failed > 0.5 * asked:
            return f"it runs, and {failed} of its {asked} requests of the last second failed"
        return "yes"

    def outages(self) -> Sequence[Outage]:
        return low_intervals(self._intervals(), self._rate)

    def said(self, begin: float, end: float) -> str:
        rows = [row for row in self._rows() if begin + 0.5 < _at(row) <= end + 1]
        if not rows:
            return "no row"
        failed = _total(rows[-1], "Failure") - _total(rows[0], "Failure")
        rates = ", ".join(f"{float(row['Requests/s']):.0f}" for row in rows)
        failures = ", ".join(f"{float(row['Failures/s']):.0f}" for row in rows)
        return f"`Requests/s` {rates}; `Failures/s` {failures}; {failed} failures"

    def cpu_seconds(self) -> float:
        return self._program.cpu_seconds()

    def sustained(self, begin: float, end: float) -> Sustained:
        with (self.folder / "its_stats.csv").open() as file:
            total = next(row for row in csv.DictReader(file) if row["Name"] == "Aggregated")
        return Sustained(float(total["Requests/s"]), float(total["99%"]))

    def _rows(self) -> list[dict[str, str]]:
        path = self.folder / "its_stats_history.csv"
        if not path.exists():
            return []
        with path.open() as file:
            rows = list(csv.DictReader(file))
        return [row for row in rows if row["Total Failure Count"] and row["Name"] == "Aggregated"]

    def _intervals(self) -> list[Interval]:
        """Answered between two rows: what a careful reader makes of the totals."""
        found = []
        for row, following in pairwise(self._rows()):
            begin, end = _at(row), _at(following)
            if end > begin:
                answered = _answered(following) - _answered(row)
                found.append(Interval(begin, end, answered / (end - begin)))
        return found


def _answered(row: dict[str, str]) -> int:
    return _total(row, "Request") - _total(row, "Failure")


def _total(row: dict[str, str], what: str) -> int:
    return int(row[f"Total {what} Count"])


def _at(row: dict[str, str]) -> float:
    return from_utc(float(row["Timestamp"]))
