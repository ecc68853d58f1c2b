"""Changed, duplicated and reordered writes: by hand, against a slow model, and by simulation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers import durability, stale_reads
from chaosaws_kms_ext.checkers.integrity import LISTED, IntegrityChecker, compare
from chaosaws_kms_ext.checkers.write_numbers import named
from chaosaws_kms_ext.history import EventName, Operation
from chaosaws_kms_ext.history.columns import ReadBack, Recorded
from chaosaws_kms_ext.history.payload import payload_of
from tests.support import simulated_writes as simulation
from tests.support import writes_model as model
from tests.support.histories import conditions, event, history, measure, ran, started, verdict


def write(sequence, outcome="ok", writer=1, done=10):
    return Operation("main", writer, sequence, "write", 0, 0, done, outcome, None)


def read(value, key=1, session=1, sent=100):
    return Operation(
        "main", 9, sent, "read", sent, sent, sent + 1, "ok", None, None, session, key, value
    )


def row(sequence, writer=1):
    return (writer, sequence, payload_of(writer, sequence))


def judged(operations, rows, registers=None, died=False):
    its = Recorded.of(200.0, operations)
    found = compare(its.writes, its.reads, ReadBack.of(rows, registers), its.last if died else None)
    kinds = (found.changed, found.duplicated, found.reordered)
    return [*(named(each) for each in kinds), found.made_up]


WRITES = [write(1), write(2), write(3), write(4, "timeout")]
ROWS = [row(1), row(2), row(3)]


@pytest.mark.parametrize("more", [[], [row(4)]])
def test_what_is_there_as_it_was_written_is_no_alarm_nor_is_an_unknown_write(more):
    assert judged(WRITES, ROWS + more) == [(), (), (), 0]


def test_a_row_whose_checksum_is_another_was_changed():
    assert judged(WRITES, [row(1), (1, 2, 5), row(3)], [row(3)]) == [((1, 2),), (), (), 0]


@pytest.mark.parametrize("now", [(7, 2), (1, 99), (1, 3), (-4, 2), (1, -2), (1, 2**62)])
def test_a_row_that_has_another_writer_or_sequence_is_known_by_its_checksum(now):
    rows = [row(1), (*now, payload_of(1, 2)), row(3)]
    assert judged(WRITES, rows, [row(3)]) == [((1, 2),), (), (), 0]
    writes = Recorded.of(200.0, WRITES).writes
    kept = durability.compare_writes(writes, ReadBack.of(rows, []))
    assert (kept.lost, kept.unexpected) == ((), ())


def test_a_row_that_is_there_twice_is_named_once_also_that_of_an_unknown_write():
    rows = [*ROWS, row(2), row(2), row(4), row(4)]
    assert judged(WRITES, rows) == [(), ((1, 2), (1, 4)), (), 0]


@pytest.mark.parametrize("registers", [[row(1)], [row(2)], [], [row(5, writer=2)], [row(9, 0)]])
def test_a_register_that_is_older_than_what_was_acknowledged_or_gone_is_behind(registers):
    found = judged([*WRITES, write(5, writer=2)], ROWS, registers)
    assert found[:3] == [(), (), ((1, 3),)]


def test_a_register_is_not_behind_a_write_that_was_lost():
    assert judged(WRITES, [row(1)], [row(1)]) == [(), (), (), 0]
    assert judged(WRITES, [], []) == [(), (), (), 0]


@pytest.mark.parametrize("register", [(1, 3, 8), (1, 2, payload_of(1, 3)), (5, 3, row(3)[2])])
def test_a_register_that_was_changed_is_named_as_the_write_that_it_held(register):
    assert judged(WRITES, ROWS, [register]) == [((1, 3),), (), (), 0]


def test_a_damaged_register_that_a_read_saw_was_the_write_acknowledged_before():
    writes = [write(1, done=10), write(2, done=20), write(3, done=300)]
    assert judged([*writes, read(-1, sent=25)], ROWS)[0] == ((1, 2),)
    assert judged([*writes, read(-1, sent=5)], ROWS)[0] == ((1, 0),)
    assert judged([*writes, read(-1, key=8)], ROWS)[0] == ((8, 0),)


def test_a_value_that_nobody_wrote_is_made_up_unless_the_load_died_before_it_was_recorded():
    operations = [*WRITES, write(5, "error"), read(77), read(5), read(4), read(0)]
    assert judged(operations, ROWS, [row(78)])[3] == 3
    assert judged(operations, ROWS, [row(78)], died=True)[3] == 1  # 5 was recorded: it failed


def test_where_nothing_was_read_back_nothing_is_known():
    its = Recorded.of(200.0, WRITES)
    found = compare(its.writes, its.reads, None)
    assert (found.changed, found.duplicated, found.reordered) == (None, None, None)


WRITER, SEQUENCE = st.integers(1, 3), st.integers(1, 6)
PAIR = st.tuples(WRITER, SEQUENCE)
STORED = st.builds(
    lambda pair, other, how: (*pair, {0: payload_of(*pair), 1: payload_of(*other), 2: 12345}[how]),
    PAIR,
    PAIR,
    st.sampled_from([0, 0, 0, 1, 2]),
)
OUTCOME = st.sampled_from(["ok", "ok", "error", "timeout", "lost", "unsent", "aborted"])
WRITTEN = st.lists(
    st.builds(write, SEQUENCE, OUTCOME, WRITER, done=st.integers(1, 40)),
    unique_by=lambda o: (o.writer, o.sequence),
    max_size=15,
)
SEEN = st.lists(
    st.builds(read, st.integers(-1, 7), WRITER, st.integers(1, 2), st.integers(1, 40)),
    unique_by=lambda o: o.sent,
    max_size=15,
)


@given(
    WRITTEN,
    SEEN,
    st.lists(STORED, max_size=15),
    st.lists(STORED, max_size=3, unique_by=lambda register: register[0]),
)
def test_it_is_what_the_model_says(writes, reads, rows, registers):
    operations = [*writes, *reads]
    changed, duplicated, reordered, _ = judged(operations, rows, registers)
    assert set(changed) == model.changed(operations, rows, registers)
    assert set(duplicated) == model.duplicated(operations, rows)
    assert set(reordered) == model.reordered(operations, rows, registers)
    recorded = Recorded.of(200.0, operations)
    kept = durability.compare_writes(recorded.writes, ReadBack.of(rows, registers))
    assert set(kept.lost) == model.lost(operations, rows)


# By simulation: everything that happened is found, and nothing else


def everything(world):
    its = Recorded.of(200.0, world.operations)
    found = ReadBack.of(world.rows, world.registers)
    kept = durability.compare_writes(its.writes, found)
    whole = compare(its.writes, its.reads, found)
    seen = stale_reads.find(its.reads, its.writes)
    stale = seen.stale("writer")
    assert whole.made_up == 0
    return {
        "lost": set(kept.lost),
        "changed": set(named(whole.changed)),
        "duplicated": set(named(whole.duplicated)),
        "reordered": set(named(whole.reordered)),
        "stale": set(seen.reads.sent[stale].tolist()),
    }


HAPPENS = {
    "lost": simulation.lose,
    "changed": simulation.change,
    "duplicated": simulation.duplicate,
    "reordered": simulation.set_back,
    "stale": simulation.read_old,
}
NOTHING = {kind: set() for kind in HAPPENS}


@pytest.mark.parametrize("seed", range(100))
def test_a_hundred_databases_that_do_nothing_wrong_raise_no_alarm(seed):
    world = simulation.simulated(seed)
    assert len(model.writes_of(world.operations, "ok")) > 50
    assert everything(world) == NOTHING


@pytest.mark.parametrize("kind", HAPPENS)
def test_what_happens_to_a_hundred_databases_is_found_exactly(kind):
    for seed in range(100):
        world = simulation.simulated(seed, until=60_000)
        happened = HAPPENS[kind](world)
        assert happened
        assert everything(world) == {**NOTHING, kind: happened}, seed


# In a run


def run_with(rows, registers=None):
    recorded = history(
        WRITES, [*started("main"), event(EventName.LOAD_STEADY, 0, load="main"), *ran("main", 0, 9)]
    )
    recorded.rows["main"] = ReadBack.of(rows, registers)
    return recorded


def test_the_summary_counts_and_names_them():
    its = IntegrityChecker().check(run_with([*ROWS, row(1), (1, 2, 5)], [row(1)]), conditions())
    assert its.loads["main"] == {
        "integrity": {"changed": 1, "duplicated": 2, "reordered": 1},
        "changed_writes": [[1, 2]],
        "duplicated_writes": [[1, 1], [1, 2]],
        "reordered_writes": [[1, 3]],
    }
    assert its.measured == {
        "changed_writes": 1,
        "duplicated_writes": 2,
        "reordered_writes": 1,
    }
    assert its.rows == [("integrity", "1 changed · 2 duplicated · 1 reordered")]


def test_what_was_seen_over_the_reader_endpoint_is_of_what_main_wrote():
    seen = [read(-1, sent=25)._replace(load="reader"), read(1, sent=26)._replace(load="reader")]
    operations = [*WRITES, *seen]
    events = [*started("main", "reader"), *ran("main", 0, 9), *ran("reader", 0, 9)]
    recorded = history(operations, events, {"main": ROWS})
    its = IntegrityChecker().check(recorded, conditions())
    assert its.measured["changed_writes"] == 1
    assert its.loads["main"]["integrity"]["changed"] == 1
    assert set(its.loads["reader"].values()) == {None}
    kept = durability.DurabilityChecker().check(recorded, conditions())
    assert kept.measured["lost_writes"] == 0
    assert kept.doubts == []
    assert kept.loads["reader"] == {"writes": None, "lost_writes": None}


def test_very_many_are_counted_and_not_all_named():
    rows = [(1, number, 0) for number in range(1, LISTED + 50)]
    its = IntegrityChecker().check(run_with(rows, [row(3)]), conditions())
    assert its.loads["main"]["integrity"]["changed"] == LISTED + 49
    assert len(its.loads["main"]["changed_writes"]) == LISTED


@pytest.mark.parametrize(
    ("rows", "registers", "missed"),
    [
        ([row(1), (1, 2, 5), row(3)], [row(3)], "changed_writes"),
        ([*ROWS, row(1)], [row(3)], "duplicated_writes"),
        (ROWS, [row(2)], "reordered_writes"),
    ],
)
def test_an_experiment_can_ask_that_there_is_none(rows, registers, missed):
    names = ("changed_writes", "duplicated_writes", "reordered_writes", "lost_writes")
    found = verdict(measure(["main"], run_with(rows, registers)), *names)
    assert [why for why in found.reasons if "objective" in why] == [
        f"objective missed: {missed} was 1, and its limit is 0"
    ]


def test_a_register_that_nobody_can_have_written_is_a_doubt():
    its = IntegrityChecker().check(run_with(ROWS, [row(99)]), conditions())
    (doubt,) = its.doubts
    assert doubt.startswith("1 values of registers were seen that no client can have written")


def test_what_was_not_read_back_is_null_and_cannot_meet_an_objective():
    recorded = run_with(ROWS)
    del recorded.rows["main"]
    measured = measure(["main"], recorded)
    assert measured.measured["changed_writes"] is None
    assert measured.figures["integrity"] == dict.fromkeys(["changed", "duplicated", "reordered"])
    assert [why for why in measured.doubts if "the rows could not be read back" in why]
    found = verdict(measured, "changed_writes")
    assert "objective changed_writes could not be judged" in found.reasons
