"""Did this run put the key back? If not, the recovery did not begin with this run's EnableKey."""

from __future__ import annotations

from chaosaws_kms_ext.checkers.base import Checker, Result, checker
from chaosaws_kms_ext.checkers.outage import put_back_by_others
from chaosaws_kms_ext.history import Conditions
from chaosaws_kms_ext.history.history import History

__all__ = ["PutBackByOthers"]


@checker
class PutBackByOthers(Checker):
    """Reports that somebody else did; then no duration is measured from that instant."""

    name = "put_back_by_others"
    place = 20

    def check(self, history: History, conditions: Conditions) -> Result:
        """From who put it back, the states of the key that were seen, and the load's answers."""
        why = put_back_by_others(history, conditions)
        return Result(doubts=[why] if why else ())
