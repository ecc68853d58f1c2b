"""boto3's waiter for a cluster, again and again."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from bench.leash import Program
from bench.tool import Outage, Tool, from_utc, register

DELAY = 30.0
"""Seconds between two looks of `db_cluster_available`, as botocore has it."""

AVAILABLE = "available"

LOOP = """\
import sys, time, boto3
waiter = boto3.client("rds").get_waiter("db_cluster_available")
delay = float(sys.argv[2])
while True:
    began = time.time()
    try:
        waiter.wait(DBClusterIdentifier=sys.argv[1], WaiterConfig={"Delay": delay})
        said = "available"
    except Exception as problem:
        said = str(problem)
    print(began, time.time(), said, flush=True)
    time.sleep(delay)
"""


@register
class Waiter(Tool):
    """A line each time that it says available, or gives up."""

    name = "waiter"
    title = "boto3's waiter `db_cluster_available`"
    watches = "cluster"
    settings = (
        f"botocore's own delay of {DELAY:g} s and 60 looks, the delay divided by the lab's speed; "
        "called again as soon as it has returned and a delay has passed"
    )

    @classmethod
    def version(cls) -> str:
        return f"boto3 {version('boto3')}"

    def start(self, conninfo: str, rate: float, clients: int) -> None:
        """`conninfo`: the cluster's name; `rate`: by which AWS seconds are shorter."""
        self._delay = DELAY / rate
        command = [sys.executable, "-c", LOOP, conninfo, str(self._delay)]
        self._program = Program(command, self.folder / "log", dict(os.environ))

    def stop(self) -> None:
        self._program.stop()

    def survived(self) -> str:
        if not self._program.running:
            return f"no: {(self._program.lines() or ['it said nothing'])[-1]}"
        return "yes" if self._waits() else "no: it never returned"

    def outages(self) -> Sequence[Outage]:
        """From the begin of a wait of more than one look to the next time that it is available."""
        found: list[Outage] = []
        begin: float | None = None
        for began, ended, said in self._waits():
            if said == AVAILABLE:
                if begin is not None or ended - began > self._delay:
                    found.append((began if begin is None else begin, ended))
                begin = None
            elif begin is None:
                begin = began
        if begin is not None:
            found.append((begin, None))
        return found

    def said(self, begin: float, end: float) -> str:
        words = [said for _, ended, said in self._waits() if begin < ended < end + 1]
        told = ", ".join(f'{words.count(word)} times "{word}"' for word in dict.fromkeys(words))
        return f"returned {told or 'never'}, from the begin until 1 s after the end"

    def _waits(self) -> list[tuple[float, float, str]]:
        found = [line.split(" ", 2) for line in self._program.lines()]
        return [
            (from_utc(float(began)), from_utc(float(ended)), said) for began, ended, said in found
        ]
