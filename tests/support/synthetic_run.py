"""The folder of a synthetic run of any size, to be judged: `… FOLDER NUMBER RATE BATCH`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.history import SECOND, Conditions, EventName, Process
from chaosaws_kms_ext.report.verdict import Course
from chaosaws_kms_ext.run import Run
from chaosaws_kms_ext.settings import Settings
from tests.support.synthetic import START, record

KEY = "arn:aws:kms:eu-west-1:123456789012:key/k"
CLUSTER = "orders"
GONE = Process(2**22 + 1, 0.0)
"""A process that cannot run: the run has ended."""


JOURNAL = {
    "status": "completed",
    "run": [{"activity": {"name": "disable"}, "status": "succeeded", "duration": 0.1}],
    "rollbacks": [{"activity": {"name": "enable"}, "status": "succeeded", "duration": 1.5}],
}
"""As far as anybody reads Chaos Toolkit's."""


def begun(
    reports: Path,
    rate: float,
    objectives: Iterable[str] = ("rto", "lost_writes"),
    process: Process = GONE,
) -> tuple[Run, Path]:
    """A run on the lab and its folder, with the conditions that it began with."""
    settings = Settings(target="lab", lab_speed=60, load_rate=rate, reports_dir=str(reports))
    run = Run(settings, "kms-disable")
    folder = run.open_folder()
    Conditions(
        run.id,
        "kms-disable",
        "2026-11-23T10:00:00.000Z",
        settings,
        "eu-west-1",
        True,
        dict.fromkeys(objectives),
        process,
    ).write(folder / "history")
    return run, folder


def stored(reports: Path, number: int, rate: float, batch: int) -> Path:
    """A run in which the key was disabled and put back, with `number` operations of its load."""
    run, folder = begun(reports, rate)
    truth = record(folder / "history", number, rate, batch)
    begin, end = truth["begin"], truth["end"]
    last = START + round(number / rate * SECOND)
    exactly = {"within_seconds": 0.0}
    fault = {"key": KEY, "cluster": CLUSTER, **exactly}
    for at, name, details in [
        (0, EventName.TARGET, {"cluster": CLUSTER, "key": KEY}),
        (0, EventName.LOAD_STARTED, {"load": "main", "reconnect_spacing_seconds": 0.05}),
        (START, EventName.LOAD_STEADY, {"load": "main"}),
        (begin - SECOND // 100, EventName.INJECTED, {"fault": "disable-key", **fault}),
        (begin + (end - begin) // 4, EventName.STATUS, _status("Disabled", "recoverable")),
        (begin + (end - begin) // 2, EventName.PUT_BACK, fault),
        (end, EventName.STATUS, _status("Enabled", "accessible")),
        (last, EventName.LOAD_STOPPED, {"load": "main", "ran": True}),
    ]:
        note(folder, at, name, **details)
    run.event(EventName.ENDED, **Course().details())
    run.close()
    (folder / "journal.json").write_text(json.dumps(JOURNAL) + "\n")
    return folder


def note(folder: Path, at: int, name: EventName, **details: Any) -> None:
    """Writes an event as a run does, with an instant of its own (CLOCK_MONOTONIC ns)."""
    with (folder / "history" / "events.jsonl").open("a") as file:
        file.write(json.dumps({"at": at, "name": name, "details": details}) + "\n")


def _status(key: str, meaning: str) -> dict[str, Any]:
    seen = {"key": key, "cluster": "available", "instances": {}, "meaning": meaning}
    return {**seen, "within_seconds": 0.0}


if __name__ == "__main__":
    where, number, rate, batch = sys.argv[1:]
    print(stored(Path(where), int(number), float(rate), int(batch)))
