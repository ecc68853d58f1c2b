"""Missed arrivals: by hand, and against a slow, obvious model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers.fault_outage import LONG_STALL
from chaosaws_kms_ext.checkers.missed_arrivals import Missed, count_missed
from chaosaws_kms_ext.history import SECOND, Operation, Outcome
from chaosaws_kms_ext.history.columns import Arrivals

MS = SECOND // 1000
GAP, RATE = 10 * MS, 100.0
START = 7 * SECOND
DEADLINE = 0.5
OUTCOMES = [outcome.value for outcome in Outcome if outcome != Outcome.UNRECORDED]


def arrival(number, outcome="ok"):
    due = START + number * GAP
    return Operation("spare", 1, number, "read", due, due, due + MS, outcome, None)


def arrivals(*outcomes):
    return [arrival(number, outcome) for number, outcome in enumerate(outcomes)]


def stall(begin, end):
    """From one arrival to another."""
    due, done = START + begin * GAP, START + end * GAP
    return Operation("spare", 0, 1, "stall", due, due, done, "ok", None)


def judged(operations, begin=0, end=None, stalls=()):
    """Between two arrivals: from the first to just before the last."""
    end = len(operations) if end is None else end
    between = (START + begin * GAP, START + end * GAP)
    return count_missed(Arrivals.of(operations), stalls, *between, rate=RATE, deadline=DEADLINE)


def test_a_load_that_is_answered_misses_nothing():
    assert judged(arrivals(*["ok"] * 200)) == Missed(0, 200, "")


@pytest.mark.parametrize("outcome", sorted({*OUTCOMES} - {"ok", "aborted"}))
def test_every_other_end_than_an_answer_is_missed(outcome):
    found = judged(arrivals(*["ok"] * 100, outcome, *["ok"] * 100))
    assert (found.count, found.judged) == (1, 201)


def test_what_was_due_before_or_after_does_not_count():
    operations = arrivals("lost", "ok", "ok", "lost")
    assert judged(operations, begin=1, end=3) == Missed(0, 2, "")


def test_what_the_end_of_the_load_cut_does_not_count():
    cut = ["aborted"] * 3 + ["unsent"] * 3
    assert judged(arrivals(*["ok"] * 100, *cut)) == Missed(0, 100, "")


def test_what_nobody_could_take_in_time_long_before_the_end_was_missed():
    assert judged(arrivals(*["ok"] * 100, "unsent", *["ok"] * 100)).count == 1


def test_a_hole_in_the_record_is_missed():
    """Of a load that was killed there is nothing any more, and so it must not look well."""
    killed = arrivals(*["ok"] * 300)
    assert judged(killed, end=500) == Missed(199, 499, "")
    holed = [o for o in killed if not 100 <= o.sequence < 150]
    assert judged(holed, end=300).count == 49


def test_what_was_not_recorded_since_the_load_had_died_does_not_count():
    """It was started again: what nobody asked was not missed by the database."""
    whole = arrivals(*["ok"] * 300, "lost", *["ok"] * 199)
    holed = [o for o in whole if not 100 <= o.sequence < 250]
    between = (START, START + 500 * GAP)
    gap = (START + 100 * GAP, START + 250 * GAP)
    counted = count_missed(
        Arrivals.of(holed), (), *between, rate=RATE, deadline=DEADLINE, gaps=[gap]
    )
    assert counted.count == 1
    assert count_missed(Arrivals.of(holed), (), *between, rate=RATE, deadline=DEADLINE).count == 150
    for_good = [o for o in whole if o.sequence < 100]
    gap = (START + 100 * GAP, 2**63)
    assert (
        count_missed(
            Arrivals.of(for_good), (), *between, rate=RATE, deadline=DEADLINE, gaps=[gap]
        ).count
        == 0
    )


def test_nothing_recorded_is_not_nothing_missed():
    assert judged([], end=500) == Missed(499, 499, "")
    assert judged([], end=0) == Missed(None, 0, "")


def test_what_came_due_while_the_client_did_not_run_does_not_count():
    operations = arrivals(*["ok"] * 100, *["timeout"] * 20, *["ok"] * 100)
    assert judged(operations, stalls=[stall(100, 119)]) == Missed(0, 200, "")
    assert judged(operations, stalls=[stall(101, 119)]).count == 1


def test_a_stall_within_another_hides_nothing_of_it():
    operations = arrivals(*["timeout"] * 100)
    assert judged(operations, stalls=[stall(0, 99), stall(10, 20)]).count is None


def test_a_client_that_did_not_run_for_long_is_in_doubt():
    operations = arrivals(*["ok"] * 400)
    assert judged(operations, stalls=[stall(0, 100)]).doubt == ""
    long = judged(operations, stalls=[stall(0, 101)])
    assert long.doubt == "the load's own process did not run for 1.0 s: the machine was too busy"
    assert judged(operations, begin=150, stalls=[stall(0, 101)]).doubt == ""


spans = st.tuples(st.integers(0, 220), st.integers(0, 220)).map(sorted)


@given(
    st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=200),
    st.sets(st.integers(0, 199)),
    st.lists(spans, max_size=4),
    spans,
)
def test_it_counts_as_the_obvious_model(outcomes, lost, still, between):
    operations = [o for o in arrivals(*outcomes) if o.sequence not in lost]
    begin, end = between
    found = judged(operations, begin, end, [stall(*each) for each in still])

    recorded = [o for o in operations if begin <= o.sequence < end]
    late = end - DEADLINE * RATE
    counted = [
        o
        for o in recorded
        if o.outcome != "aborted"
        and not (o.outcome == "unsent" and o.sequence >= late)
        and not any(first <= o.sequence <= last for first, last in still)
    ]
    holes = max(end - begin - 1 - len(recorded), 0)
    bad = sum(o.outcome != "ok" for o in counted)
    assert found.count == (bad + holes if counted or holes else None)
    assert found.judged == len(counted) + holes
    assert bool(found.doubt) == any(
        last - first > LONG_STALL * RATE and last > begin and first < end for first, last in still
    )


@given(st.lists(st.sampled_from(OUTCOMES), min_size=20, max_size=200), st.data())
def test_taking_records_away_never_makes_it_look_better(outcomes, data):
    """But for one arrival, by which an edge may be off."""
    operations = arrivals(*outcomes)
    kept = [o for o in operations if data.draw(st.booleans())]
    assert (judged(kept, end=len(outcomes)).count or 0) >= (judged(operations).count or 0) - 1


@given(st.lists(st.sampled_from(OUTCOMES), min_size=2, max_size=100), st.data())
def test_one_more_failure_is_never_fewer_missed(outcomes, data):
    place = data.draw(st.integers(0, len(outcomes) - 1))
    worse = [*outcomes[:place], "lost", *outcomes[place + 1 :]]
    assert (judged(arrivals(*worse)).count or 0) >= (judged(arrivals(*outcomes)).count or 0)


@given(st.permutations(arrivals(*["ok"] * 9, "lost", "timeout", *["ok"] * 9)))
def test_the_order_of_the_records_makes_no_difference(operations):
    assert judged(operations) == Missed(2, 20, "")
