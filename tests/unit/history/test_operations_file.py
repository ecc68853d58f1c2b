"""The file of a load's operations while it is written."""

from __future__ import annotations

import random
import subprocess
import sys
import zlib

import pyarrow as pa
import pytest

from chaosaws_kms_ext.history import Operation
from chaosaws_kms_ext.history.columns import OUTCOMES
from chaosaws_kms_ext.history.operations_file import (
    GrowingFile,
    HistoryDamaged,
    operations,
    read_batches,
)
from chaosaws_kms_ext.history.reader import read_history
from chaosaws_kms_ext.history.records import KINDS
from chaosaws_kms_ext.history.writer import OperationWriter
from tests.support.records import recorded
from tests.support.synthetic import record


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
    assert growing.read() is None
    found, at = [], 0
    with (tmp_path / "growing").open("wb", buffering=0) as file:
        while at < len(whole):
            end = at + pieces.randint(1, 2000)
            file.write(whole[at:end])
            at = end
            if (batch := growing.read()) is not None:
                found += operations("main", batch)
    assert found == written
    assert growing.header.load == "main"


NAME = pa.dictionary(pa.int8(), pa.string())
COLUMNS = pa.schema(
    [
        pa.field("writer", pa.int32(), nullable=False),
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("kind", NAME, nullable=False),
        pa.field("due", pa.int64(), nullable=False),
        pa.field("sent", pa.int64()),
        pa.field("done", pa.int64(), nullable=False),
        pa.field("outcome", NAME, nullable=False),
        pa.field("sqlstate", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("session", pa.int32()),
        pa.field("key", pa.int32()),
        pa.field("value", pa.int64()),
    ],
    {
        "load": "main", "rate": "200.0", "worker": "0", "workers": "1", "start": "0",
        "starts": "0", "schema": "4",
    },
)  # fmt: skip
WRITTEN = [
    Operation("main", 1, 1, "write", 10, 11, 19, "ok", None, None),
    Operation("main", 2, 1, "read", 20, None, 29, "error", "57P01", "ü", 3, 1, 1),
    Operation("main", 0, 1, "attempt", 30, 31, 39, "lost", None, "reset", None, None, None),
]
CRC = {"writer": "int32", "sequence": "int64", "due": "int64", "done": "int64"}


def by_pyarrow(operations, kinds=KINDS):
    """What a load of version 0.1 wrote, of which pyarrow made the stream; `kinds`: as its names
    stood."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, COLUMNS) as stream:
        for rows in ([], operations):
            columns = dict(
                zip(COLUMNS.names, zip(*(o[1:] for o in rows), strict=True), strict=False)
            )
            arrays = []
            for field in COLUMNS:
                its = columns.get(field.name, ())
                if field.type == NAME:
                    names = kinds if field.name == "kind" else OUTCOMES
                    codes = pa.array([names.index(each) for each in its], pa.int8())
                    arrays.append(pa.DictionaryArray.from_arrays(codes, pa.array(names)))
                else:
                    arrays.append(pa.array(its, field.type))
            batch = pa.record_batch(arrays, schema=COLUMNS)
            said = {"crc32": str(checksum(batch))}
            if not rows:
                header = repr(sorted(COLUMNS.metadata.items())).encode()
                said["header-crc32"] = str(zlib.crc32(header))
            stream.write_batch(batch, custom_metadata=said)
    return sink.getvalue().to_pybytes()


def checksum(batch):
    parts = [batch[name].to_numpy(zero_copy_only=False).astype(its) for name, its in CRC.items()]
    parts += [batch[name].indices.to_numpy() for name in ("kind", "outcome")]
    for name in ("sqlstate", "detail"):
        its = batch[name].to_pylist()
        if any(each is not None for each in its):
            parts.append(bytes(each is not None for each in its))
            parts.append("\0".join(each for each in its if each is not None).encode())
    for name, null in {"sent": -1, "session": -1, "key": -1, "value": -2}.items():
        parts.append(batch[name].fill_null(null).to_numpy())
    found = 0
    for each in parts:
        found = zlib.crc32(each, found)
    return found


@pytest.mark.parametrize("kinds", [KINDS, ("attempt", *KINDS[:5])], ids=["same", "others"])
@pytest.mark.parametrize("end", ["closed", "killed", "stopped"])
def test_what_an_older_version_wrote_is_read(tmp_path, end, kinds):
    content = by_pyarrow(WRITTEN, kinds)
    if end == "closed":
        content += b"crc32 %08x\n" % zlib.crc32(content)
    elif end == "killed":
        content = content[:-8]
    path = tmp_path / "operations-main-1.arrows"
    path.write_bytes(content)
    assert recorded(tmp_path) == WRITTEN
    if end != "closed":  # its batches are looked at one by one
        path.write_bytes(content.replace(b"57P01", b"57P02"))
        with pytest.raises(HistoryDamaged, match="a checksum is not that of its rows"):
            recorded(tmp_path)


def test_what_is_written_has_the_checksums_that_older_versions_look_for(tmp_path):
    writer = OperationWriter(tmp_path, "main", 200.0)
    writer.write([each[1:] for each in WRITTEN])
    (path,) = tmp_path.glob("*.arrows")
    with pa.ipc.open_stream(path.read_bytes()) as stream:
        assert stream.schema.equals(COLUMNS, check_metadata=True)
        for rows in (0, len(WRITTEN)):
            batch, said = stream.read_next_batch_with_custom_metadata()
            assert (batch.num_rows, said[b"crc32"]) == (rows, b"%d" % checksum(batch))
            assert (b"header-crc32" in said) == (not rows)


def test_a_kind_that_is_not_known_is_an_error(tmp_path):
    content = by_pyarrow(WRITTEN, ("of tomorrow", *KINDS[:6]))
    path = tmp_path / "operations-main-1.arrows"
    path.write_bytes(content + b"crc32 %08x\n" % zlib.crc32(content))
    with pytest.raises(HistoryDamaged, match="of tomorrow"):
        read_history(tmp_path)


def test_a_name_that_is_damaged_is_found_by_whoever_hands_it_on(tmp_path):
    """The checksum of a batch is of the numbers of the names."""
    writer = OperationWriter(tmp_path, "main", 200.0)
    writer.write([each[1:] for each in WRITTEN])
    (path,) = tmp_path.glob("*.arrows")
    content = path.read_bytes()
    for name in (b"unsent", b"attempt"):
        path.write_bytes(content.replace(name, name[:-1] + b"_", 1))
        _, batches = read_batches(path)
        with pytest.raises(HistoryDamaged, match="is not known"):
            list(batches)


def test_a_history_is_read_without_a_library_for_arrow(tmp_path):
    record(tmp_path, 2000, 1000.0, 250)
    program = (
        "import sys; from pathlib import Path; "
        "from chaosaws_kms_ext.history.reader import read_history; "
        "print(len(read_history(Path(sys.argv[1])).arrivals('main')), "
        "*({'pyarrow', 'arro3', 'pandas'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.split() == ["2000"]
