"""The rows that the lab's own cluster began with."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.checkers.seed_rows import SeedRows
from chaosaws_kms_ext.history import EventName
from tests.support.histories import conditions, event, history


@pytest.mark.parametrize(
    ("present", "failures", "doubts", "row"),
    [
        (4, [], [], "4 of 4"),
        (3, ["3 of 4 seeded rows are there"], [], "3 of 4"),
        (0, ["0 of 4 seeded rows are there"], [], "0 of 4"),
        (5, ["5 of 4 seeded rows are there"], [], "5 of 4"),
        (None, [], ["the seeded rows could not be counted"], "not measured of 4"),
    ],
)
def test_they_are_all_there_or_the_run_does_not_pass(present, failures, doubts, row):
    counted = event(EventName.SEED_ROWS, 1, expected=4, present=present)
    found = SeedRows().check(history(events=[counted]), conditions())
    assert (list(found.failures), list(found.doubts)) == (failures, doubts)
    assert list(found.rows) == [("seeded rows", row)]
    assert found.figures == {"seed_rows": {"expected": 4, "present": present}}


def test_where_nobody_counted_there_is_nothing_to_say():
    found = SeedRows().check(history(), conditions())
    assert found.figures == {"seed_rows": None}
    assert [*found.failures, *found.doubts, *found.rows] == []
