"""Was anything lost? Every acknowledged write has to be there afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chaosaws_kms_ext.history import Operation, Outcome, WrittenRow

__all__ = ["Durability", "judge"]

UNKNOWN = frozenset({Outcome.TIMEOUT, Outcome.LOST, Outcome.ABORTED})
"""Such a write may or may not be there: neither is a fault."""


@dataclass(frozen=True)
class Durability:
    """What became of a load's writes. What is None could not be measured."""

    acknowledged: int
    unknown: int
    present: int | None
    lost: tuple[WrittenRow, ...] | None
    """Acknowledged and not there."""
    unexpected: tuple[WrittenRow, ...] | None
    """There, although no client can have written them."""
    reason: str


def judge(arrivals: Iterable[Operation], present: Iterable[WrittenRow] | None) -> Durability:
    """Holds a load's writes against the rows that are in the database."""
    acknowledged, unknown = set(), set()
    for o in arrivals:
        if o.kind == "write":
            if o.outcome == Outcome.OK:
                acknowledged.add(WrittenRow(o.writer, o.sequence))
            elif o.outcome in UNKNOWN:
                unknown.add(WrittenRow(o.writer, o.sequence))
    if present is None:
        return Durability(
            len(acknowledged), len(unknown), None, None, None, "the rows could not be read back"
        )
    there = set(present)
    return Durability(
        acknowledged=len(acknowledged),
        unknown=len(unknown),
        present=len(there),
        lost=tuple(sorted(acknowledged - there)),
        unexpected=tuple(sorted(there - acknowledged - unknown)),
        reason="",
    )
