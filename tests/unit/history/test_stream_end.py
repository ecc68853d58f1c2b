"""A torn end is told from damage: what was written in whole is read, or its loss is said."""

from __future__ import annotations

import io
import json
import zlib

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chaosaws_kms_ext.history import Operation
from chaosaws_kms_ext.history.arrow_stream import END
from chaosaws_kms_ext.history.operations_file import Header, HistoryDamaged
from chaosaws_kms_ext.history.reader import read_history, read_what_is_there
from chaosaws_kms_ext.history.stream_end import check_end, closing_line, is_closed, is_whole
from chaosaws_kms_ext.history.writer import OperationStream
from tests.support.records import recorded

SIZES = (3, 1, 5)
"""Of the batches."""


def an_operation(number):
    """One of every fifth saw what looks like the begin of a message."""
    seen = (-1, -1, -1) if number % 5 == 0 else (number, None, None)
    detail = "\0ü" if number % 3 else None
    return Operation("", 1, number, "read", number, 2, 2**40, "ok", None, detail, *seen)[1:]


class Grows(io.BytesIO):
    """Notes where each batch ends."""

    def __init__(self):
        super().__init__()
        self.ends = []

    def flush(self):
        self.ends.append(self.tell())


def a_stream(close=True):
    file, number = Grows(), 0
    stream = OperationStream(Header("main", 200.0), file)
    for size in SIZES:
        stream.write([an_operation(number + each) for each in range(size)])
        number += size
    if close:
        stream.close()
    return file.getvalue(), file.ends


WHOLE, ENDS = a_stream()
KILLED, _ = a_stream(close=False)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    header = {"schema": 1, "anchor": {"monotonic_ns": 0, "utc_ns": 0}}
    (folder / "events.jsonl").write_text(json.dumps(header) + "\n")
    return folder / "operations-main-1.arrows"


def numbers(path):
    return [each.sequence for each in recorded(path.parent)]


def flipped(content, place, bit):
    content = bytearray(content)
    content[place] ^= 1 << bit
    return bytes(content)


def test_a_file_that_was_closed_is_whole_and_others_read_it(path):
    path.write_bytes(WHOLE)
    assert is_whole(path)
    assert numbers(path) == list(range(sum(SIZES)))
    assert pa.ipc.open_stream(WHOLE).read_all().num_rows == sum(SIZES)
    assert is_closed(path)
    path.write_bytes(KILLED)
    assert not is_whole(path)
    assert not is_closed(path)
    assert numbers(path) == list(range(sum(SIZES)))


@given(length=st.integers(0, len(WHOLE)))
def test_wherever_it_is_torn_all_whole_batches_before_are_read_and_nothing_is_damaged(path, length):
    path.write_bytes(WHOLE[:length])
    batches = sum(end <= length for end in ENDS[1:4])
    assert numbers(path) == list(range(sum(SIZES[:batches])))
    history, damage = read_what_is_there(path.parent)
    assert (len(history.arrivals("main")), damage) == (sum(SIZES[:batches]), [])


