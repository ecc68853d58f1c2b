"""A synthetic run of any size: what a load of so many operations leaves, with one outage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.history.arrow_columns import Batch, Names, Numbers, Texts
from chaosaws_kms_ext.history.arrow_stream import END
from chaosaws_kms_ext.history.columns import CODES, OUTCOMES, ReadBack, Rows, Stored
from chaosaws_kms_ext.history.operations_file import Header, Recording
from chaosaws_kms_ext.history.payload import payloads
from chaosaws_kms_ext.history.records import KINDS
from chaosaws_kms_ext.history.stream_end import Summed, closing_line
from chaosaws_kms_ext.history.writer import write_rows

START = 1000 * SECOND
USERS = 16
WRITE_EVERY = 10
SESSIONS = 100
"""Connections that the load has had."""


def record(folder: Path, number: int, rate: float, batch: int, seed: int = 1) -> dict[str, int]:
    """Writes `number` arrivals as a load does, in batches of `batch`; says when the outage was.

    The middle tenth is not answered. Answers take 1 ms in the median, some much longer, so that
    they come in another order than they were due.
    """
    random = np.random.default_rng(seed)
    due = START + np.round(np.arange(number) * (SECOND / rate)).astype(np.int64)
    begin, end = number * 45 // 100, number * 55 // 100
    took = random.lognormal(np.log(1e6), 0.7, number).astype(np.int64)
    took[begin:end] = 2 * SECOND
    done = due + took
    outcome = np.full(number, CODES["ok"], np.int8)
    outcome[begin:end] = CODES["timeout"]
    kind = np.where(np.arange(number) % WRITE_EVERY == WRITE_EVERY - 1, 1, 0).astype(np.int8)
    writer = (1 + np.arange(number) % USERS).astype(np.int32)
    sequence = 1 + np.arange(number, dtype=np.int64) // USERS
    key, value = _seen(writer, sequence, kind, outcome)
    session = (1 + np.arange(number) % SESSIONS).astype(np.int32)
    order = np.argsort(done, kind="stable")
    recording = Recording(Header("main", rate))
    with (folder / "operations-main-1.arrows").open("wb") as path:
        file = Summed(path)
        file.write(recording.head())
        for first in range(0, number, batch):
            its = order[first : first + batch]
            none, saw = Texts.of([None] * len(its)), key[its] != 0
            columns = {
                "writer": Numbers(writer[its]),
                "sequence": Numbers(sequence[its]),
                "kind": Names(kind[its], KINDS),
                "due": Numbers(due[its]),
                "sent": Numbers(due[its] + 50_000),
                "done": Numbers(done[its]),
                "outcome": Names(outcome[its], OUTCOMES),
                "sqlstate": none,
                "detail": none,
                "session": Numbers(session[its], saw),
                "key": Numbers(key[its], saw),
                "value": Numbers(value[its], saw),
            }
            file.write(recording.batch(Batch(len(its), columns)))
        file.write(END)
        file.write(closing_line(file.crc))
    kept = (kind == 1) & (outcome == CODES["ok"])
    rows = Rows(writer[kept], sequence[kept])
    last = np.array([sequence[kept & (writer == each)].max() for each in np.unique(rows.writer)])
    registers = Rows(np.unique(rows.writer), last)
    found = (Stored(each, payloads(each.numbers)) for each in (rows, registers))
    write_rows(folder, "main", ReadBack(*found))
    return {"begin": int(due[begin]), "end": int(due[end])}


def _seen(
    writer: NDArray[np.int32],
    sequence: NDArray[np.int64],
    kind: NDArray[np.int8],
    outcome: NDArray[np.int8],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The key and the value of each operation: of every tenth, half-way between two writes, it is
    the write before; of the others the key is 0."""
    number = np.arange(len(writer))
    before = number - WRITE_EVERY // 2
    reads = (number % WRITE_EVERY == WRITE_EVERY // 2 - 1) & (before >= 0)
    reads &= outcome == CODES["ok"]
    reads[reads] = outcome[before[reads]] == CODES["ok"]
    key, value = np.zeros(len(writer), np.int32), np.zeros(len(writer), np.int64)
    assert (kind[before[reads]] == 1).all()
    key[reads], value[reads] = writer[before[reads]], sequence[before[reads]]
    return key, value
