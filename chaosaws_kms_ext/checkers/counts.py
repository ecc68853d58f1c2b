"""How many operations ended how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from chaosaws_kms_ext.history import Operation, Outcome

__all__ = ["count"]


def count(arrivals: Iterable[Operation]) -> dict[str, int]:
    """Outcome → number of arrivals, for every outcome there is."""
    counted = Counter(o.outcome for o in arrivals)
    return {outcome.value: counted[outcome.value] for outcome in Outcome}