@given(place=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
@example(place=ENDS[0] + 4, bit=6)
@example(place=ENDS[2] + 6, bit=0)
@example(place=len(KILLED) + 4, bit=3)
@example(place=len(WHOLE) - 1, bit=0)
def test_no_bit_of_a_closed_file_can_change_unseen(path, place, bit):
    path.write_bytes(flipped(WHOLE, place, bit))
    history, damage = read_what_is_there(path.parent)
    assert len(history.arrivals("main")) == 0
    assert len(damage) == 1
    assert "operations-main-1.arrows" in damage[0]


@given(place=st.integers(0, len(KILLED) - 1), bit=st.integers(0, 7))
@example(place=KILLED.index(b"main"), bit=0)
@example(place=KILLED.index(b"200.0"), bit=0)
def test_a_bit_that_changes_in_the_file_of_a_killed_load_loses_the_last_batch_at_most(
    path, place, bit
):
    """That is what cannot be told from a torn end."""
    path.write_bytes(flipped(KILLED, place, bit))
    history, damage = read_what_is_there(path.parent)
    found = len(history.arrivals("main"))
    assert damage or (found >= sum(SIZES[:-1]) and history.recorded["main"].rate == 200.0)


@given(place=st.integers(0, len(KILLED) - 1), byte=st.integers(0, 255))
def test_a_file_of_nonsense_with_a_right_checksum_is_damage_or_read(path, place, byte):
    content = KILLED[:place] + bytes([byte]) + KILLED[place + 1 :] + END
    path.write_bytes(content + closing_line(zlib.crc32(content)))
    history, damage = read_what_is_there(path.parent)
    assert len(damage) <= 1
    assert damage or len(history.arrivals("main")) == sum(SIZES)


@pytest.mark.parametrize("content", [WHOLE, KILLED], ids=["closed", "killed"])
@pytest.mark.parametrize("byte", range(4, 8))
def test_a_length_that_is_wrong_is_no_torn_end(path, content, byte):
    """It says where the damage is, and how much cannot be read."""
    at, following = ENDS[0], ENDS[1]
    path.write_bytes(flipped(content, at + byte, 6))
    said = f"damaged: {following - at} bytes from byte {at} of {len(content)} on cannot be read"
    with pytest.raises(HistoryDamaged, match=said):
        read_history(path.parent)


def test_what_was_overwritten_in_the_middle_is_counted(path):
    at, end = ENDS[0], ENDS[2]
    path.write_bytes(WHOLE[: at + 7] + bytes(end - at - 7) + WHOLE[end:])
    with pytest.raises(HistoryDamaged, match=f"damaged: {end - at} bytes from byte {at} of"):
        read_history(path.parent)


def test_what_follows_the_end_is_damage(path):
    path.write_bytes(WHOLE + b"x")
    with pytest.raises(HistoryDamaged, match="what follows its end is not the checksum"):
        read_history(path.parent)


def test_a_file_that_had_grown_when_the_power_went_is_torn(path):
    path.write_bytes(KILLED + bytes(4096))
    assert numbers(path) == list(range(sum(SIZES)))


class Full(io.BytesIO):
    """A disk that has no room from some byte on."""

    room = 10**6

    def write(self, data):
        left = self.room - self.tell()
        super().write(bytes(data)[:left])
        if len(data) > left:
            raise OSError("No space left on device")
        return len(data)


def test_nothing_follows_a_batch_that_could_not_be_written(path):
    """Also when there is room again: what is there is a torn end, and no closed file."""
    file = Full()
    stream = OperationStream(Header("main", 200.0), file)
    stream.write([an_operation(0)])
    file.room = file.tell() + 300
    with pytest.raises(OSError, match="No space left"):
        stream.write([an_operation(1)])
    file.room = 10**6
    with pytest.raises(OSError, match="No space left"):
        stream.write([an_operation(2)])
    stream.close()
    path.write_bytes(file.getvalue())
    assert not is_whole(path)
    assert numbers(path) == [0]


class StillWritten:
    """A file that grows by a whole batch after its size was asked for."""

    name = "operations-main-1.arrows"

    def __init__(self, now, then):
        self._now, self._then = now, then

    def open(self, _):
        return _Growing(self._now, self._then)


class _Growing(io.BytesIO):
    def __init__(self, now, then):
        super().__init__(now)
        self._then = then

    def seek(self, offset, whence=0):
        place = super().seek(offset, whence)
        if whence == 2 and offset == 0:
            self._sizes = getattr(self, "_sizes", 0) + 1
            if self._sizes == 2:  # the size is known, and its last line was looked at
                end = self.tell()
                self.write(self._then[end:])
                super().seek(end)
        return place


def test_what_a_load_writes_while_its_file_is_read_is_no_damage():
    at = ENDS[1]
    check_end(StillWritten(KILLED[:at], KILLED), at, "StopIteration()")
    with pytest.raises(HistoryDamaged):
        check_end(StillWritten(KILLED, KILLED), at, "StopIteration()")
