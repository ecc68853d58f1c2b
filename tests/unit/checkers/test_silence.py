"""Impact, recovery and outage: by hand, and against a slow, obvious model."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers.silence import find_outage
from chaosaws_kms_ext.history import Operation
from chaosaws_kms_ext.history.columns import Arrivals

MS = 1_000_000
SECOND = 1000 * MS
RATE = 100.0
GAP = 10 * MS
START = 7 * SECOND


def arrivals(*spans, took=MS):
    """One arrival every 10 ms: each span is (how many, outcome)."""
    found = []
    for count, outcome in spans:
        for _ in range(count):
            due = START + len(found) * GAP
            done = due + (took if outcome == "ok" else 500 * MS)
            found.append(Operation("main", 1, len(found), "read", due, due, done, outcome, None))
    return found


def judged(operations, fault_at=START, window=0.5, gaps=()):
    return find_outage(
        Arrivals.of(operations),
        rate=RATE,
        fault_at=fault_at,
        window=window,
        reconnect_spacing=0.05,
        gaps=gaps,
    )


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


def test_a_partial_outage_is_said_and_not_measured():
    mixed = [(1, "ok"), (1, "error")] * 100
    found = judged(arrivals((100, "ok"), *mixed, (200, "ok")))
    assert found.impact is None
    assert "100 arrivals failed" in found.reason
    found = judged(arrivals((100, "ok"), *mixed, (200, "timeout"), (200, "ok")))
    assert found.recovery is not None
    assert "99 arrivals had failed before the database stopped answering" in found.doubt


def test_a_client_that_did_not_run_widens_the_bound_or_makes_it_worthless():
    operations = arrivals((100, "ok"), (300, "timeout"), (200, "ok"))

    def stalled(seconds, at=START + 395 * GAP):
        stall = operations[0]._replace(kind="stall", due=at, done=at + round(seconds * SECOND))
        return find_outage(
            Arrivals.of(operations),
            rate=RATE,
            fault_at=START,
            window=0.5,
            reconnect_spacing=0.05,
            stalls=[stall],
        )

    assert stalled(0.4).error_bound_seconds == pytest.approx(0.01 + 0.05 + 0.4, abs=2e-3)
    assert stalled(0.4).doubt == ""
    assert "did not run for 2.0 s" in stalled(2).doubt
    assert stalled(2, at=START - 9 * SECOND).doubt == ""


# The model: what the words say, without any index or running sum


def model(operations, fault_at, window):
    span = window * SECOND
    answers = sorted(o.done for o in operations if o.outcome == "ok")
    if not answers:
        return None, None
    end = max(o.done for o in operations)
    impact = None
    for begin, until in zip(answers, [*answers[1:], end], strict=True):
        silent = any(begin <= o.due <= until for o in operations if o.outcome != "ok")
        if until > fault_at and until - begin >= span and silent:
            impact = begin
            break
    if impact is None or impact < fault_at - 0.061 * SECOND:
        return None, None
    for first in operations:
        if first.due < impact or first.outcome != "ok":
            continue
        inside = [o for o in operations if first.due <= o.due < first.due + span]
        if not any(o.due >= first.due + span for o in operations):
            return impact, None
        ok = [o for o in inside if o.outcome == "ok"]
        if len(ok) / max(len(inside), int(RATE * span / SECOND) - 1) >= 0.99:
            return impact, min(o.done for o in ok)
    return impact, None


SPANS = st.lists(
    st.tuples(st.integers(1, 120), st.sampled_from(["ok", "timeout", "unsent", "lost", "error"])),
    min_size=1,
    max_size=8,
)


@settings(max_examples=300, deadline=None)
@given(
    spans=SPANS,
    fault=st.integers(0, 300),
    window=st.sampled_from([0.1, 0.3, 1.0]),
    holes=st.sets(st.integers(0, 500), max_size=5),
)
def test_it_finds_what_the_obvious_model_finds(spans, fault, window, holes):
    operations = [o for n, o in enumerate(arrivals(*spans)) if n not in holes]
    fault_at = START + fault * GAP
    found = judged(operations, fault_at=fault_at, window=window)
    assert (found.impact, found.recovery) == model(operations, fault_at, window)
    assert bool(found.reason) == (found.recovery is None)
