"""Was it a hang? Neither an answer nor an error, in an open session and in a new connection."""

from __future__ import annotations

from collections.abc import Sequence

from chaosaws_kms_ext.history import Operation, Outcome

__all__ = ["hung"]


WAITED = 250_000_000
"""ns that something must have waited in vain to count as hung although it was not given up yet."""


def hung(witnessed: Sequence[Operation], *, impact: int, slack: int, until: int) -> bool | None:
    """Whether what a witness had sent during the outage got no answer and no error.

    `witnessed`: of one witness, in order. The outage lasted from `impact` to `until` at least; it
    began up to `slack` later than `impact` (ns), so an answer to what was sent by then counts
    neither way. What still waited at `until` hung, whatever became of it afterwards. None when
    nothing was sent in that time.
    """
    tried = [
        o.outcome == Outcome.TIMEOUT or o.done > until
        for o in witnessed
        if o.sent is not None
        and o.done > impact
        and o.sent < (until if o.done <= until else until - WAITED)
        and not (o.outcome == Outcome.OK and o.sent <= impact + slack and o.done <= until)
    ]
    return all(tried) if tried else None
