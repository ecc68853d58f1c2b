"""Impact, recovery and outage, by hand; the windows that they are made from have a model."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.checkers.fault_outage import find_outage, usual_delay
from chaosaws_kms_ext.checkers.outage_windows import Load, find_windows
from chaosaws_kms_ext.history import Operation
from chaosaws_kms_ext.history.columns import Arrivals

MS = 1_000_000
SECOND = 1000 * MS
RATE = 100.0
GAP = 10 * MS
START = 7 * SECOND
DEADLINE = 0.5


def arrivals(*spans, took=MS):
    """One arrival every 10 ms: each span is (how many, outcome)."""
    found = []
    for count, outcome in spans:
        for _ in range(count):
            due = START + len(found) * GAP
            done = due + (took if outcome == "ok" else 500 * MS)
            found.append(Operation("main", 1, len(found), "read", due, due, done, outcome, None))
    return found


def judged(operations, fault_at=START, window=0.5, gaps=(), stalls=(), **more):
    columns = Arrivals.of(operations)
    load = Load(RATE, window, DEADLINE, usual_delay(columns, fault_at), stalls)
    windows = find_windows(columns, load)
    more |= {"fault_at": fault_at, "reconnect_spacing": 0.05, "gaps": gaps}
    return find_outage(columns, load, windows, **more)


def test_the_outage_lies_between_the_last_answer_and_the_first_again():
    found = judged(arrivals((100, "ok"), (300, "timeout"), (200, "ok")))
    assert found.impact == START + 99 * GAP + MS
    assert found.recovery == START + 400 * GAP + MS
    assert found.seconds == pytest.approx(3.01)
    assert found.answered_between == 0
    assert found.reason == ""


def test_a_database_that_always_answers_had_no_outage():
    found = judged(arrivals((500, "ok")))
    assert (found.impact, found.recovery, found.seconds) == (None, None, None)
    assert "no outage was seen" in found.reason


def test_a_hiccup_is_no_impact():
    found = judged(arrivals((100, "ok"), (5, "timeout"), (95, "ok"), (300, "timeout"), (99, "ok")))
    assert found.impact == START + 199 * GAP + MS


def test_a_silence_in_which_nothing_was_due_is_no_impact():
    operations = arrivals((100, "ok"))
    later = [
        o._replace(due=o.due + 9 * SECOND, done=o.done + 9 * SECOND) for o in arrivals((100, "ok"))
    ]
    assert judged(operations + later).impact is None


def test_a_silence_that_was_there_before_the_fault_is_not_blamed_on_it():
    found = judged(arrivals((100, "ok"), (300, "timeout"), (100, "ok")), fault_at=START + 200 * GAP)
    assert found.impact is None
    assert "before the fault already" in found.reason


def test_a_database_that_flaps_is_back_when_it_stays():
    operations = arrivals((100, "ok"), (100, "timeout"), (20, "ok"), (100, "timeout"), (200, "ok"))
    found = judged(operations)
    assert found.recovery == START + 320 * GAP + MS
    assert found.answered_between == 20


def test_one_failure_in_a_hundred_is_still_recovered():
    operations = arrivals((100, "ok"), (200, "timeout"), (60, "ok"), (1, "error"), (139, "ok"))
    assert judged(operations, window=1.0).recovery == START + 300 * GAP + MS
    assert judged(operations, window=0.7).recovery == START + 361 * GAP + MS


def test_a_record_that_ends_too_early_does_not_say_that_it_recovered():
    found = judged(arrivals((100, "ok"), (300, "timeout"), (30, "ok")))
    assert found.impact is not None
    assert found.recovery is None
    assert "ends before" in found.reason


def test_a_database_that_never_came_back_has_no_recovery():
    found = judged(arrivals((100, "ok"), (300, "timeout")))
    assert found.recovery is None
    assert "did not answer again" in found.reason


def test_a_hole_in_the_records_counts_as_not_answered():
    operations = arrivals((100, "ok"), (300, "timeout"), (300, "ok"))
    holed = operations[:401] + operations[451:]
    assert judged(operations).recovery == START + 400 * GAP + MS
    assert judged(holed).recovery == START + 451 * GAP + MS


def test_late_answers_count_from_when_they_came():
    operations = arrivals((100, "ok"), (300, "timeout"), (200, "ok"), took=40 * MS)
    found = judged(operations)
    assert found.recovery == START + 400 * GAP + 40 * MS


def test_the_error_bound_grows_with_the_time_that_answers_take():
    prompt = judged(arrivals((200, "ok")), fault_at=START + 150 * GAP)
    slow = judged(arrivals((200, "ok"), took=31 * MS), fault_at=START + 150 * GAP)
    assert prompt.error_bound_seconds == pytest.approx(0.01 + 0.05 + 0.001)
    assert slow.error_bound_seconds == pytest.approx(0.01 + 0.05 + 0.031)


@pytest.mark.parametrize(
    ("begin", "end", "hides"),
    [
        (200, 300, False),  # between two arrivals without an answer
        (90, 150, True),  # it may have begun in there
        (350, 450, True),  # it may have ended in there
        (20, 60, False),  # long before
        (450, 480, False),  # afterwards
    ],
)
def test_a_gap_in_the_record_widens_the_bound_where_an_edge_may_lie_in_it(begin, end, hides):
    whole = arrivals((100, "ok"), (300, "timeout"), (200, "ok"))
    kept = [o for o in whole if not begin <= o.sequence < end]
    gap = (START + begin * GAP, START + end * GAP)
    without, found = judged(kept), judged(kept, gaps=[gap])
    seconds = (end - begin) * GAP / SECOND
    widened = found.error_bound_seconds - without.error_bound_seconds
    assert widened == pytest.approx(seconds if hides else 0)
    assert (found.impact, found.recovery) == (without.impact, without.recovery)
    truth = judged(whole)
    assert abs(found.impact - truth.impact) <= found.error_bound_seconds * SECOND
    assert abs(found.recovery - truth.recovery) <= found.error_bound_seconds * SECOND


def test_what_a_load_cut_when_it_died_is_no_answer_that_was_owed():
    """A load that ends in order records what was in flight as aborted."""
    whole = arrivals((100, "ok"), (300, "timeout"), (200, "ok"))
    ended = [o for o in whole if not 60 <= o.sequence < 80]
    cut = [
        o._replace(outcome="aborted", done=START + 60 * GAP) if 50 <= o.sequence < 60 else o
        for o in ended
    ]
    gap = (START + 60 * GAP, START + 80 * GAP)
    killed = [o for o in ended if not 50 <= o.sequence < 60]
    found = judged(cut, gaps=[gap])
    assert (found.impact, found.recovery) == (judged(killed, gaps=[gap]).impact, found.recovery)
    assert found.impact == judged(whole).impact
    assert found.doubt == ""


def test_an_outage_that_lies_in_a_gap_of_the_record_was_not_seen():
    whole = arrivals((100, "ok"), (300, "timeout"), (200, "ok"))
    kept = [o for o in whole if not 90 <= o.sequence < 420]
    found = judged(kept, gaps=[(START + 90 * GAP, START + 420 * GAP)])
    assert (found.impact, found.recovery) == (None, None)


def test_a_partial_outage_is_measured():
    mixed = [(1, "ok"), (1, "error")] * 100
    found = judged(arrivals((100, "ok"), *mixed, (200, "ok")))
    assert found.reason == ""
    assert found.seconds == pytest.approx(2, abs=0.05)
    assert found.answered_between == 99
    assert [each.depth for each in found.windows] == [pytest.approx(0.5, abs=0.01)]


def test_a_partial_outage_that_becomes_total_began_with_its_first_failure():
    mixed = [(1, "ok"), (1, "error")] * 100
    found = judged(arrivals((100, "ok"), *mixed, (200, "timeout"), (200, "ok")))
    assert (found.reason, found.doubt) == ("", "")
    assert found.impact == START + 101 * GAP
    assert found.recovery == START + 500 * GAP + MS


def test_a_client_that_did_not_run_widens_the_bound_or_makes_it_worthless():
    operations = arrivals((100, "ok"), (300, "timeout"), (200, "ok"))

    bound = judged(operations).error_bound_seconds

    def stalled(seconds, at=START + 395 * GAP):
        stall = operations[0]._replace(kind="stall", due=at, done=at + round(seconds * SECOND))
        return judged(operations, stalls=[stall])

    assert stalled(0.4).error_bound_seconds == pytest.approx(bound + 0.4, abs=2e-3)
    assert stalled(0.4).doubt == ""
    assert "did not run for 2.0 s" in stalled(2).doubt
    assert stalled(2, at=START - 9 * SECOND).doubt == ""


FEW = arrivals((100, "ok"), (2, "lost"), (100, "ok"), (3, "timeout"), (200, "ok"))


def test_single_failures_after_a_fault_that_showed_are_its_effect():
    found = judged(FEW, showed=True)
    assert found.reason == ""
    assert (found.impact, found.recovery) == (START + 100 * GAP, START + 205 * GAP + MS)
    assert found.windows[0].failed == 5
    assert found.windows[0].depth < 0.1
    assert found.begin_bound_seconds > 0.5  # a few of many: when it began is hardly known


def test_single_failures_after_a_fault_that_did_not_show_are_none():
    found = judged(FEW)
    assert found.impact is None
    assert found.reason.endswith("no outage was seen (5 arrivals failed)")


def test_a_fault_that_showed_and_cost_nothing_has_no_outage():
    assert judged(arrivals((400, "ok")), showed=True).impact is None


def test_an_outage_that_begins_after_the_key_is_back_is_not_the_first_effect():
    restart = arrivals((100, "ok"), (3, "lost"), (200, "ok"), (100, "lost"), (200, "ok"))
    back_at = START + 250 * GAP
    found = judged(restart, showed=True, back_at=back_at)
    assert found.impact == START + 100 * GAP
    assert found.recovery == START + 403 * GAP + MS
    assert [each.failed for each in found.windows] == [3, 100]
    within = judged(restart, showed=True, back_at=START + 350 * GAP)
    assert within.impact == START + 302 * GAP + MS


def test_what_fails_as_often_without_a_fault_is_not_its_effect():
    some = [(99, "ok"), (1, "lost")] * 4
    recorded = arrivals(*some, *some, *some)
    found = judged(recorded, fault_at=START + 400 * GAP, showed=True)
    assert found.impact is None
    assert "no outage was seen (8 arrivals failed)" in found.reason


def test_what_the_server_rejects_is_no_effect_of_a_lost_key():
    rejected = arrivals((200, "ok"), *[(9, "ok"), (1, "error")] * 5, (200, "ok"))
    assert judged(rejected, fault_at=START + 100 * GAP, showed=True).impact is None
