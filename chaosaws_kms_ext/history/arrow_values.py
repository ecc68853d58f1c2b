"""Arrow columns as NumPy columns, without copies.

Arrow's own `to_numpy` imports pandas where that is installed, which takes half a second and 40 MB.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from chaosaws_kms_ext.history.columns import Mask

__all__ = ["bits_of", "filled", "picked", "valid_of", "values_of"]


def values_of(column: pa.Array, dtype: DTypeLike) -> NDArray[Any]:
    """The numbers of a column of this type; where one is null, it is any number."""
    if not len(column):
        return np.empty(0, dtype)
    width = np.dtype(dtype).itemsize
    return np.frombuffer(column.buffers()[1], dtype, len(column), column.offset * width)


def bits_of(column: pa.Array) -> Mask:
    """The values of a column of booleans."""
    return _bits(column, column.buffers()[1])


def valid_of(column: pa.Array) -> Mask:
    """Where it is not null."""
    bitmap = column.buffers()[0]
    return np.ones(len(column), np.bool_) if bitmap is None else _bits(column, bitmap)


def filled(column: pa.Array, dtype: DTypeLike, null: int) -> NDArray[Any]:
    """The numbers of a column, with `null` where it is null."""
    values = values_of(column, dtype)
    if column.null_count:
        values = np.where(valid_of(column), values, np.array(null, dtype))
    return values


def picked(batch: pa.RecordBatch, places: NDArray[np.int64]) -> pa.RecordBatch:
    """Some rows of a batch."""
    indices = pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places)])
    return batch.take(indices)


def _bits(column: pa.Array, bitmap: pa.Buffer) -> Mask:
    if not len(column):
        return np.empty(0, np.bool_)
    end = column.offset + len(column)
    packed = np.frombuffer(bitmap, np.uint8, (end + 7) // 8)
    unpacked = np.unpackbits(packed, count=end, bitorder="little")
    found: Mask = unpacked[column.offset :].view(np.bool_)
    return found
