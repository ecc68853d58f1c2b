"""A run whose key was away for too long fails."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.checkers.key_limit import KeyLimit
from chaosaws_kms_ext.settings import Settings
from tests.support.histories import RATE, conditions, history, outage_of_main, started


@pytest.mark.parametrize(("limit", "kept"), [(2.9, False), (3.0, True), (0.0, True)])
def test_the_key_may_be_away_as_long_as_the_limit_says(limit, kept):
    operations, events = outage_of_main()
    settings = Settings(lab_speed=60, load_rate=RATE, max_key_unusable=limit)
    found = KeyLimit().check(
        history(operations, [*started("main"), *events]), conditions(True, (), settings)
    )
    said = f"the key was unusable for 3.0 s, longer than CHAOS_MAX_KEY_UNUSABLE={limit:g}"
    assert list(found.failures) == ([] if kept else [said])


def test_without_a_fault_there_is_no_limit():
    assert list(KeyLimit().check(history(), conditions()).failures) == []
