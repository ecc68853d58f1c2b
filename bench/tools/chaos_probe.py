"""Chaos Toolkit's own way: a steady state on chaosaws' probe, asked again and again."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from bench.intervals import runs_of_failures
from bench.leash import Program
from bench.tool import Outage, Tool, from_utc, register

EVERY = 1.0
"""Seconds between two looks, as Chaos Toolkit has it."""


@register
class ChaosProbe(Tool):
    """An entry of the journal a look."""

    name = "chaos-probe"
    title = "Chaos Toolkit, `chaosaws.rds.probes.cluster_status`"
    watches = "cluster"
    settings = (
        f"`chaos run` with a continuous hypothesis, tolerance `available`, every {EVERY:g} s "
        "(its default, not divided by the lab's speed)"
    )

    @classmethod
    def version(cls) -> str:
        return f"chaostoolkit {version('chaostoolkit')}, chaosaws {version('chaostoolkit-aws')}"

    def start(self, conninfo: str, rate: float, clients: int) -> None:
        """`conninfo`: the cluster's name."""
        experiment = self.folder / "experiment.json"
        experiment.write_text(json.dumps(_experiment(conninfo)))
        self._journal = self.folder / "journal.json"
        chaos = Path(sys.executable).with_name("chaos")
        self._program = Program(
            [
                str(chaos), "--no-version-check", "--log-file", str(self.folder / "chaos.log"),
                "run", "--journal-path", str(self._journal),
                "--hypothesis-frequency", str(EVERY), str(experiment),
            ],
            self.folder / "log",
            dict(os.environ),
        )  # fmt: skip

    def stop(self) -> None:
        self._program.stop()

    def survived(self) -> str:
        return "yes" if self._program.running else "no"

    def outages(self) -> Sequence[Outage]:
        """From the last look at which it was available before to the first after."""
        return runs_of_failures((at, status == "available") for at, status in self._looks())

    def said(self, begin: float, end: float) -> str:
        its = [status for at, status in self._looks() if begin < at < end]
        told = ", ".join(f'{its.count(word)} times "{word}"' for word in dict.fromkeys(its))
        journal = json.loads(self._journal.read_text())
        return f"{told}; in the end `{journal['status']}`, deviated: {journal['deviated']}"

    def _looks(self) -> list[tuple[float, str]]:
        states = json.loads(self._journal.read_text())["steady_states"]
        probes = [
            probe for state in [states["before"], *states["during"]] for probe in state["probes"]
        ]
        return [
            (from_utc(datetime.fromisoformat(each["start"]).timestamp()), str(each.get("output")))
            for each in probes
        ]


def _experiment(cluster: str) -> dict[str, object]:
    probe = {
        "type": "probe",
        "name": "cluster is available",
        "tolerance": "available",
        "provider": {
            "type": "python",
            "module": "chaosaws.rds.probes",
            "func": "cluster_status",
            "arguments": {"cluster_id": cluster},
        },
    }
    wait = {
        "type": "action",
        "name": "wait",
        "provider": {"type": "process", "path": "sleep", "arguments": "600", "timeout": 700},
    }
    return {
        "title": "The status of the cluster",
        "description": "As a steady state that is asked all the time.",
        "runtime": {"hypothesis": {"strategy": "continuously"}},
        "steady-state-hypothesis": {"title": "available", "probes": [probe]},
        "method": [wait],
        "rollbacks": [],
    }
