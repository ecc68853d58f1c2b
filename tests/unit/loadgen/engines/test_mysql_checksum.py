"""The checksum of a table, on a real MariaDB: it is the rows, and nothing else."""

from __future__ import annotations

import random

import pytest

from chaosaws_kms_ext.loadgen.checksum import checksum
from chaosaws_kms_ext.loadgen.engines.mysql_checksum import names_in
from chaosaws_kms_ext.loadgen.schema import LoadFailed
from tests.support.mariadb import needs_mariadb

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
