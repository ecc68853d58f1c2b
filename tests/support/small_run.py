"""The folder of a small run with an outage, that passes: or that was killed, or ended otherwise."""

from __future__ import annotations

import json
from pathlib import Path

from chaosaws_kms_ext.history import SECOND, EventName, Process
from chaosaws_kms_ext.history.columns import ReadBack
from chaosaws_kms_ext.history.writer import OperationWriter, write_rows
from chaosaws_kms_ext.report.verdict import Course
from chaosaws_kms_ext.run import Instant
from tests.support.histories import RATE, at, outage_of_main, written
from tests.support.synthetic_run import GONE, JOURNAL, KEY, begun

__all__ = ["stored"]

WELL = Course()


def stored(
    tmp_path: Path,
    until: EventName | None = None,
    ended: Course | None = WELL,
    process: Process = GONE,
    objectives: tuple[str, ...] = ("rto", "lost_writes"),
) -> Path:
    """A run's folder with an outage; `until`: the last of its events, when it was killed."""
    run, folder = begun(tmp_path, RATE, objectives, process)
    operations, events = outage_of_main()
    run.event(EventName.LOAD_STARTED, Instant(0, 0), load="main", reconnect_spacing_seconds=0.05)
    for each in sorted(events, key=lambda event: event.at):
        details = {**each.details, "key": KEY} if "key" in each.details else each.details
        run.event(EventName(each.name), Instant(each.at, 0), **details)
        if each.name == until:
            break
    writer = OperationWriter(folder / "history", "main", RATE)
    last = run.events[-1].at + 2 * SECOND if until else at(10_000)
    recorded = [each for each in operations if each.done <= last]
    writer.write([each[1:] for each in recorded])
    if until is None:
        writer.close()
    if until is None:
        write_rows(folder / "history", "main", ReadBack.of(written(operations)))
    if ended is not None and until is None:
        run.event(EventName.ENDED, **ended.details())
        (folder / "journal.json").write_text(json.dumps(JOURNAL) + "\n")
    run.close()
    return folder
