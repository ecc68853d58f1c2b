"""A synthetic run of any size: what a load of so many operations leaves, with one outage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.history.columns import CODES, Rows
from chaosaws_kms_ext.history.operations_file import (
    ALL_KINDS,
    ALL_OUTCOMES,
    Header,
    schema_of,
    write_batch,
)
from chaosaws_kms_ext.history.writer import write_rows

START = 1000 * SECOND
USERS = 16
WRITE_EVERY = 10


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
    order = np.argsort(done, kind="stable")
    schema = schema_of(Header("main", rate))
    with (folder / "operations-main-1.arrows").open("wb") as file:
        stream = pa.ipc.new_stream(file, schema)
        for first in range(0, number, batch):
            its = order[first : first + batch]
            columns = [
                pa.array(writer[its]),
                pa.array(sequence[its]),
                pa.DictionaryArray.from_arrays(pa.array(kind[its]), ALL_KINDS),
                pa.array(due[its]),
                pa.array(due[its] + 50_000),
                pa.array(done[its]),
                pa.DictionaryArray.from_arrays(pa.array(outcome[its]), ALL_OUTCOMES),
                pa.nulls(len(its), pa.string()),
                pa.nulls(len(its), pa.string()),
            ]
            write_batch(stream, pa.record_batch(columns, schema=schema))
    kept = (kind == 1) & (outcome == CODES["ok"])
    write_rows(folder, "main", Rows(writer[kept], sequence[kept]))
    return {"begin": int(due[begin]), "end": int(due[end])}
