"""Runs that go on, as far as whoever follows their folder can tell."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.history import SECOND, EventName, Operation, Process
from chaosaws_kms_ext.history.writer import OperationWriter
from chaosaws_kms_ext.report.live.tail import Tail
from chaosaws_kms_ext.report.verdict import Course
from chaosaws_kms_ext.run import Instant, Run
from tests.support.synthetic_run import KEY, begun

RATE = 100.0

STEPS = [
    {"part": "hypothesis", "place": 0, "name": "the-key-is-enabled"},
    {"part": "method", "place": 0, "name": "disable-the-key"},
    {"part": "rollbacks", "place": 0, "name": "enable-the-key"},
]


def read(folder: Path) -> Tail:
    """Everything that is there."""
    tail = Tail(folder)
    while tail.step(1.0):
        pass
    return tail


class LiveRun:
    """A run of this process; seconds are counted from when its load was steady."""

    def __init__(self, reports: Path, ago: float, process: Process | None = None) -> None:
        """`ago`: how many seconds ago that was."""
        self.run: Run
        self.run, self.folder = begun(reports, RATE, process=process or Process.this())
        self._steady = time.monotonic_ns() - round(ago * SECOND)
        self._writer = OperationWriter(self.folder / "history", "main", RATE)
        self._sequence = 0
        self.event(0, EventName.STEPS, steps=STEPS)
        self.event(0, EventName.LOAD_STARTED, load="main", reconnect_spacing_seconds=0.05)
        self.event(0, EventName.LOAD_STEADY, load="main")
        self.event(0, EventName.STATUS, key="Enabled", cluster="available", meaning="accessible")
        self.event(0, EventName.READY, caller="arn:me")

    def at(self, seconds: float) -> int:
        """ns."""
        return self._steady + round(seconds * SECOND)

    def event(self, seconds: float, name: EventName, **details: Any) -> None:
        self.run.event(name, Instant(self.at(seconds), 0), **details)

    def load(
        self, begin: float, end: float, outcome: str = "ok", detail: str | None = None
    ) -> None:
        """What was due between two instants."""
        rows = []
        for number in range(round(begin * RATE), round(end * RATE)):
            self._sequence += 1
            due = self.at(number / RATE)
            done = due + (SECOND // 1000 if outcome == "ok" else 2 * SECOND)
            its = Operation(
                "main", 1, self._sequence, "read", due, due, done, outcome, None, detail
            )
            rows.append(its[1:])
        self._writer.write(rows)

    def inject(self, seconds: float) -> None:
        self.event(seconds, EventName.INJECTED, fault="disable-key", key=KEY)

    def put_back(self, seconds: float) -> None:
        self.event(seconds, EventName.PUT_BACK, key=KEY)

    def end(self, seconds: float) -> None:
        self.event(seconds, EventName.LOAD_STOPPED, load="main")
        self._writer.close()
        self.event(seconds, EventName.ENDED, **Course().details())
        self.run.close()
