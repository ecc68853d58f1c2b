"""The events of a run while they are written: each line once, whenever and in whatever pieces it
comes."""

from __future__ import annotations

from chaosaws_kms_ext.history.operations_file import HistoryDamaged
from chaosaws_kms_ext.history.reader import anchor_of, event_of
from chaosaws_kms_ext.history.records import Anchor, Event

__all__ = ["LONGEST", "GrowingEvents"]

LONGEST = 1 << 24
"""Bytes of a line, by far: the longest words that AWS says have some thousand."""


class GrowingEvents:
    """Takes the bytes of `events.jsonl` in pieces."""

    def __init__(self) -> None:
        self.anchor: Anchor | None = None
        """None: its first line has not come yet."""
        self._rest = b""

    def feed(self, came: bytes) -> list[Event]:
        """The events whose lines are whole by now; raises HistoryDamaged."""
        *lines, self._rest = (self._rest + came).split(b"\n")
        if len(self._rest) > LONGEST:
            raise HistoryDamaged(f"events.jsonl is damaged: a line has more than {LONGEST} bytes")
        try:
            if lines and self.anchor is None:
                self.anchor = anchor_of(lines.pop(0))
            return [event_of(line) for line in lines]
        except (ValueError, TypeError, KeyError, RecursionError) as problem:
            raise HistoryDamaged(f"events.jsonl is damaged: {problem}") from problem
