"""Lost, changed, duplicated and stale data of a real load: exactly what was done to it is found."""

from __future__ import annotations

import random
import time

import psycopg
import pytest

from chaosaws_kms_ext.checkers import durability, integrity, stale_reads
from chaosaws_kms_ext.checkers.write_numbers import named
from chaosaws_kms_ext.history import END_OF_TIME
from chaosaws_kms_ext.history.reader import read_history
from chaosaws_kms_ext.history.writer import write_rows
from chaosaws_kms_ext.loadgen.process import Load, LoadConfig
from chaosaws_kms_ext.waiting import Observer
from tests.support.postgres import a_postgres
from tests.support.records import arrivals

pytestmark = pytest.mark.soak

ONE = "WHERE (writer, sequence) = (%s, %s)"
HOW = ("payload = payload # 1", "sequence = sequence + 100000", "writer = 0")
BACK = """
UPDATE chaos_kms.registers r SET value = w.sequence, payload = w.payload
FROM (SELECT DISTINCT ON (writer) * FROM chaos_kms.writes ORDER BY writer, sequence) AS w
WHERE r.writer = w.writer
"""
"""Every register as it was after the first write."""


@pytest.fixture(scope="module")
def server():
    with a_postgres() as made:
        yield made


@pytest.fixture
def load(server, tmp_path):
    (tmp_path / "history").mkdir()
    config = LoadConfig(
        server.conninfo, 400.0, 16, True, 2.0, tmp_path / "history", tmp_path / "log"
    )
    its = Load(config)
    its.start()
    try:
        its.wait_until_steady(1, 0.99, 30, Observer())
        yield its
    finally:
        its.stop()
        its.drop(10)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_done_to_the_data_is_found_and_nothing_else(server, load, seed):
    dice = random.Random(seed)
    time.sleep(1 + dice.random())
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        before = time.monotonic_ns()
        connection.execute(BACK)
        after = time.monotonic_ns()
        time.sleep(2)
        load.stop()
        every = [o for o in arrivals(load.config.folder) if o.kind == "write"]
        known = sorted((o.writer, o.sequence) for o in every if o.outcome == "ok")
        drawn = dice.sample(known, 30)
        cuts = sorted(dice.sample(range(1, 30), 2))
        lost, changed, twice = drawn[: cuts[0]], drawn[cuts[0] : cuts[1]], drawn[cuts[1] :]
        for row in lost:
            connection.execute(f"DELETE FROM chaos_kms.writes {ONE}", row)
        for row in changed:
            how = dice.choice(HOW)
            connection.execute(f"UPDATE chaos_kms.writes SET {how} {ONE}", row)
        for row in twice:
            connection.execute(
                f"INSERT INTO chaos_kms.writes SELECT * FROM chaos_kms.writes {ONE}", row
            )
    write_rows(load.config.folder, load.config.name, load.rows(10))
    history = read_history(load.config.folder)
    writes, reads, found = history.writes("main"), history.reads("main"), history.rows["main"]
    kept = durability.compare_writes(writes, found)
    whole = integrity.compare(writes, reads, found)
    assert set(kept.lost) == set(lost)
    assert set(named(whole.changed)) == set(changed)
    assert set(named(whole.duplicated)) == set(twice)
    # A register is well again with the next write of its writer.
    again, newest = {}, {}
    for o in sorted(every, key=lambda o: o.done):
        if o.outcome == "ok":
            newest[o.writer] = o.sequence
            if o.sent > after:
                again.setdefault(o.writer, o.done)
    behind = {(writer, last) for writer, last in newest.items() if writer not in again}
    assert set(named(whole.reordered)) == behind - set(lost)
    seen = stale_reads.find(reads, writes)
    stale = seen.reads.only(seen.in_session | seen.behind)
    assert len(stale) > 3
    assert (stale.sent > before).all()
    assert all(
        sent < again.get(key, END_OF_TIME)
        for key, sent in zip(stale.key.tolist(), stale.sent.tolist(), strict=True)
    )
    # And none of those that saw an older value is left out.
    first = {}
    for o in sorted(every, key=lambda o: o.sequence):
        first.setdefault(o.writer, o.sequence)
    saw = [o for o in arrivals(load.config.folder) if o.key in first and o.sent > after]
    assert sum(o.value == first[o.key] for o in saw) == len(stale)
