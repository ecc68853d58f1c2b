"""Open sessions that hung: how many, since when, for how long, and how that ended."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers.hung_sessions import HungSessions, most_at_once, times_of
from chaosaws_kms_ext.checkers.objectives import NotWithin
from chaosaws_kms_ext.history import MAIN, Operation
from tests.support.histories import ALL_WELL, at, conditions, event, history, load, ran

STARTED = event("load-started", -1, load="main", users=4, reconnect_spacing_seconds=0.05)


def hung(session, begin, end, outcome="ok"):
    """A session from one arrival's instant to another's."""
    since = at(begin)
    return Operation("main", 0, session, "hung", since, since, at(end), outcome, None)


def check(*sessions, steady=True):
    events = [STARTED, *(ran("main", 0, 200) if steady else ())]
    recorded = history([*load("main", *ALL_WELL), *sessions], events)
    return HungSessions().check(recorded, conditions(outage=True))


def test_half_of_the_sessions_that_hang_together_are_one_time_of_that_share():
    found = check(hung(1, 20, 60), hung(3, 24, 60))
    assert found.loads[MAIN]["hung_sessions"] == [
        {
            "begin": "1970-01-01T00:00:08.000Z",
            "end": "1970-01-01T00:00:10.000Z",
            "seconds": 2.0,
            "sessions": 2,
            "at_once": 2,
            "share": 0.5,
            "ended": {"answered": 2},
        }
    ]
    assert found.measured["longest_hang_seconds"] == 2.0
    assert found.rows == [("open sessions", "2 of 4 hung for 2.00 s at most, then 2 answered")]


def test_what_hangs_later_is_another_time():
    found = check(hung(1, 20, 40), hung(2, 60, 80, "lost"))
    assert [each["seconds"] for each in found.loads[MAIN]["hung_sessions"]] == [1.0, 1.0]
    ((_, row),) = found.rows
    assert row.endswith("1 of 4 hung for 1.00 s at most, then 1 closed")


def test_one_that_hung_until_the_load_was_stopped_has_no_end_and_meets_no_limit():
    found = check(hung(1, 20, 60), hung(2, 22, 199, "aborted"))
    (only,) = found.loads[MAIN]["hung_sessions"]
    assert (only["end"], only["seconds"]) == (None, 8.95)
    assert only["ended"] == {"answered": 1, "not_followed": 1}
    assert found.loads[MAIN]["longest_hang_seconds"] == 8.85
    assert found.measured["longest_hang_seconds"] == NotWithin(8.85)


def test_one_that_was_not_followed_does_not_hide_how_long_others_hung():
    found = check(hung(1, 20, 60), hung(2, 25, 30, "aborted"))
    (only,) = found.loads[MAIN]["hung_sessions"]
    assert only["end"] == "1970-01-01T00:00:10.000Z"
    assert found.measured["longest_hang_seconds"] == 2.0


def test_sessions_that_take_each_others_place_may_be_more_than_the_load_has_users():
    found = check(*(hung(number, number, number + 20) for number in range(1, 9)))
    (only,) = found.loads[MAIN]["hung_sessions"]
    assert (only["sessions"], only["at_once"], only["share"]) == (8, 8, 1.0)
    assert found.rows == [("open sessions", "8 hung for 1.00 s at most, then 8 answered")]


def test_without_any_there_is_nothing_to_say():
    found = check()
    assert found.loads[MAIN] == {"hung_sessions": [], "longest_hang_seconds": 0.0}
    assert found.rows == ()


def test_without_a_load_that_was_steady_nothing_is_known():
    found = check(hung(1, 20, 60), steady=False)
    assert found.loads[MAIN] == {"hung_sessions": None, "longest_hang_seconds": None}
    assert found.measured["longest_hang_seconds"] is None


INTERVALS = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 30)), max_size=12)


@given(INTERVALS)
def test_they_are_counted_as_instant_by_instant(intervals):
    sessions = [
        hung(number, begin, begin + length) for number, (begin, length) in enumerate(intervals)
    ]
    hangs = [
        sum(begin <= place < begin + length for begin, length in intervals) for place in range(100)
    ]
    assert most_at_once(sessions) == max(hangs)
    times = times_of(sessions)
    assert sorted(each for time in times for each in time) == sorted(sessions)
    # Two that touch are together: the time between is looked at, too.
    covered = [
        any(begin <= place / 2 <= begin + length for begin, length in intervals)
        for place in range(200)
    ]
    assert len(times) == sum(
        now and not before for before, now in zip([False, *covered], covered, strict=False)
    )
