"""What a load and its workers on other machines tell each other, beside what Locust's own do.

A worker asks for the time, gets its part of the load, and sends what it records in chunks. The load
says which it has kept; a worker sends a chunk again until it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

__all__ = ["CLOCK", "CONFIG", "KEPT", "RECORDS", "SAID", "Inbox", "Outbox"]

CLOCK = "chaos-clock"
"""The time on the clock of the worker; back with that of the load."""
CONFIG = "chaos-config"
"""What the worker has to do."""
RECORDS = "chaos-records"
"""A chunk of records."""
KEPT = "chaos-kept"
"""The number of the last chunk that is kept."""
SAID = "chaos-said"
"""A line for the load's log."""

AGAIN_AFTER = 1.0
"""Seconds after which a chunk that is not said to be kept is sent again."""

MOST_ON_THE_WAY = 16
"""Chunks that were sent, and are not said to be kept."""

MOST_WAITING = 256 << 20
"""Bytes of records that a worker keeps until the load has them: at 1,000 arrivals a second about
an hour."""


class Outbox:
    """Takes records as a file does, and gives them out in chunks until each is kept."""

    closed = False

    def __init__(self, send: Callable[[int, bytes, bool], None]) -> None:
        """`send` gets a chunk's number, from 1 on, its bytes, and whether it is the last."""
        self._send = send
        self._open: list[bytes] = []
        self._waiting: deque[tuple[int, bytes, bool]] = deque()
        self._size = 0
        self._number = self._sent = 0
        self._sent_at = 0.0
        self._most = MOST_ON_THE_WAY

    def write(self, data: bytes) -> int:
        """As a file does."""
        self._open.append(bytes(data))
        return len(data)

    def flush(self, last: bool = False) -> None:
        """What was written since the last time becomes a chunk; raises OSError when too much
        waits."""
        data = b"".join(self._open)
        self._open = []
        if self._size + len(data) > MOST_WAITING:
            raise OSError("the load does not take them")
        self._number += 1
        self._size += len(data)
        self._waiting.append((self._number, data, last))

    def go_on(self, now: float) -> None:
        """Sends what can be sent; `now`: seconds."""
        if not self._waiting:
            return
        first = self._waiting[0][0]
        if self._sent >= first and now - self._sent_at > AGAIN_AFTER:
            self._sent, self._most = first - 1, 1  # the others when this one is kept
        for number, data, last in islice(self._waiting, self._most):
            if number > self._sent:
                self._send(number, data, last)
                self._sent, self._sent_at = number, now

    def kept(self, number: int) -> None:
        """The load has the chunks up to this one."""
        while self._waiting and self._waiting[0][0] <= number:
            self._size -= len(self._waiting.popleft()[1])
            self._most = MOST_ON_THE_WAY
            self._sent = max(self._sent, number)

    @property
    def empty(self) -> bool:
        """Whether the load has everything."""
        return not self._waiting


@dataclass
class Inbox:
    """Puts the chunks of one worker together, each once and in order."""

    keep: Callable[[bytes], None]
    number: int = 0
    """Of the last chunk that is kept."""
    ended: bool = field(default=False)
    """Whether that was the worker's last."""

    def take(self, number: int, data: bytes, last: bool) -> int:
        """Takes a chunk if it is the next; returns the number of the last that is kept."""
        if number == self.number + 1:
            self.keep(data)
            self.number, self.ended = number, last
        return self.number
