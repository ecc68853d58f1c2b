"""Was it a hang? Neither an answer nor an error, in an open session and in a new connection."""

from __future__ import annotations

from collections.abc import Sequence

from chaosaws_kms_ext.history import Operation, Outcome

__all__ = ["hung"]


def hung(witnessed: Sequence[Operation], *, impact: int, slack: int, until: int) -> bool | None:
    """Whether what a witness had sent during the outage got no answer and no error.

    `witnessed`: of one witness, in order. The outage lasted from `impact` to `until` at least; it
    began up to `slack` later than `impact` (ns), so an answer to what was sent by then counts
    neither way; nor does what broke after `until`. None when nothing was sent in that time.
    """
    tried = [
        o.outcome
        for o in witnessed
        if o.sent is not None
        and o.sent < until
        and o.done > impact
        and o.outcome != Outcome.ABORTED
        and not (o.outcome == Outcome.OK and o.sent <= impact + slack)
        and not (o.outcome != Outcome.TIMEOUT and o.done > until)
    ]
    return all(outcome == Outcome.TIMEOUT for outcome in tried) if tried else None
