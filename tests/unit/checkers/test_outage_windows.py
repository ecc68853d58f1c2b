"""Outage windows: by hand, and against a slow, obvious model."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers import outage_windows
from chaosaws_kms_ext.checkers.outage_windows import END_OF_TIME, Load, find_windows
from chaosaws_kms_ext.history import SECOND, Operation
from chaosaws_kms_ext.history.columns import Arrivals
from tests.support import windows_model
from tests.support.examples import examples

MS = 1_000_000
RATE, GAP = 100.0, 10 * MS
START = 7 * SECOND
DEADLINE, WINDOW, USUAL = 0.5, 0.3, 0.002
TOOK = {"ok": 1, "slow": 20, "late": 400, "timeout": 500, "error": 2, "lost": 30, "unsent": 375}
"""How an arrival ended → after how many ms."""


def arrivals(*spans):
    """One arrival every 10 ms; each span is (how many, how they ended in turn…)."""
    found = []
    for count, *ends in spans:
        for number in range(count):
            how = ends[number % len(ends)]
            due = START + len(found) * GAP
            outcome = "ok" if how in ("slow", "late") else how
            done = due + TOOK.get(how, 1) * MS
            found.append(Operation("main", 1, len(found), "read", due, due, done, outcome, None))
    return found


def found(operations, stalls=(), window=WINDOW, stopped=END_OF_TIME):
    load = Load(RATE, window, DEADLINE, USUAL, stalls, stopped)
    return find_windows(Arrivals.of(operations), load)


def at(number, ms=0):
    return START + number * GAP + ms * MS


def test_a_database_that_answers_has_no_window():
    assert found(arrivals((500, "ok"))) == []


def test_a_total_outage_is_from_the_last_answer_to_the_first_again():
    (one,) = found(arrivals((100, "ok"), (300, "timeout"), (200, "ok")))
    assert (one.begin, one.end) == (at(99, 1), at(400, 1))
    assert (one.failed, one.depth) == (300, 1.0)


def test_a_database_that_flaps_has_a_window_each_time():
    three = found(arrivals((100, "ok"), *[(80, "timeout"), (60, "ok")] * 3, (100, "ok")))
    assert [(w.begin, w.end) for w in three] == [
        (at(99 + 140 * n, 1), at(180 + 140 * n, 1)) for n in range(3)
    ]
    assert [w.depth for w in three] == [1.0, 1.0, 1.0]


def test_short_answers_between_do_not_end_a_window_but_make_it_less_deep():
    (one,) = found(arrivals((100, "ok"), (80, "timeout"), (20, "ok"), (100, "timeout"), (99, "ok")))
    assert (one.begin, one.end, one.failed) == (at(99, 1), at(300, 1), 180)
    assert one.depth == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("how", ["error", "timeout", "unsent", "lost"])
def test_half_of_the_arrivals_is_a_window_of_half_the_depth(how):
    (one,) = found(arrivals((100, "ok"), (400, "ok", how), (200, "ok")))
    assert one.begin == at(101)
    assert one.end == at(500, 1)
    assert one.failed == 200
    assert one.depth == pytest.approx(0.5, abs=0.01)


def test_sessions_that_hung_end_a_partial_outage_when_they_are_answered():
    """Those sent last before the end are answered late, and in time."""
    recorded = arrivals((100, "ok"), (200, "ok", "timeout"))
    released = at(340)
    for number in range(300, 340):
        done = released + MS if number % 2 else at(number, 1)
        recorded.append(
            Operation("main", 1, number, "read", at(number), at(number), done, "ok", None)
        )
    recorded += [
        o._replace(due=o.due + 340 * GAP, done=o.done + 340 * GAP) for o in arrivals((200, "ok"))
    ]
    (one,) = found(recorded)
    assert one.begin == at(101)
    assert one.end == released + MS


def test_a_partial_outage_that_becomes_total_begins_with_its_first_failure():
    (one,) = found(arrivals((100, "ok"), (100, "ok", "error"), (200, "timeout"), (200, "ok")))
    assert (one.begin, one.end) == (at(101), at(400, 1))
    assert 0.8 < one.depth < 0.9


def test_a_few_that_were_on_their_way_do_not_make_it_begin_earlier():
    recorded = arrivals((100, "ok"), (300, "timeout"), (200, "ok"))
    for number in (96, 98):
        recorded[number] = recorded[number]._replace(outcome="lost", done=at(100))
    (one,) = found(recorded)
    assert one.begin == at(99, 1)


def test_single_failures_are_no_window():
    assert found(arrivals((100, "ok"), (9, "lost"), (100, "ok"), (9, "error"), (200, "ok"))) == []


def test_an_outage_that_the_record_ends_in_has_no_end():
    (one,) = found(arrivals((100, "ok"), (300, "timeout")))
    assert (one.begin, one.end, one.answered_after) == (at(99, 1), None, False)
    (one,) = found(arrivals((100, "ok"), (300, "timeout"), (20, "ok")))
    assert (one.end, one.answered_after) == (None, True)


def test_what_the_load_cut_when_it_ended_is_no_outage():
    assert found(arrivals((200, "ok"), (16, "aborted"))) == []


def test_what_nobody_took_since_the_load_was_stopped_is_no_outage():
    recorded = arrivals((200, "ok"), (9, "aborted"), (40, "unsent"))
    assert found(recorded, stopped=at(205)) == []
    assert found(recorded)
    hung = arrivals((100, "ok"), (109, "timeout"), (40, "unsent"))
    (one,) = found(hung, stopped=at(205))
    assert (one.begin, one.failed) == (at(99, 1), 105)


def test_what_failed_while_the_load_did_not_run_is_no_outage():
    recorded = arrivals((100, "ok"), (50, "unsent"), (200, "ok"))
    assert found(recorded)
    stall = Operation("main", 0, 1, "stall", at(95), at(95), at(190), "ok", None)
    assert found(recorded, [stall]) == []


def test_slow_answers_are_no_outage():
    assert found(arrivals((100, "ok"), (200, "late"), (200, "ok"))) == []


SPANS = st.lists(
    st.tuples(
        st.integers(1, 90),
        st.sampled_from([*TOOK, "aborted"]),
        st.sampled_from([*TOOK, "aborted", "ok", "ok"]),
    ),
    min_size=1,
    max_size=7,
)


@settings(max_examples=examples(150), deadline=None)
@given(
    spans=SPANS,
    window=st.sampled_from([0.2, 0.3, 1.2]),
    holes=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 12)), max_size=6),
    block=st.sampled_from([16, 64, 1 << 18]),
)
# A hole soon after an outage, in a block in which nothing failed.
@example([(53, "ok", "ok"), (15, "timeout", "timeout"), (110, "ok", "ok")], 0.3, [(86, 10)], 16)
def test_they_are_those_of_the_obvious_model(spans, window, holes, block):
    missing = {number + more for number, length in holes for more in range(length)}
    recorded = [o for number, o in enumerate(arrivals(*spans)) if number not in missing]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(outage_windows, "STARTS", block)
        its = found(recorded, window=window)
    told = windows_model.windows(recorded, RATE, window, DEADLINE, USUAL)
    assert [(w.begin, w.end, w.failed) for w in its] == [each[:3] for each in told]
    assert [w.depth for w in its] == pytest.approx([each[3] for each in told], abs=0.001)


@settings(max_examples=examples(100), deadline=None)
@given(
    width=st.integers(15, 200),
    before=st.integers(40, 100),
    took=st.integers(1, 9),
    how=st.sampled_from(["timeout", "lost", "error"]),
)
def test_a_total_outage_has_the_depth_one_wherever_it_lies(width, before, took, how):
    recorded = arrivals((before, "ok"), (width, how), (120, "ok"))
    recorded = [o._replace(done=o.due + took * MS) if o.outcome == "ok" else o for o in recorded]
    (one,) = found(recorded)
    assert one.depth == 1.0
    assert (one.begin, one.end) == (at(before - 1, took), at(before + width, took))
