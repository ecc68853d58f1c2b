"""A MariaDB for the tests of a file, where there is one; a load on it."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.loadgen import schema
from chaosaws_kms_ext.loadgen.engines.mysql import MySQL
from chaosaws_kms_ext.loadgen.process import Load, LoadConfig
from chaosaws_kms_ext.waiting import Observer
from tests.support.mariadb import a_mariadb
from tests.support.postgres import RATE


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
    loads = []

    def start(steady=True, **more):
        (tmp_path / "history").mkdir(exist_ok=True)
        config = {
            "database": mariadb.database,
            "rate": RATE,
            "users": 16,
            "writes": True,
            "deadline": 0.5,
            "folder": tmp_path / "history",
            "log": tmp_path / "load.log",
            "file": MySQL.default_load,
        }
        load = Load(LoadConfig(**{**config, **more}))
        loads.append(load)
        load.start()
        if steady:
            load.wait_until_steady(0.5, 0.99, 30, Observer())
        return load

    yield start
    mariadb.thaw()
    for load in loads:
        load.stop()
    schema.drop(mariadb.database, 20)
