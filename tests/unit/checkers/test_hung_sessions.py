"""Open sessions that hung: how many, since when, for how long, and how that ended."""

from __future__ import annotations

import time
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers.hung_sessions import HungSessions, most_at_once, times_of
from chaosaws_kms_ext.checkers.objectives import NotWithin
from chaosaws_kms_ext.history import MAIN, Operation
from chaosaws_kms_ext.history.columns import Absence
from chaosaws_kms_ext.settings import Settings
from tests.support.histories import ALL_WELL, RATE, at, conditions, event, history, load, ran

SETTINGS = Settings(lab_speed=60, load_rate=RATE, query_deadline=0.5)

STARTED = event("load-started", -1, load="main", users=4, reconnect_spacing_seconds=0.05)


def hung(session, begin, end, outcome="ok", opened=0):
    """A session from one arrival's instant to another's, which was opened at that of `opened`."""
    return Operation("main", 0, session, "hung", at(begin), at(opened), at(end), outcome, None)


def stall(begin, end):
    """The load's process did not run."""
    return Operation("main", 0, 1, "stall", at(begin), at(begin), at(end), "ok", None)


def recorded(*sessions, steady=True, events=()):
    events = [STARTED, *(ran("main", 0, 200) if steady else ()), *events]
    return history([*load("main", *ALL_WELL), *sessions], events)


def judge(its):
    return HungSessions().check(its, conditions(outage=True, settings=SETTINGS))


def check(*sessions, **more):
    return judge(recorded(*sessions, **more))


def lengths(found):
    return [each["seconds"] for each in found.loads[MAIN]["hung_sessions"]]


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
    its = range(1, 9)
    found = check(*(hung(n, n, n + 20, opened=n - 1 if n > 4 else 0) for n in its))
    (only,) = found.loads[MAIN]["hung_sessions"]
    assert (only["sessions"], only["at_once"], only["share"]) == (8, 8, 1.0)
    words = "4 of 4, and 4 opened later, hung for 1.00 s at most, then 8 answered"
    assert found.rows == [("open sessions", words)]


def test_without_any_there_is_nothing_to_say():
    found = check()
    assert found.loads[MAIN] == {"hung_sessions": [], "longest_hang_seconds": 0.0}
    assert found.rows == ()


def test_without_a_load_that_was_steady_nothing_is_known():
    found = check(hung(1, 20, 60), steady=False)
    assert found.loads[MAIN] == {"hung_sessions": None, "longest_hang_seconds": None}
    assert found.measured["longest_hang_seconds"] is None


def test_one_that_was_asked_too_late_to_answer_in_time_did_not_hang():
    found = check(hung(1, 20, 29), hung(2, 60, 69, "lost"), hung(3, 80, 81, "aborted"))
    assert found.loads[MAIN] == {"hung_sessions": [], "longest_hang_seconds": 0.0}


def test_the_time_in_which_the_load_itself_did_not_run_is_no_time_of_a_hang():
    assert lengths(check(hung(1, 20, 60), stall(21, 59))) == []
    assert lengths(check(hung(1, 20, 60), stall(10, 45), stall(50, 100))) == []
    assert lengths(check(hung(1, 20, 60), stall(61, 99))) == [2.0]
    assert lengths(check(hung(1, 20, 60), stall(25, 45))) == [2.0]


def test_of_several_processes_it_is_that_of_its_own():
    def found(why, worker):
        its = recorded(hung(1, 20, 60)._replace(writer=1))
        away = [Absence(worker, 2, at(15), at(58), why)]
        main = replace(its.recorded[MAIN], absences=away, workers=2)
        return lengths(judge(replace(its, recorded={MAIN: main})))

    assert found("did not run", 1) == found("was cut off", 1) == []
    assert found("did not run", 0) == found("recorded nothing", 1) == [2.0]


def test_one_that_did_not_end_meets_no_limit_also_if_another_hung_for_longer():
    found = check(hung(1, 20, 60), hung(2, 170, 199, "aborted"))
    assert found.measured["longest_hang_seconds"] == NotWithin(2.0)


def test_of_a_load_that_died_it_is_not_known_how_long_the_longest_hung():
    died = [event("load-died", 70, load="main"), event("load-started-again", 75, load="main")]
    found = check(hung(1, 20, 60), events=died)
    assert lengths(found) == [2.0]
    assert found.measured["longest_hang_seconds"] is None


def test_of_a_run_before_sessions_were_followed_nothing_is_known():
    its = history(load("main", *ALL_WELL), ran("main", 0, 200))
    found = judge(its)
    assert found.loads[MAIN] == {"hung_sessions": None, "longest_hang_seconds": None}
    assert found.measured["longest_hang_seconds"] is None


def test_of_sessions_that_took_each_others_place_it_is_not_said_that_all_users_hung():
    found = check(
        hung(1, 20, 40), hung(2, 30, 50, opened=21), hung(3, 45, 70, opened=41),
        hung(4, 60, 80, opened=51),
    )  # fmt: skip
    assert [each["share"] for each in found.loads[MAIN]["hung_sessions"]] == [0.25]
    ((_, row),) = found.rows
    assert row.startswith("1 of 4, and 3 opened later, hung for")


def test_forty_thousand_of_them_take_less_than_a_second():
    number = 20_000
    every = [hung(n, 20, 60) for n in range(number)]
    later = [hung(n, 20 + n % 160, 31 + n % 160)._replace(due=at(20) + n) for n in range(number)]
    stalls = [stall(100 + n / 100, 100 + (n + 0.5) / 100) for n in range(1000)]
    its = recorded(*every, *later, *stalls)
    began = time.process_time()
    judge(its)
    assert time.process_time() - began < 1


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
