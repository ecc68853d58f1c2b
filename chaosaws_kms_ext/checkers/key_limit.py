"""Was the key back within the limit that the run was given?"""

from __future__ import annotations

from chaosaws_kms_ext.checkers.base import Checker, Result, checker
from chaosaws_kms_ext.checkers.outage import times
from chaosaws_kms_ext.history import MAIN, Conditions
from chaosaws_kms_ext.history.history import History

__all__ = ["KeyLimit"]


@checker
class KeyLimit(Checker):
    """Fails a run whose key was away for longer."""

    name = "key_limit"
    place = 15

    def check(self, history: History, conditions: Conditions) -> Result:
        """Compares the time that the key was unusable with CHAOS_MAX_KEY_UNUSABLE.

        What others do is not held to it."""
        if conditions.by_others:
            return Result()
        seconds = times(history, conditions, MAIN)["key_unusable_seconds"]
        limit = conditions.settings.longest_key_unusable
        if seconds is None or seconds <= limit:
            return Result()
        return Result(
            failures=[
                f"the key was unusable for {seconds:.1f} s, longer than "
                f"CHAOS_MAX_KEY_UNUSABLE={limit:g}"
            ]
        )
