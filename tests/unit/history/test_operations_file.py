"""The file of a load's operations while it is written."""

from __future__ import annotations

import random

import pytest

from chaosaws_kms_ext.history import Operation
from chaosaws_kms_ext.history.operations_file import GrowingFile, operations
from chaosaws_kms_ext.history.writer import OperationWriter


@pytest.mark.parametrize("seed", range(5))
def test_a_growing_file_gives_every_row_once_and_waits_for_whole_batches(tmp_path, seed):
    pieces = random.Random(seed)
    written = [Operation("main", 1, n, "read", n, n, n + 1, "ok", None) for n in range(60)]
    writer = OperationWriter(tmp_path, "main", 200.0)
    for begin in range(0, 60, 12):
        writer.write([each[1:] for each in written[begin : begin + 12]])
    (path,) = tmp_path.glob("*.arrows")
    whole = path.read_bytes()
    growing = GrowingFile(tmp_path / "growing")
    assert growing.batches() == []
    found, at = [], 0
    with (tmp_path / "growing").open("wb", buffering=0) as file:
        while at < len(whole):
            end = at + pieces.randint(1, 2000)
            file.write(whole[at:end])
            at = end
            for batch in growing.batches():
                found += operations("main", batch)
    assert found == written
    assert growing.header.load == "main"
