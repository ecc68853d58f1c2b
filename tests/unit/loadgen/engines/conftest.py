"""A MariaDB for the tests of a file, where there is one; a load on it."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.loadgen import schema
from chaosaws_kms_ext.loadgen.engines.mysql import MySQL
from tests.support.mariadb import a_mariadb
from tests.support.started_loads import starting_loads


@pytest.fixture(autouse=True)
def _no_password_of_the_users_own(monkeypatch, tmp_path):
    monkeypatch.delenv("MYSQL_PWD", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="module")
def mariadb():
    with a_mariadb() as server:
        yield server


@pytest.fixture
def start_mysql_load(mariadb, tmp_path):
    usual = {"file": MySQL.default_load}
    with starting_loads(mariadb.database, tmp_path, 30, **usual) as start:
        yield start
        mariadb.thaw()
    schema.drop(mariadb.database, 20)
