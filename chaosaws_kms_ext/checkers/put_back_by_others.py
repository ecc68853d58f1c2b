"""Was it this run that put the key back? Else the recovery is not what followed its EnableKey."""

from __future__ import annotations

from chaosaws_kms_ext.checkers.base import Checker, Result, checker
from chaosaws_kms_ext.checkers.outage import put_back_by_others
from chaosaws_kms_ext.history import Conditions
from chaosaws_kms_ext.history.history import History

__all__ = ["PutBackByOthers"]


@checker
class PutBackByOthers(Checker):
    """Says so if somebody else did; then no duration counts from that instant."""

    name = "put_back_by_others"
    place = 20

    def check(self, history: History, conditions: Conditions) -> Result:
        """Looks at who put it back, at the states that were seen, and at the answers."""
        why = put_back_by_others(history, conditions)
        return Result(doubts=[why] if why else ())
