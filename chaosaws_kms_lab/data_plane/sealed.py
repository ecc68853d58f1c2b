"""Streams of bytes under a data key: AES-256-GCM in chunks; any change makes all of it unreadable.

The construction is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015): a chunk's nonce is a random
prefix, the chunk's number and whether it is the last. So no chunk can be swapped, left out,
repeated or cut off. The encryption context is authenticated with every chunk.

    file  = MAGIC, prefix (7 bytes), chunk, chunk, …
    chunk = length of what follows (4 bytes), ciphertext, tag (16 bytes)
"""

from __future__ import annotations

import contextlib
import io
import json
import secrets
import struct
from collections.abc import Iterator, Mapping
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["CHUNK", "Broken", "Sink", "Source", "opened", "sealing"]

MAGIC = b"LABSEAL1"
PREFIX, TAG = 7, 16
"""Bytes."""

CHUNK = 1 << 20
"""Bytes of plaintext that are held in memory and authenticated at a time."""


class Broken(Exception):
    """The data were not sealed with this key and context, or were changed; one sentence."""


class Source(Protocol):
    """Where bytes come from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


class Sink(Protocol):
    """Where bytes go."""

    def write(self, data: bytes, /) -> int:
        """Takes all of `data`."""


@contextlib.contextmanager
def sealing(
    sink: Sink, key: bytes | None, context: Mapping[str, str], chunk: int = CHUNK
) -> Iterator[Sink]:
    """What is written in the block goes to `sink` under `key`; without a key it is not encrypted.

    If the block ends with an exception, what it has written cannot be opened.
    """
    if key is None:
        yield sink
        return
    seal = _Seal(sink, key, context, chunk)
    yield seal
    seal.finish()


def opened(
    source: Source, key: bytes | None, context: Mapping[str, str], chunk: int = CHUNK
) -> Source:
    """Reads what was sealed into `source`; raises `Broken` at the first chunk that is not right.

    Only after the last chunk it is certain that nothing is missing.
    """
    return source if key is None else io.BufferedReader(_Opened(source, key, context, chunk), chunk)


def _associated(context: Mapping[str, str]) -> bytes:
    return MAGIC + json.dumps(dict(context), sort_keys=True).encode()


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + struct.pack(">IB", number, last)


class _Seal:
    """Writes a chunk only when it knows whether it is the last one."""

    def __init__(self, sink: Sink, key: bytes, context: Mapping[str, str], chunk: int) -> None:
        self._sink, self._chunk = sink, chunk
        self._cipher, self._associated = AESGCM(key), _associated(context)
        self._prefix, self._number = secrets.token_bytes(PREFIX), 0
        self._kept = bytearray()
        sink.write(MAGIC + self._prefix)

    def write(self, data: bytes) -> int:
        self._kept += data
        start = 0
        while len(self._kept) - start > self._chunk:
            self._put(bytes(self._kept[start : start + self._chunk]), last=False)
            start += self._chunk
        del self._kept[:start]
        return len(data)

    def finish(self) -> None:
        self._put(bytes(self._kept), last=True)

    def _put(self, plain: bytes, last: bool) -> None:
        nonce = _nonce(self._prefix, self._number, last)
        sealed = self._cipher.encrypt(nonce, plain, self._associated)
        self._sink.write(struct.pack(">I", len(sealed)) + sealed)
        self._number += 1


class _Opened(io.RawIOBase):
    def __init__(self, source: Source, key: bytes, context: Mapping[str, str], chunk: int) -> None:
        self._source, self._largest = source, chunk + TAG
        self._cipher, self._associated = AESGCM(key), _associated(context)
        header = _exactly(source, len(MAGIC) + PREFIX)
        if header[: len(MAGIC)] != MAGIC:
            raise Broken("this was not sealed by the lab")
        self._prefix, self._number = header[len(MAGIC) :], 0
        self._length: bytes | None = _exactly(source, 4)
        self._plain = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._plain and self._length is not None:
            self._plain = memoryview(self._next(self._length))
        taken = min(len(buffer), len(self._plain))
        buffer[:taken] = self._plain[:taken]
        self._plain = self._plain[taken:]
        return taken

    def _next(self, length: bytes) -> bytes:
        (size,) = struct.unpack(">I", length)
        if not TAG <= size <= self._largest:
            raise Broken("a chunk has a length that none can have")
        sealed = _exactly(self._source, size)
        after = _up_to(self._source, 4)
        last = not after
        self._length = None if last else after
        try:
            nonce = _nonce(self._prefix, self._number, last)
            plain = self._cipher.decrypt(nonce, sealed, self._associated)
        except InvalidTag:
            raise Broken(
                "this was changed since it was sealed, or sealed with another key or context"
            ) from None
        if len(after) not in (0, 4):
            raise Broken("this ends in the middle of a chunk")
        self._number += 1
        return plain


def _exactly(source: Source, size: int) -> bytes:
    data = _up_to(source, size)
    if len(data) < size:
        raise Broken("this ends in the middle of a chunk")
    return data


def _up_to(source: Source, size: int) -> bytes:
    """As many bytes as there are, though a pipe gives fewer at a time."""
    data = source.read(size)
    while len(data) < size and (more := source.read(size - len(data))):
        data += more
    return data
