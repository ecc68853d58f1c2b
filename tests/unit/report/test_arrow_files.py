"""Files of columns, as others read them; and what becomes of them where something fails."""

from __future__ import annotations

import csv
import io

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chaosaws_kms_ext.history.arrow_columns import Batch, Names, Numbers, Texts
from chaosaws_kms_ext.history.arrow_schema import Field, Kind, Schema
from chaosaws_kms_ext.report.arrow_files import write_csv, write_parquet

SCHEMA = Schema(
    (
        Field("load", Kind.NAME32),
        Field("due", Kind.UTC),
        Field("detail", Kind.TEXT),
        Field("key", Kind.INT32),
        Field("register", Kind.BOOL),
    )
)
AT = 1_700_000_000_123_456_789


def a_batch(load, rows=2):
    columns = {
        "load": Names(np.zeros(rows, np.int32), (load,)),
        "due": Numbers.of([AT, *[None] * (rows - 1)], np.int64),
        "detail": Texts.of([None, *['a "b", c'] * (rows - 1)]),
        "key": Numbers.of([*[1] * (rows - 1), None], np.int32),
        "register": Numbers(np.arange(rows) % 2 == 0),
    }
    return Batch(rows, columns)


def test_parquet_has_the_types_and_values_of_the_columns(tmp_path):
    path = tmp_path / "a.parquet"
    with path.open("wb") as file:
        assert write_parquet(file, SCHEMA, iter([a_batch("main"), a_batch("reader")])) == 4
    table = pq.read_table(path)
    assert table.schema.types == [
        pa.dictionary(pa.int32(), pa.string()), pa.timestamp("ns", "UTC"), pa.string(),
        pa.int32(), pa.bool_(),
    ]  # fmt: skip
    assert all(field.nullable for field in table.schema)
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"
    assert table["load"].to_pylist() == ["main", "main", "reader", "reader"]
    assert table["due"].cast(pa.int64()).to_pylist() == [AT, None] * 2
    assert table["detail"].to_pylist() == [None, 'a "b", c'] * 2
    assert table["key"].to_pylist() == [1, None] * 2
    rows = duckdb.sql(f"SELECT load, epoch_ns(due), register FROM '{path}'").fetchall()
    assert rows == [
        (load, *its) for load in ("main", "reader") for its in [(AT, True), (None, False)]
    ]


def test_csv_has_an_empty_cell_for_a_null_and_instants_to_the_nanosecond():
    file = io.BytesIO()
    assert write_csv(file, SCHEMA, iter([a_batch("main"), a_batch("reader")])) == 4
    head, *rows = csv.reader(io.StringIO(file.getvalue().decode(), newline=""))
    assert head == ["load", "due", "detail", "key", "register"]
    assert rows == [
        its
        for load in ("main", "reader")
        for its in (
            [load, "2023-11-14 22:13:20.123456789Z", "", "1", "true"],
            [load, "", 'a "b", c', "", "false"],
        )
    ]


@pytest.mark.parametrize("write", [write_parquet, write_csv])
def test_without_rows_the_columns_are_there(write):
    file = io.BytesIO()
    assert write(file, SCHEMA, iter([])) == 0
    file.seek(0)
    names = pq.read_table(file).column_names if write is write_parquet else (
        file.read().decode().strip().split(",")
    )  # fmt: skip
    assert names == [field.name for field in SCHEMA.fields]


class Refuses(io.BytesIO):
    """Takes so many bytes, and then no more."""

    def __init__(self, room):
        super().__init__()
        self.room, self.asked = room, 0

    def write(self, data):
        self.asked += 1
        if self.tell() + len(data) > self.room:
            raise OSError(28, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("write", [write_parquet, write_csv])
@pytest.mark.parametrize("room", [0, 50])
def test_a_file_that_takes_no_more_ends_it_with_its_own_error(write, room, capfd):
    """And nobody makes the rest of the rows, and arro3 says nothing on the screen."""
    made = []

    def batches():
        for number in range(100):
            made.append(number)
            yield a_batch(str(number), 1 << 16)

    file = Refuses(room)
    with pytest.raises(OSError, match="No space left on device"):
        write(file, SCHEMA, batches())
    assert len(made) < 50
    assert capfd.readouterr() == ("", "")


class Interrupted(io.BytesIO):
    """Somebody presses Ctrl-C while it is written to."""

    def write(self, data):
        raise KeyboardInterrupt


@pytest.mark.parametrize("write", [write_parquet, write_csv])
def test_an_interruption_is_none_of_its_own_errors(write, capfd):
    with pytest.raises(KeyboardInterrupt):
        write(Interrupted(), SCHEMA, iter([a_batch("main")]))

    def batches():
        yield a_batch("main")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(io.BytesIO(), SCHEMA, batches())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("write", [write_parquet, write_csv])
@pytest.mark.parametrize("problem", [OSError("gone"), ValueError("damaged"), KeyError("x")])
def test_what_the_batches_raise_comes_out_as_it_is(write, problem):
    def batches():
        yield a_batch("main")
        raise problem

    with pytest.raises(type(problem)) as raised:
        write(io.BytesIO(), SCHEMA, batches())
    assert raised.value is problem


@pytest.mark.parametrize("write", [write_parquet, write_csv])
def test_half_a_character_is_no_text(write):
    batch = a_batch("main")
    columns = {**batch.columns, "detail": Texts.of(["\ud800", None])}
    with pytest.raises(ValueError, match="surrogates"):
        write(io.BytesIO(), SCHEMA, iter([Batch(2, columns)]))
