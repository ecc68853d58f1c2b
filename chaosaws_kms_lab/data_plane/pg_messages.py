"""Messages of PostgreSQL's protocol (PostgreSQL manual, "Message Formats"): written, and found in a
stream of bytes that is passed on as it is."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

__all__ = [
    "AUTHENTICATED",
    "KEPT",
    "READY",
    "SYNC",
    "Failure",
    "Message",
    "Messages",
    "error",
    "failure_of",
    "message",
    "parameters_of",
    "startup",
]

VERSION = 3 << 16
KEPT = 1 << 16
"""Bytes of a message that are looked at; of a longer one only its kind is known."""

AUTHENTICATED = b"R\x00\x00\x00\x08\x00\x00\x00\x00"
READY = b"Z\x00\x00\x00\x05I"
SYNC = b"S\x00\x00\x00\x04"


class Message(NamedTuple):
    """One message."""

    kind: bytes
    body: bytes
    """Empty if it is longer than KEPT."""
    long: bool = False
    """Whether it is."""
    start: int = 0
    """Where it begins in the bytes that made it whole; below 0: in earlier ones."""


class Messages:
    """Finds the messages of one direction in its bytes."""

    def __init__(self) -> None:
        self._held = bytearray()
        """The beginning of a message that is not whole yet."""
        self._skipped = 0
        """Bytes of a long message that are still to come."""

    @property
    def within(self) -> bool:
        """Whether the bytes so far end inside a message."""
        return bool(self._held or self._skipped)

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are whole with these bytes; raises ValueError for what is none."""
        passed = min(self._skipped, len(data))
        self._skipped -= passed
        held = self._held
        before = passed - len(held)
        held += data[passed:]
        at = 0
        while len(held) - at >= 5:
            kind = bytes(held[at : at + 1])
            length = int.from_bytes(held[at + 1 : at + 5], "big")
            if length < 4:
                raise ValueError(f"a message of {length} bytes")
            end = at + 1 + length
            if length > KEPT:
                self._skipped = max(end - len(held), 0)
                yield Message(kind, b"", True, before + at)
                at = min(end, len(held))
            elif end <= len(held):
                yield Message(kind, bytes(held[at + 5 : end]), False, before + at)
                at = end
            else:
                break
        del held[:at]


class Failure(NamedTuple):
    """What an ErrorResponse says."""

    code: str
    """The SQLSTATE."""
    message: str


def message(kind: bytes, body: bytes) -> bytes:
    """A message as it is sent."""
    return kind + struct.pack("!I", len(body) + 4) + body


def startup(parameters: Mapping[bytes, bytes]) -> bytes:
    """A StartupMessage of protocol 3.0."""
    pairs = b"".join(name + b"\0" + value + b"\0" for name, value in parameters.items())
    body = struct.pack("!I", VERSION) + pairs + b"\0"
    return struct.pack("!I", len(body) + 4) + body


def parameters_of(body: bytes) -> dict[bytes, bytes]:
    """The parameters of a StartupMessage, after its version."""
    parts = body.split(b"\0")
    return {name: value for name, value in zip(parts[::2], parts[1::2], strict=False) if name}


def error(code: str, text: str) -> bytes:
    """An ErrorResponse after which the connection ends."""
    fields = (b"SFATAL", b"VFATAL", b"C" + code.encode(), b"M" + text.encode(), b"")
    return message(b"E", b"".join(_ended(fields)))


def failure_of(body: bytes) -> Failure:
    """What an ErrorResponse says."""
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    return Failure(fields.get(b"C", ""), fields.get(b"M", ""))


def _ended(fields: Iterable[bytes]) -> Iterator[bytes]:
    return (field + b"\0" for field in fields)
