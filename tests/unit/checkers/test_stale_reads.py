"""Reads that go back in time: by hand, and against a slow model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers.stale_reads import LISTED, StaleReads, find
from chaosaws_kms_ext.history import SECOND, EventName, Operation
from chaosaws_kms_ext.history.columns import Recorded
from tests.support import writes_model as model
from tests.support.histories import conditions, event, history, measure, ran, verdict


def write(sequence, done, writer=1, outcome="ok"):
    return Operation("main", writer, sequence, "write", 0, 0, done, outcome, None)


def read(value, sent, key=1, session=1, load="main"):
    return Operation(
        load, 9, sent, "read", sent, sent, sent + 1, "ok", None, None, session, key, value
    )


def judged(*operations, died=False):
    its = Recorded.of(200.0, operations)
    seen = find(its.reads, its.writes, its.last if died else None)
    columns = (
        seen.reads.sent,
        seen.in_session,
        seen.behind,
        seen.newest,
        seen.lag,
        seen.lag_writes,
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {sent: tuple(its) for sent, *its in rows}


WRITES = [write(1, 10), write(3, 30), write(7, 70)]


def test_a_read_may_see_what_was_acknowledged_before_it_began_or_anything_newer():
    found = judged(*WRITES, read(0, 10), read(1, 11), read(3, 12), read(3, 70), read(7, 71))
    assert {its[:2] for its in found.values()} == {(False, False)}


def test_a_session_that_saw_a_value_and_then_an_older_one_went_back():
    found = judged(*WRITES, read(7, 5), read(3, 6), read(0, 7), read(7, 8), read(1, 9, session=2))
    assert [its[0] for its in found.values()] == [False, True, True, False, False]
    assert found[7][2] == 7
    assert not any(its[1] for its in found.values())  # nothing had been acknowledged


def test_registers_are_not_compared_with_each_other():
    found = judged(*WRITES, write(2, 5, writer=2), read(7, 1), read(2, 2, key=2), read(7, 3))
    assert not any(its[0] for its in found.values())


def test_a_read_that_began_after_an_acknowledgement_and_saw_less_is_behind():
    found = judged(*WRITES, read(1, 100), read(0, 110, session=2), read(3, 31, session=3))
    assert found[100] == (False, True, 7, 70, 2)
    assert found[110] == (False, True, 7, 100, 3)
    assert found[31] == (False, False, 3, 0, 0)


def test_an_unknown_write_need_not_be_seen_and_may_be():
    unknown = write(9, 80, outcome="timeout")
    found = judged(*WRITES, unknown, read(7, 90), read(9, 91), read(9, 92))
    assert not any(its[0] or its[1] for its in found.values())
    found = judged(*WRITES, unknown, read(9, 90), read(7, 91))
    assert found[91] == (True, False, 9, 0, 0)


def test_damage_and_values_that_nobody_wrote_are_not_compared():
    assert judged(*WRITES, read(-1, 100), read(99, 101), read(2**40, 102)) == {}
    died = judged(*WRITES, read(99, 101), read(7, 102), read(2, 103, session=2), died=True)
    assert list(died) == [101, 102]
    assert died[102][0]


WRITER, SEQUENCE = st.integers(1, 3), st.integers(1, 6)
OUTCOME = st.sampled_from(["ok", "ok", "ok", "error", "timeout", "unsent"])
WRITTEN = st.lists(
    st.builds(write, SEQUENCE, st.integers(1, 60), WRITER, OUTCOME),
    unique_by=lambda o: (o.writer, o.sequence),
    max_size=15,
)
SEEN = st.lists(
    st.builds(read, st.integers(-1, 8), st.integers(1, 60), WRITER, st.integers(1, 2)),
    unique_by=lambda o: o.sent,
    max_size=20,
)


@given(WRITTEN, SEEN, st.booleans())
def test_it_is_what_the_model_says(writes, reads, died):
    assert judged(*writes, *reads, died=died) == model.stale([*writes, *reads], died)


# In a run

FOUND = [read(3, 2 * SECOND), read(1, 3 * SECOND), read(0, 4 * SECOND, session=2)]


def run_of(*operations, **details):
    loads = sorted({each.load for each in operations})
    events = [
        event(EventName.LOAD_STARTED, -1, load=load, **(details if load != "main" else {}))
        for load in loads
    ]
    return history(operations, [*events, *(e for load in loads for e in ran(load, 0, 9))])


def test_the_summary_counts_and_names_them():
    its = StaleReads().check(run_of(*WRITES, *FOUND), conditions())
    assert its.loads["main"] == {
        "register_reads": {
            "seen": 3,
            "endpoint": "writer",
            "in_session": 1,
            "sessions": 1,
            "behind": 3,
            "lag_seconds": 4.0,
            "lag_writes": 3,
        },
        "stale_reads": [[1, 1, 3, 7], [1, 1, 1, 7], [2, 1, 0, 7]],
    }
    assert its.measured == {"stale_reads": 3}
    assert its.rows == [
        ("stale reads", "1 went back in their session; 3 older than acknowledged: "
         "at most 4.00 s and 3 writes")
    ]  # fmt: skip


def test_a_replica_may_lag_and_must_not_go_back():
    operations = [*WRITES, read(7, 2 * SECOND), *(o._replace(load="replica") for o in FOUND)]
    recorded = run_of(*operations, endpoint="reader", registers_of="main")
    its = StaleReads().check(recorded, conditions())
    replica = its.loads["replica"]
    assert replica["stale_reads"] == [[1, 1, 1, 7]]
    figures = replica["register_reads"]
    assert (figures["in_session"], figures["behind"]) == (1, 3)
    assert (figures["lag_seconds"], figures["lag_writes"]) == (4.0, 3)
    assert its.measured["stale_reads"].sum == 1
    assert its.rows == [
        ("load replica", "1 went back in their session; 3 behind the writer: "
         "at most 4.00 s and 3 writes")
    ]  # fmt: skip


def of_reader(*reads):
    """A run whose load over the reader endpoint saw this of what `main` wrote."""
    its = [read._replace(load="reader") for read in reads]
    return run_of(*WRITES, read(7, 2 * SECOND), *its, endpoint="reader", registers_of="main")


def test_what_a_reader_saw_late_is_lag_and_what_went_back_is_stale():
    lags = [read(1, 2 * SECOND), read(3, 3 * SECOND), read(3, 4 * SECOND), read(7, 5 * SECOND)]
    its = measure(["main"], of_reader(*lags))
    assert its.loads["reader"]["register_reads"]["behind"] == 3
    assert its.loads["reader"]["register_reads"]["in_session"] == 0
    assert its.measured["stale_reads"] == 0
    # The same that a session saw in another order, and what one without any lag went back to.
    back = [read(3, 2 * SECOND), read(1, 3 * SECOND), read(7, 4 * SECOND), read(3, 5 * SECOND)]
    its = measure(["main"], of_reader(*back))
    assert its.loads["reader"]["register_reads"]["in_session"] == 2
    assert its.measured["stale_reads"].sum == 2
    assert its.figures["stale_reads"] == []
    assert "objective missed: stale_reads of the load reader was 2, and its limit is 0" in (
        verdict(its, "stale_reads").reasons
    )


def test_very_many_are_counted_and_not_all_named():
    reads = [read(1, SECOND + number) for number in range(LISTED + 9)]
    its = StaleReads().check(run_of(*WRITES, *reads), conditions())
    assert its.measured == {"stale_reads": LISTED + 9}
    assert len(its.loads["main"]["stale_reads"]) == LISTED


def test_an_experiment_can_ask_that_there_is_none():
    found = measure(["main"], run_of(*WRITES, *FOUND))
    assert "objective missed: stale_reads was 3, and its limit is 0" in (
        verdict(found, "stale_reads").reasons
    )


def test_without_such_a_read_nothing_is_known():
    measured = measure(["main"], run_of(*WRITES))
    assert measured.measured["stale_reads"] is None
    assert measured.figures["register_reads"] is None
    assert "objective stale_reads could not be judged" in verdict(measured, "stale_reads").reasons


def test_a_load_that_writes_nothing_does_not_make_the_others_unknown():
    recorded = run_of(*WRITES, read(7, SECOND), read(7, SECOND)._replace(load="other", key=None))
    assert StaleReads().check(recorded, conditions()).measured == {"stale_reads": 0}
