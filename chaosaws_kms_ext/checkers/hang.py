"""Was it a hang? Neither an answer nor an error, in an open session and in a new connection."""

from __future__ import annotations

from collections.abc import Sequence

from chaosaws_kms_ext.history import Operation, Outcome

__all__ = ["hung"]


def hung(witnessed: Sequence[Operation], impact: int, until: int) -> bool | None:
    """Whether what a witness sent between `impact` and `until` (ns) got no answer and no error.

    `witnessed`: of one witness, in order. None when it sent nothing in that time.
    """
    tried = [o.outcome for o in witnessed if o.sent is not None and impact < o.sent < until]
    tried = [outcome for outcome in tried if outcome != Outcome.ABORTED]
    return all(outcome == Outcome.TIMEOUT for outcome in tried) if tried else None
