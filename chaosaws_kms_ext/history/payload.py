"""The checksum that a write carries, made from its writer and its sequence.

It is a mix of 64 bits that has an inverse (splitmix64): where a row has another writer or sequence
than it was written with, the checksum still tells which write it was.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SEQUENCES", "number_of", "numbers", "payload_of", "payloads", "written_as"]

SEQUENCES = 1 << 32
"""More than one writer makes."""

STEP, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
"""Of splitmix64: Steele, Lea, Flood, Fast Splittable Pseudorandom Number Generators, 2014."""
BACK_FIRST, BACK_SECOND = pow(FIRST, -1, 1 << 64), pow(SECOND, -1, 1 << 64)
MASK = (1 << 64) - 1

BLOCK = 1 << 18
"""Numbers that are mixed at a time: what is made in between takes little memory."""


def number_of(writer: int, sequence: int) -> int:
    """One number for a write; numbers are in the order of writer and sequence."""
    return writer * SEQUENCES + sequence


def numbers(writer: NDArray[np.int32], sequence: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same for columns."""
    found: NDArray[np.int64] = writer.astype(np.int64)
    found *= SEQUENCES
    found += sequence
    return found


def payload_of(writer: int, sequence: int) -> int:
    """The checksum of a write, as a bigint."""
    mixed: int = _mix(number_of(writer, sequence) & MASK)
    return mixed - (1 << 64) if mixed >> 63 else mixed


def payloads(of: NDArray[np.int64]) -> NDArray[np.int64]:
    """The checksums of writes that are given as numbers."""
    found = np.empty(len(of), np.int64)
    for begin in range(0, len(of), BLOCK):
        block = slice(begin, begin + BLOCK)
        found[block] = _mix(of[block].view(np.uint64)).view(np.int64)
    return found


def written_as(checksums: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers of the writes whose checksums these are: the opposite of `payloads`."""
    x: Any = checksums.copy().view(np.uint64)
    x = (x ^ (x >> 31) ^ (x >> 62)) * BACK_SECOND
    x = (x ^ (x >> 27) ^ (x >> 54)) * BACK_FIRST
    x = (x ^ (x >> 30) ^ (x >> 60)) - STEP
    found: NDArray[np.int64] = x.view(np.int64)
    return found


def _mix(x: Any) -> Any:
    """Of one number below 2^64, or of a column of them: those wrap by themselves."""
    x = (x + STEP) & MASK
    x = ((x ^ (x >> 30)) * FIRST) & MASK
    x = ((x ^ (x >> 27)) * SECOND) & MASK
    return x ^ (x >> 31)
