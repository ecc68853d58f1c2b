"""The checksum of a table, on a real MariaDB: it is the rows, and nothing else."""

from __future__ import annotations

import random

import pytest

from chaosaws_kms_ext.loadgen.checksum import checksum
from chaosaws_kms_ext.loadgen.engines import mysql_checksum
from chaosaws_kms_ext.loadgen.engines.mysql_checksum import names_in
from chaosaws_kms_ext.loadgen.engines.mysql_connection import MySQLConnection
from chaosaws_kms_ext.loadgen.schema import LoadFailed
from tests.support.mariadb import needs_mariadb, soon

VALUES = (
    "(1, 'Anna', 1.5, x'00ff', '2026-01-02 03:04:05', '2026-01-02 03:04:05', '[1]')",
    "(2, 'ä ''é', -0.25, x'', '2026-01-02 03:04:05', NULL, NULL)",
    "(NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    "(NULL, '', NULL, NULL, NULL, NULL, NULL)",
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("users", ["users"]),
        ("shop.users", ["shop", "users"]),
        ("`My Shop`.`a.b`", ["My Shop", "a.b"]),
        ("shop.`it``s`", ["shop", "it`s"]),
    ],
)
def test_a_table_is_named_with_or_without_backticks(text, names):
    assert list(names_in(text)) == names


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a.b.c", "`a", "`a`b", "``", "a.``"])
def test_what_names_no_table_is_refused(text):
    with pytest.raises(LoadFailed, match="names no table"):
        names_in(text)


@pytest.fixture(scope="module")
def shop(mariadb):
    mariadb.run(
        "CREATE DATABASE `My Shop`",
        "CREATE TABLE `My Shop`.`it``s` (a int, b varchar(20), c double, d blob, e datetime, "
        "f timestamp NULL, g json)",
    )

    def holding(*rows):
        mariadb.run("TRUNCATE `My Shop`.`it``s`")
        for row in rows:
            mariadb.run(f"INSERT INTO `My Shop`.`it``s` VALUES {row}")
        return checksum(mariadb.database, "`My Shop`.`it``s`", 20)

    return holding


@needs_mariadb()
def test_rows_in_another_order_have_the_same_checksum(shop):
    whole = shop(*VALUES)
    assert whole.rows == len(VALUES)
    assert len(whole.checksum) == 32
    for _ in range(2):
        assert shop(*random.sample(VALUES, len(VALUES))) == whole
    assert shop() == (0, "0" * 32)


@needs_mariadb()
@pytest.mark.parametrize(
    "changed",
    [
        VALUES[:3],
        (*VALUES, VALUES[0]),
        (*VALUES[:3], VALUES[2]),
        (VALUES[0].replace("1.5", "1.25"), *VALUES[1:]),
        (VALUES[0].replace("x'00ff'", "x'00fe'"), *VALUES[1:]),
        (VALUES[0].replace("'Anna'", "'anna'"), *VALUES[1:]),
        (VALUES[0].replace("'[1]'", "NULL"), *VALUES[1:]),
    ],
)
def test_a_row_that_is_lost_doubled_or_changed_changes_it(shop, changed):
    assert shop(*VALUES).checksum != shop(*changed).checksum


@needs_mariadb()
@pytest.mark.parametrize("table", ["nothing", "shop.nothing", "nowhere.users"])
def test_a_table_that_is_not_there_is_named(mariadb, table):
    with pytest.raises(LoadFailed, match=f"the database has no table {table}"):
        checksum(mariadb.database, table, 20)


@needs_mariadb()
def test_a_float_that_changed_a_little_is_seen(mariadb):
    mariadb.run("CREATE TABLE shop.floats (a float)", "INSERT INTO shop.floats VALUES (16777215)")
    before = checksum(mariadb.database, "shop.floats", 20)
    mariadb.run("UPDATE shop.floats SET a = 16777214")
    assert checksum(mariadb.database, "shop.floats", 20) != before


@needs_mariadb()
def test_a_value_that_the_server_does_not_take_as_a_whole_is_not_compared(mariadb):
    mariadb.run("CREATE TABLE shop.long (a longblob)", "SET GLOBAL max_allowed_packet = 1048576")
    mariadb.run("INSERT INTO shop.long VALUES (REPEAT('a', 500000))")
    mariadb.run("SET GLOBAL max_allowed_packet = 65536")
    try:
        with pytest.raises(LoadFailed, match="longer than the server's max_allowed_packet"):
            checksum(mariadb.database, "shop.long", 20)
    finally:
        mariadb.run("SET GLOBAL max_allowed_packet = 16777216")


@needs_mariadb()
def test_who_may_not_see_every_column_compares_nothing(mariadb, monkeypatch):
    mariadb.run(
        "CREATE TABLE shop.hidden (a int, b int)",
        "CREATE USER some@'%' IDENTIFIED BY 'word'",
        "GRANT SELECT (a) ON shop.hidden TO some@'%'",
    )
    monkeypatch.setenv("MYSQL_PWD", "word")
    with pytest.raises(LoadFailed, match="denied"):
        checksum(mariadb.url("some"), "shop.hidden", 20)


@needs_mariadb()
def test_the_server_does_not_go_on_adding_up_after_the_deadline(mariadb):
    mariadb.run("CREATE TABLE shop.huge (a int)")
    with MySQLConnection(mariadb.database, soon(20)) as connection:
        mysql_checksum.checksum(connection, "shop.huge")
        (limit,) = connection.execute("SELECT @@max_statement_time").fetchone()
    assert 0 < limit <= 20
