"""The record of several processes beside that of one that did the same."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers.outage_windows import Load, find_windows
from chaosaws_kms_ext.history import SECOND, Operation
from chaosaws_kms_ext.history.columns import OUTCOMES, Recorded
from chaosaws_kms_ext.history.combined import combine
from chaosaws_kms_ext.history.shares import absent_together, least_present
from tests.support import shares_model
from tests.support.examples import examples
from tests.support.processes import Away, Clockwork, split

MS = 1_000_000
RATE, START = 100.0, 500 * SECOND
DEADLINE, WINDOW, USUAL = 0.5, 0.5, 0.003
DRIFT = 500e-6
"""The most that Linux slews a clock, of time."""
TOOK = {"ok": 1, "timeout": 500, "error": 2, "lost": 30, "unsent": 375}


def due(number):
    return START + round(number * SECOND / RATE)


def at(seconds):
    return START + round(seconds * SECOND)


def arrivals(*spans):
    """One arrival every 10 ms; each span is (seconds, how they ended in turn…)."""
    found = []
    for seconds, *ends in spans:
        for turn in range(round(seconds * RATE)):
            number, how = len(found), ends[turn % len(ends)]
            begun = due(number)
            found.append(
                Operation(
                    "main", 1 + number % 16, number, "write" if number % 10 == 9 else "read",
                    begun, begun, begun + TOOK[how] * MS, how, None,
                )
            )  # fmt: skip
    return found


def windows(recorded):
    load = Load(RATE, WINDOW, DEADLINE, USUAL, present=least_present(recorded.absences))
    return find_windows(recorded.arrivals, load)


def single(operations):
    return find_windows(Recorded.of(RATE, operations).arrivals, Load(RATE, WINDOW, DEADLINE, USUAL))


CLOCKS = st.builds(
    Clockwork,
    behind=st.integers(-(10**17), START - 100 * SECOND),
    drift=st.floats(-DRIFT, DRIFT),
    took=st.sampled_from([0, 100_000, 2 * MS]),
)
SPANS = st.lists(
    st.tuples(st.floats(0.7, 3), st.sampled_from(["timeout", "unsent", "lost", "error"])),
    max_size=3,
)
"""Total outages; between them, and around them, the database is well."""


def with_outages(spans):
    return arrivals((3, "ok"), *[s for span in spans for s in (span, (3, "ok"))])


@settings(max_examples=examples(25), deadline=None)
@given(spans=SPANS, of=st.sampled_from([2, 3, 7]), data=st.data())
def test_processes_that_were_all_there_are_like_one(spans, of, data):
    operations = with_outages(spans)
    clocks = data.draw(st.lists(CLOCKS, min_size=of, max_size=of))
    found = combine(split(operations, RATE, of, START, clocks))
    off = round(found.clock_error * SECOND) + 2
    assert off < 5 * MS
    assert found.absences == []
    assert len(found.arrivals) == len(operations)
    assert np.abs(found.arrivals.due - [o.due for o in operations]).max() <= off
    assert [OUTCOMES[each] for each in found.arrivals.outcome] == [o.outcome for o in operations]
    its, truth = windows(found), single(operations)
    assert [w.failed for w in its] == [w.failed for w in truth]
    for one, other in zip(its, truth, strict=True):
        assert abs(one.begin - other.begin) <= off
        assert abs(one.end - other.end) <= off


AWAY = st.tuples(
    st.floats(0.5, 12), st.floats(0.6, 8), st.sampled_from(["killed", "cut-off", "stalled"])
)


@settings(max_examples=examples(60), deadline=None)
@given(
    spans=SPANS,
    of=st.sampled_from([2, 3, 7]),
    away=AWAY,
    drifts=st.booleans(),
    behind=st.integers(-(10**15), START - 100 * SECOND),
)
def test_one_that_was_absent_for_a_time_makes_no_outage_and_moves_none(
    spans, of, away, drifts, behind
):
    operations = with_outages(spans)
    begin, lasts, how = away
    begin = min(begin, len(operations) / RATE - 2)
    gone = Away(of - 1, at(begin), at(begin + lasts), how)
    # A process of this machine has its clock, and is never cut off.
    far = drifts or how == "cut-off"
    if how == "cut-off":  # shorter ones are not told apart from an outage
        gone = replace(gone, end=gone.end + SECOND // 2)
    clocks = [Clockwork(behind, DRIFT / 2, 2 * MS)] * of if far else ()
    found = combine(split(operations, RATE, of, START, clocks, [gone]))
    off = round((found.clock_error + 3 / RATE / (1 - 1 / of)) * SECOND)
    its, truth = windows(found), single(operations)
    assert len(its) == len(truth)
    for one, other in zip(its, truth, strict=True):
        assert abs(one.begin - other.begin) <= off
        assert (one.end is None) == (other.end is None)
        if one.end is not None:
            assert abs(one.end - other.end) <= off
        assert one.depth == pytest.approx(1, abs=0.05)
    assert {each.worker for each in found.absences} <= {of - 1}
    assert absent_together(found.absences) == []


def test_an_outage_of_half_of_the_arrivals_is_that_deep_without_one_process_too():
    chance = random.Random(1)
    half = [chance.choice(["ok", "timeout"]) for _ in range(800)]
    operations = arrivals((3, "ok"), (8, *half), (4, "ok"))
    gone = Away(2, at(5), at(9), "killed")
    (one,) = windows(combine(split(operations, RATE, 4, START, (), [gone])))
    assert one.depth == pytest.approx(0.5, abs=0.05)
    assert abs(one.begin - at(3)) < SECOND // 5
    assert abs(one.end - at(11)) < SECOND // 5


def test_all_absent_at_once_is_a_gap_and_no_outage():
    gone = [Away(n, at(4), at(7), "stalled") for n in range(3)]
    found = combine(split(arrivals((12, "ok")), RATE, 3, START, (), gone))
    assert absent_together(found.absences) == [(at(4), at(7))]
    assert windows(found) == []


def test_a_hole_in_the_record_of_a_process_that_was_there_is_not_answered():
    operations = arrivals((4, "ok"), (1.5, "timeout"), (4, "ok"))
    holed = [o for o in operations if not (300 <= o.sequence < 345 and o.sequence % 3 == 1)]
    found = combine(split(holed, RATE, 3, START))
    assert found.absences == []
    assert len(found.arrivals) == len(holed)
    assert not found.arrivals.unrecorded.any()


def test_a_stall_excuses_the_arrivals_of_its_own_process_and_no_other():
    operations = arrivals((4, "ok"), (1.5, "unsent"), (4, "ok"))
    stalled = [Away(0, at(3.9), at(5.6), "stalled")]
    found = combine(split(operations, RATE, 3, START, (), stalled))
    assert len(windows(found)) == 1
    excused = found.arrivals.due[found.arrivals.unrecorded]
    assert {round((each - START) / SECOND * RATE) % 3 for each in excused.tolist()} == {0}
    everybody = [Away(n, at(3.9), at(5.6), "stalled") for n in range(3)]
    assert windows(combine(split(operations, RATE, 3, START, (), everybody))) == []


def test_a_process_that_left_no_record_was_absent_from_begin_to_end():
    operations = arrivals((4, "ok"), (1.5, "timeout"), (4, "ok"))
    found = combine(split(operations, RATE, 4, START)[:3])
    assert [(each.worker, each.why) for each in found.absences] == [(3, "recorded nothing")]
    assert len(found.arrivals) == len(operations)
    assert np.count_nonzero(found.arrivals.unrecorded) == len(operations) // 4
    (one,) = windows(found)
    assert abs(one.begin - at(4)) < SECOND // 20
    assert abs(one.end - at(5.5)) < SECOND // 20


def test_what_a_process_recorded_before_it_died_counts():
    """It died in an outage: that it was not answered is known."""
    operations = arrivals((4, "ok"), (4, "timeout"), (4, "ok"))
    found = combine(split(operations, RATE, 2, START, (), [Away(1, at(6), at(6), "killed")]))
    failed = found.arrivals.due[found.arrivals.outcome == OUTCOMES.index("timeout")]
    its = [each for each in failed.tolist() if round((each - START) / SECOND * RATE) % 2 == 1]
    assert max(its) > at(6 - DEADLINE) - 30 * MS
    assert len(its) == pytest.approx((2 - DEADLINE) * RATE / 2, abs=2)


def test_what_was_under_way_when_a_process_died_is_not_known():
    """Of arrivals that take long, some were due before others that have a record."""
    operations = arrivals((4, "ok", "ok", "lost", "timeout"), (4, "ok"))
    found = combine(split(operations, RATE, 2, START, (), [Away(1, at(3), at(3), "killed")]))
    assert len(found.arrivals) == len(operations) - 1  # nobody tells that the last one was due


def test_a_clock_that_stands_still_leaves_no_hole():
    """The machine of one process sleeps for 3 s: its arrivals are due later from then on."""
    operations = arrivals((14, "ok"))
    header, its = split(operations, RATE, 2, START, [Clockwork(), Clockwork(took=MS)])[1]
    slept, woke = at(6), at(9)

    def own(o):
        later = 3 * SECOND if o.kind == "clock" and o.due >= slept else 0
        return o._replace(sent=o.sent + later)

    last = [o for o in its.witnessed if o.kind == "clock"]
    early = [o for o in operations if o.sequence % 2 == 1 and o.due < at(11)]
    told = Recorded.of(RATE, [*early, *map(own, last[: last.index(last[-1]) - 12])])
    first = (header._replace(worker=0), Recorded.of(RATE, operations[::2]))
    found = combine([first, (header, told)])
    assert [(e.worker, e.why) for e in found.absences] == [(1, "did not run")]
    assert found.absences[0].begin <= slept
    assert found.absences[0].end >= woke
    assert len(found.arrivals) == pytest.approx(len(operations), abs=2)
    unknown = found.arrivals.due[found.arrivals.unrecorded]
    assert slept - 300 * MS < unknown.min()
    assert unknown.max() < woke + 300 * MS
    assert len(unknown) == pytest.approx(150, abs=2)


def test_a_silence_before_the_first_arrival_is_no_absence():
    """While its users connect, a process may have no time for other questions."""
    silent = [Away(n, at(-1.9), at(-0.3), "cut-off") for n in range(2)]
    clocks = [Clockwork(took=MS)] * 2
    assert combine(split(arrivals((4, "ok")), RATE, 2, START, clocks, silent)).absences == []
    silent = [Away(1, at(-1.9), at(0.5), "cut-off")]
    found = combine(split(arrivals((4, "ok")), RATE, 2, START, clocks, silent))
    assert [e.why for e in found.absences] == ["was cut off"]


def test_a_load_that_was_started_again_is_put_together_start_by_start():
    first, again = arrivals((4, "ok")), arrivals((5, "ok"))
    gone = [Away(0, at(2), at(2), "killed")]
    later = 10 * SECOND
    both = [
        *split(first, RATE, 2, START, (), gone),
        *(
            (header._replace(starts=1), recorded)
            for header, recorded in split(
                [o._replace(due=o.due + later, done=o.done + later) for o in again],
                RATE,
                2,
                START + later,
            )
        ),
    ]
    found = combine(both)
    assert len(found.arrivals) == 900
    assert [(e.worker, e.begin < at(4), e.end < at(5)) for e in found.absences] == [(0, True, True)]


def test_what_the_client_saw_keeps_its_name():
    operations = [
        o._replace(outcome="error", sqlstate=["57P03", "53300"][o.sequence % 2])
        for o in arrivals((2, "error"))
    ]
    found = combine(split(operations, RATE, 2, START))
    names = [found.labels[each] for each in found.said]
    assert names == [o.sqlstate for o in operations]


def test_processes_that_saw_different_names_have_all_of_them_together():
    operations = [o._replace(sqlstate=f"{o.sequence:05}") for o in arrivals((2, "error"))]
    found = combine(split(operations, RATE, 2, START))
    assert len(set(operations)) == len(found.labels) > 127
    names = [found.labels[code] for code in found.said.tolist()]
    assert names == [o.sqlstate for o in operations]


def witness(kind, begin, end, outcome):
    return Operation("main", 0, 1, kind, at(begin), at(begin), at(end), outcome, None)


def test_what_a_witness_saw_in_an_absence_says_nothing_unless_it_was_answered():
    header, _ = split(arrivals((6, "ok")), RATE, 2, START)[0]
    seen = [
        witness("stall", 2, 3, "ok"),
        witness("session", 1, 1.1, "timeout"),
        witness("session", 1.5, 2.5, "timeout"),
        witness("connect", 2.5, 2.6, "timeout"),
        witness("connect", 2.7, 2.8, "ok"),
        witness("session", 3.5, 3.6, "timeout"),
    ]
    one = Recorded.of(RATE, [*seen, *arrivals((6, "ok"))[::2]])
    other = (header._replace(worker=1), Recorded.of(RATE, arrivals((6, "ok"))[1::2]))
    found = combine([(header, one), other])
    assert [(o.kind, o.outcome) for o in found.witnessed] == [
        ("session", "timeout"), ("connect", "ok"), ("session", "timeout"),
    ]  # fmt: skip


def test_a_session_that_hung_through_an_absence_keeps_its_record():
    header, _ = split(arrivals((6, "ok")), RATE, 2, START)[0]
    one = Recorded.of(RATE, arrivals((6, "ok"))[::2])
    seen = [witness("stall", 2, 3, "ok"), witness("hung", 1, 5, "aborted")]
    other = Recorded.of(RATE, [*seen, *arrivals((6, "ok"))[1::2]])
    found = combine([(header, one), (header._replace(worker=1), other)])
    assert [(o.kind, o.outcome, o.writer) for o in found.witnessed] == [("hung", "aborted", 1)]


@settings(max_examples=examples(60), deadline=None)
@given(
    of=st.integers(2, 5),
    ends=st.lists(st.sampled_from([*TOOK, "ok", "ok"]), min_size=300, max_size=300),
    away=st.lists(
        st.tuples(
            st.integers(0, 4), st.floats(0, 3), st.floats(0.1, 3),
            st.sampled_from(["killed", "stalled"]),
        ),
        max_size=3,
    ),
    holes=st.sets(st.integers(0, 299), max_size=10),
)  # fmt: skip
def test_every_arrival_has_the_outcome_of_the_obvious_model(of, ends, away, holes):
    operations = [o for o in arrivals((3, *ends)) if o.sequence not in holes]
    gone = [Away(n % of, at(begin), at(begin + lasts), how) for n, begin, lasts, how in away]
    its = split(operations, RATE, of, START, (), gone)
    found = combine(its)
    recorded = {
        header.worker: {
            round((int(when) - START) / SECOND * RATE): Operation(
                "main", 0, 0, "read", int(when), None, int(done), OUTCOMES[outcome], None
            )
            for when, done, outcome in zip(
                one.arrivals.due, one.arrivals.done, one.arrivals.outcome, strict=True
            )
        }
        for header, one in its
    }
    last = max((int(one.arrivals.due[-1]) for _, one in its if len(one.arrivals)), default=START)
    told = shares_model.outcomes(
        recorded, [(e.worker, e.begin, e.end, e.why) for e in found.absences],
        of=of, rate=RATE, start=START, last=last,
    )  # fmt: skip
    assert dict(sorted(told.items())) == {
        round((int(when) - START) / SECOND * RATE): OUTCOMES[outcome]
        for when, outcome in zip(found.arrivals.due, found.arrivals.outcome, strict=True)
    }
