"""What the load writes and reads: against a real PostgreSQL, and tampered with afterwards."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial

import psycopg
import pytest

from chaosaws_kms_ext.checkers import durability, integrity, stale_reads
from chaosaws_kms_ext.checkers.write_numbers import named
from chaosaws_kms_ext.history.payload import payload_of
from chaosaws_kms_ext.history.reader import read_history
from chaosaws_kms_ext.history.records import DAMAGED, NO_ROW
from chaosaws_kms_ext.history.writer import write_rows
from chaosaws_kms_ext.loadgen import engines, schema
from chaosaws_kms_ext.loadgen.client import registers
from chaosaws_kms_ext.loadgen.client.registers import STAY, register_to_read
from chaosaws_kms_ext.loadgen.engines import base
from chaosaws_kms_ext.loadgen.engines.postgresql_connection import DeadlineConnection
from tests.support.records import arrivals

write = partial(registers.write, engines.named("postgresql"))
read_register = partial(registers.read_register, engines.named("postgresql"))


def test_every_register_is_read_as_often_and_a_user_stays_with_one_for_a_while():
    writers = [5, 2, 9, 4]
    asked = [register_to_read(writers, 1_000_003, n) for n in range(4 * STAY)]
    assert {each: asked.count(each) for each in asked} == dict.fromkeys(writers, STAY)
    assert len(set(asked[:STAY])) == 1
    assert {register_to_read(writers, user, 0) for user in range(4)} == set(writers)


@pytest.fixture
def connection(postgres):
    schema.make(postgres.conninfo, 5)
    with DeadlineConnection.connect(postgres.conninfo, autocommit=True) as found:
        yield found


def stored(postgres):
    found = schema.rows(postgres.conninfo, 5)
    return [
        sorted(zip(each.rows.writer.tolist(), each.rows.sequence.tolist(), strict=True))
        for each in (found.rows, found.registers)
    ]


def test_a_write_is_a_row_and_a_register_that_never_goes_back(postgres, connection):
    assert read_register(connection, 1) == NO_ROW
    for sequence in (1, 7, 40_000, 3):  # the last: carried out late
        write(connection, 1, sequence)
    write(connection, 2, 5)
    assert (read_register(connection, 1), read_register(connection, 2)) == (40_000, 5)
    rows = [(1, 1), (1, 3), (1, 7), (1, 40_000), (2, 5)]
    assert stored(postgres) == [rows, [(1, 40_000), (2, 5)]]
    found = schema.rows(postgres.conninfo, 5)
    for each in (found.rows, found.registers):
        pairs = zip(each.rows.writer.tolist(), each.rows.sequence.tolist(), strict=True)
        assert each.payload.tolist() == [payload_of(*pair) for pair in pairs]


@pytest.mark.parametrize("change", ["value = 8", "payload = 5", "value = -7", "value = 1 << 40"])
def test_a_register_whose_checksum_is_not_its_own_is_damaged(connection, change):
    write(connection, 1, 7)
    connection.execute(f"UPDATE chaos_kms.registers SET {change.replace('1 <<', '1::bigint <<')}")
    assert read_register(connection, 1) == DAMAGED


def test_many_rows_are_read_back_a_part_at_a_time(postgres, connection, monkeypatch):
    connection.execute(
        "INSERT INTO chaos_kms.writes SELECT i % 16, i, -i FROM generate_series(1, 100) i"
    )
    monkeypatch.setattr(base, "CHUNK", 7)
    found = schema.rows(postgres.conninfo, 5).rows
    assert sorted(found.rows.sequence.tolist()) == list(range(1, 101))
    assert (found.payload == -found.rows.sequence).all()
    assert (found.rows.writer == found.rows.sequence % 16).all()


# A load


def judged(load):
    write_rows(load.config.folder, load.config.name, load.rows(5))
    history = read_history(load.config.folder)
    writes, reads, found = history.writes("main"), history.reads("main"), history.rows["main"]
    whole = integrity.compare(writes, reads, found)
    kept = durability.compare_writes(writes, found)
    assert whole.made_up == 0
    assert kept.unexpected == ()
    kinds = (whole.changed, whole.duplicated, whole.reordered)
    return [set(kept.lost), *(set(named(each)) for each in kinds)], stale_reads.find(reads, writes)


def test_what_a_load_wrote_and_read_is_whole(postgres, start_load):
    load = start_load()
    time.sleep(1.5)
    postgres.kill()
    time.sleep(0.3)
    postgres.start()
    postgres.wait_until_ready()
    time.sleep(1.5)
    load.stop()
    found, seen = judged(load)
    assert found == [set(), set(), set(), set()]
    assert not (seen.in_session | seen.behind).any()
    assert seen.reads.value.max() > 5
    recorded = arrivals(load.config.folder)
    every = [o for o in recorded if o.key is not None]
    assert len(every) == len(seen.reads) > 20
    assert 8 < len({o.key for o in every}) <= 16
    # A writer all of whose writes failed has a register that is asked for, too.
    assert {o.key for o in every} <= {o.writer for o in recorded if o.kind == "write"}
    assert len({o.session for o in every}) > 8  # users' before, and after the crash
    assert {(o.session is None, o.value is None) for o in every} == {(False, False)}


def every_write(load):
    return [o for o in arrivals(load.config.folder) if o.kind == "write" and o.outcome == "ok"]


def test_rows_that_are_tampered_with_afterwards_are_found_and_no_others(postgres, start_load):
    load = start_load()
    time.sleep(2)
    load.stop()
    acknowledged = sorted((o.writer, o.sequence) for o in every_write(load))
    # The newest write of the writer that made most: it has made others before.
    writer, made = Counter(writer for writer, _ in acknowledged).most_common(1)[0]
    assert made > 1
    last = max(each for each in acknowledged if each[0] == writer)
    gone, twice, other, moved = [each for each in acknowledged if each[0] != last[0]][:20:5]
    one = "WHERE (writer, sequence) = (%s, %s)"
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute(f"DELETE FROM chaos_kms.writes {one}", gone)
        connection.execute(
            f"INSERT INTO chaos_kms.writes SELECT * FROM chaos_kms.writes {one}", twice
        )
        connection.execute(f"UPDATE chaos_kms.writes SET payload = payload # 1 {one}", other)
        connection.execute(f"UPDATE chaos_kms.writes SET writer = writer + 1 {one}", moved)
        connection.execute(
            "UPDATE chaos_kms.registers r SET value = w.sequence, payload = w.payload "
            "FROM (SELECT * FROM chaos_kms.writes WHERE writer = %(it)s ORDER BY sequence LIMIT 1) "
            "AS w WHERE r.writer = %(it)s",
            {"it": last[0]},
        )
    found, seen = judged(load)
    assert found == [{gone}, {other, moved}, {twice}, {last}]
    assert not (seen.in_session | seen.behind).any()


def test_registers_that_are_set_back_or_damaged_under_load_are_seen_by_its_reads(
    postgres, start_load
):
    load = start_load(rate=400, users=5)
    first = "SELECT writer, sequence, payload FROM chaos_kms.writes LIMIT 1"
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        writer, sequence, payload = connection.execute(first).fetchone()
        (other,) = connection.execute(
            "SELECT writer FROM chaos_kms.registers WHERE writer <> %s LIMIT 1", (writer,)
        ).fetchone()
        for _ in range(10):
            connection.execute(
                "UPDATE chaos_kms.registers SET value = %s, payload = %s WHERE writer = %s",
                (sequence, payload, writer),
            )
            connection.execute(
                "UPDATE chaos_kms.registers SET payload = 0 WHERE writer = %s", (other,)
            )
            time.sleep(0.2)
        # Whose next write repairs it.
        time.sleep(0.5)
    load.stop()
    (lost, changed, duplicated, reordered), seen = judged(load)
    assert (lost, duplicated, reordered) == (set(), set(), set())
    assert changed
    assert {row.writer for row in changed} == {other}
    assert seen.behind.any()
    assert set(seen.reads.key[seen.behind].tolist()) == {writer}
    assert set(seen.reads.key[seen.in_session].tolist()) <= {writer}
    assert set(seen.reads.value[seen.behind].tolist()) == {sequence}
