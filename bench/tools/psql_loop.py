"""psql once a second, in a loop of the shell."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from bench.intervals import runs_of_failures
from bench.leash import Program
from bench.tool import DEADLINE, QUERY, Outage, Tool, from_utc, register
from bench.tools.pgbench import beside_the_server

LOOP = """\
while :; do
  began=$(date +%s.%N)
  if said=$(timeout {deadline} "$1" -XAtqc "{query}" "$2" 2>&1); then ok=yes; else ok=no; fi
  echo "$began $(date +%s.%N) $ok $(echo $said | head -c 160)"
  sleep 1
done
"""


@register
class PsqlLoop(Tool):
    """A line a try: when it began, when it ended, whether it was answered."""

    name = "psql"
    title = "`psql` once a second"
    settings = f"a new connection each time, `timeout {DEADLINE:g} psql -c QUERY; sleep 1`"

    @classmethod
    def absent(cls) -> str:
        return "" if beside_the_server("psql") else "no psql beside PostgreSQL or on PATH"

    @classmethod
    def version(cls) -> str:
        asked = [str(beside_the_server("psql")), "--version"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()

    def start(self, conninfo: str, rate: float, clients: int) -> None:
        loop = LOOP.format(deadline=DEADLINE, query=QUERY)
        psql = str(beside_the_server("psql"))
        self._program = Program(
            ["sh", "-c", loop, "sh", psql, f"{conninfo} application_name={self.name}"],
            self.folder / "log",
        )

    def stop(self) -> None:
        self._program.stop()

    def survived(self) -> str:
        tries = self._tries()
        if not self._program.running or not tries:
            return "no"
        return "yes" if tries[-1][2] else "no: its last try failed"

    def outages(self) -> Sequence[Outage]:
        """From the last try that was answered before to the first that was after."""
        return runs_of_failures((ended, answered) for _, ended, answered, _ in self._tries())

    def said(self, begin: float, end: float) -> str:
        tries = [each for each in self._tries() if each[1] > begin and each[0] < end]
        failed = [each for each in tries if not each[2]]
        words = f', "{failed[-1][3]}"' if failed and failed[-1][3] else ""
        return f"{len(failed)} of {len(tries)} tries failed{words}"

    def _tries(self) -> list[tuple[float, float, bool, str]]:
        found = [line.split(" ", 3) for line in self._program.lines()]
        return [
            (from_utc(float(began)), from_utc(float(ended)), answered == "yes", words)
            for began, ended, answered, words in (each for each in found if len(each) == 4)
        ]
