"""Reaching a cluster's database: its own address, the right user, no password in sight."""

from __future__ import annotations

import json
import logging
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from chaosaws_kms_ext.aws.kms import Key
from chaosaws_kms_ext.aws.proxies import Proxy
from chaosaws_kms_ext.aws.rds import Cluster
from chaosaws_kms_ext.connection_strings import options_of
from chaosaws_kms_ext.guard.guard import Target
from chaosaws_kms_ext.loadgen import engines
from chaosaws_kms_ext.loadgen.conninfo import (
    conninfo_as,
    conninfo_for,
    conninfo_for_readers,
    given_for_target,
    refuse_unspoken,
)
from chaosaws_kms_ext.loadgen.engines.base import Hopeless
from chaosaws_kms_ext.loadgen.engines.passfile import password_in
from chaosaws_kms_ext.loadgen.passwords import Passwords
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.settings import Settings
from tests.support.labs import client
from tests.support.token_gate import asks

pytestmark = pytest.mark.common_lab

SECRET = "first: of \\ all"
KEY = Key("arn:aws:kms:eu-west-1:123456789012:key/1", "Enabled", "CUSTOMER", "123456789012")


@pytest.fixture
def shop(postgres):
    """The port of a server whose user `shop` has to give a password."""
    asks(postgres.data, "shop")
    with postgres.connected() as connection:
        connection.execute(f"CREATE ROLE shop LOGIN PASSWORD {psycopg.sql.quote(SECRET)}")
        connection.execute("SELECT pg_reload_conf()")
    return postgres.port


def cluster(name, port, host="127.0.0.1", **said):
    return Cluster(
        id=name,
        arn=f"arn:aws:rds:eu-west-1:123456789012:cluster:{name}",
        status="available",
        instances={},
        encrypted=True,
        key=KEY.arn,
        encryption_type="",
        raw={"Endpoint": host, "Port": port, "MasterUsername": "shop", **said},
    )


@pytest.fixture
def begin():
    """A run whose target is `orders`, somewhere where nobody answers."""
    begun = []

    def begin(**settings):
        run = Run(Settings(**{"target": "aws", "cluster_id": "orders", **settings}))
        run.target = Target(orders(), KEY)
        begun.append(run)
        return run

    yield begin
    for run in begun:
        run.at_end.close()


def orders():
    return cluster("orders", 5432, "orders.example", DatabaseName="postgres")


def logs_in(database):
    assert SECRET not in database
    with psycopg.connect(database, connect_timeout=5) as connection:
        connection.execute("SELECT 1")
        return connection.info.user


def refused(database):
    with pytest.raises(psycopg.OperationalError, match="password"):
        logs_in(database)
    return True


def test_the_target_is_reached_as_its_load_is(begin):
    run = begin(database="host=10.0.0.1 user=app sslmode=require")
    assert conninfo_to_dict(conninfo_for(run, orders())) == {
        "host": "10.0.0.1",
        "port": "5432",
        "dbname": "postgres",
        "user": "app",
        "sslmode": "require",
    }
    kept = Passwords("host=a", lambda: None, 60)
    run.passwords = kept
    assert conninfo_for(begin(), orders()) != kept.database
    run = begin()
    run.passwords = kept
    assert conninfo_for(run, orders()) == kept.database
    kept.stop()


FRONT = Proxy("front", "available", "front.example", "POSTGRESQL", (), frozenset(), (), {})


def test_the_target_is_reached_through_its_proxy(begin):
    run = begin(database="user=app sslmode=require")
    run.proxy = FRONT
    found = conninfo_to_dict(conninfo_for(run, orders()))
    assert found == {
        "host": "front.example",
        "port": "5432",
        "dbname": "postgres",
        "user": "app",
        "sslmode": "require",
    }
    assert conninfo_to_dict(conninfo_for(run, cluster("copy", 1, "copy.example")))["host"] == (
        "copy.example"
    )
    with pytest.raises(Refused, match="goes through the RDS Proxy front"):
        conninfo_for_readers(run, orders())


def test_a_proxy_listens_on_its_engines_port_and_the_labs_on_that_of_its_target(begin):
    run = begin()
    run.proxy = FRONT
    assert options_of(given_for_target(run, cluster("orders", 6000)))["port"] == "5432"
    run = begin(target="lab", cluster_id="")
    run.proxy = FRONT
    assert options_of(given_for_target(run, cluster("orders", 6000)))["port"] == "6000"
    run = begin(database="port=6543")
    run.proxy = FRONT
    assert options_of(given_for_target(run, cluster("orders", 6000)))["port"] == "6543"
    run.proxy = None
    run.settings = Settings()
    assert given_for_target(run, cluster("orders", 6000)) == ""


def test_the_password_for_a_proxy_may_be_that_for_its_target(begin, tmp_path, monkeypatch):
    line = "orders.example:5432:*:shop:of the target\n"
    file = tmp_path / "pgpass"
    file.write_text(line)
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    run = begin()
    run.proxy = FRONT
    found = options_of(conninfo_for(run, orders()))
    assert password_in(Path(found["passfile"]), found) == "of the target"
    file.write_text(line + "front.example:5432:*:shop:of the proxy\n")
    run = begin()
    run.proxy = FRONT
    assert "passfile" not in options_of(conninfo_for(run, orders()))


def test_another_cluster_is_reached_as_the_target_is_but_at_its_own_address(begin):
    given = "host=10.0.0.1 hostaddr=10.0.0.1 port=1 user=app sslmode=require"
    found = conninfo_to_dict(
        conninfo_for(begin(database=given), cluster("copy", 6000, "copy.example"))
    )
    assert found == {
        "host": "copy.example",
        "port": "6000",
        "dbname": "postgres",
        "user": "app",
        "sslmode": "require",
    }


@pytest.mark.parametrize("of_the_target", [None, "the target's, and wrong here"])
def test_a_cluster_that_the_run_made_is_reached_as_its_master_user(
    begin, shop, monkeypatch, of_the_target
):
    if of_the_target:
        monkeypatch.setenv("PGPASSWORD", of_the_target)
    run, made = begin(database="user=app dbname=nowhere connect_timeout=3"), cluster("made", shop)
    assert refused(conninfo_for(run, made).replace("user=app", "user=shop") + " dbname=postgres")
    run = begin(database="user=app dbname=nowhere connect_timeout=3")
    run.master_passwords["made"] = ("shop", SECRET)
    database = conninfo_for(run, made)
    assert logs_in(database) == "shop"
    assert conninfo_to_dict(database)["connect_timeout"] == "3"
    assert conninfo_for(run, made) == database
    run.at_end.close()
    assert refused(database)


def test_a_password_that_the_password_file_has_for_the_target_alone_will_do(
    begin, shop, monkeypatch, tmp_path
):
    file = tmp_path / "pgpass"
    line = "orders.example:5432:*:shop:" + SECRET.replace("\\", "\\\\").replace(":", "\\:")
    file.write_text(f"# orders.example:*:*:*:no\nelsewhere:*:*:*:no\n{line}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    copy = cluster("copy", shop)
    assert logs_in(conninfo_for(begin(), copy)) == "shop"
    file.chmod(0o644)
    assert refused(conninfo_for(begin(), copy))
    file.chmod(0o600)
    file.write_text(f"127.0.0.1:*:*:shop:no\n{line}\n")
    assert refused(conninfo_for(begin(), copy))  # its own line comes before the target's


READERS = {"ReaderEndpoint": "127.0.0.1", "DatabaseName": "postgres"}


def test_the_reader_endpoint_is_reached_as_the_cluster_is(begin, shop, monkeypatch, tmp_path):
    file = tmp_path / "pgpass"
    escaped = SECRET.replace("\\", "\\\\").replace(":", "\\:")
    file.write_text(f"orders.example:5432:*:shop:{escaped}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    its = cluster("orders", shop, "orders.example", **READERS)
    run = begin(database="host=orders.example connect_timeout=3")
    database = conninfo_for_readers(run, its)
    assert logs_in(database) == "shop"
    named = conninfo_to_dict(database)
    assert (named["host"], named["port"], named["connect_timeout"]) == ("127.0.0.1", str(shop), "3")


@pytest.mark.parametrize("given", ["host=10.0.0.1", "hostaddr=127.0.0.1", "service=shop"])
def test_another_way_to_the_cluster_says_nothing_of_its_readers(begin, given):
    its = cluster("orders", 5432, "orders.example", **READERS)
    with pytest.raises(Refused, match="CHAOS_DATABASE names an address of its own"):
        conninfo_for_readers(begin(database=given), its)


def test_a_password_of_the_environment_is_everybodys(begin, shop, monkeypatch):
    assert refused(conninfo_for(begin(), cluster("copy", shop)))
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert logs_in(conninfo_for(begin(), cluster("copy", shop))) == "shop"


@pytest.fixture
def on_lab(lab, monkeypatch):
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)


def test_a_secret_of_the_targets_opens_its_copy(begin, shop, lab, on_lab, caplog):
    name, login = f"db-{uuid.uuid4().hex}", {"username": "shop", "password": SECRET}
    client(lab, "secretsmanager").create_secret(Name=name, SecretString=json.dumps(login))
    run = begin(database_auth="secret", database_secret=name, database="host=10.0.0.1 port=1")
    with caplog.at_level(logging.DEBUG):
        database = conninfo_for(run, cluster("copy", shop))
    assert logs_in(database) == "shop"
    assert SECRET not in caplog.text
    run.at_end.close()
    assert refused(database)


def test_a_token_is_one_for_the_clusters_own_address(begin, on_lab):
    run = begin(database_auth="iam", database="host=10.0.0.1 port=1 user=app")
    database = conninfo_for(run, cluster("copy", 6000, "copy.example"))
    named = conninfo_to_dict(database)
    assert (named["host"], named["port"], named["sslmode"]) == ("copy.example", "6000", "require")
    with open(named["passfile"]) as file:
        (line,) = file.read().splitlines()
    assert line.startswith("copy.example:6000:*:app:copy.example\\:6000/?Action=connect")
    assert "password" not in make_conninfo(database)


def test_a_token_for_the_reader_endpoint_is_one_for_its_address(begin, on_lab):
    run = begin(database_auth="iam", database="user=app")
    its = cluster("orders", 6000, "orders.example", ReaderEndpoint="ro.example")
    named = conninfo_to_dict(conninfo_for_readers(run, its))
    assert (named["host"], named["port"]) == ("ro.example", "6000")
    with open(named["passfile"]) as file:
        (line,) = file.read().splitlines()
    assert line.startswith("ro.example:6000:*:app:ro.example\\:6000/?Action=connect")


# Which engine it is


@pytest.mark.parametrize("engine", ["docdb", "neptune", "oracle-ee", "sqlserver-se"])
def test_a_database_that_no_load_speaks_with_is_refused(begin, engine):
    with pytest.raises(Refused, match=f"orders is of the engine {engine}, and the load speaks"):
        conninfo_for(begin(), cluster("orders", 5432, Engine=engine))


MYSQL_URL = "mysql://app@/shop?ssl-mode=VERIFY_CA"


@pytest.mark.parametrize(
    ("engine", "given", "said"),
    [
        ("aurora-mysql", "host=a", "must be as mysql://user@host:3306/database, or be left out"),
        ("mariadb", "user=app", "must be as mysql://user@host:3306/database, or be left out"),
        ("aurora-postgresql", MYSQL_URL, "must be as libpq has it"),
        ("postgres", MYSQL_URL, "must be as libpq has it"),
    ],
)
def test_a_connection_string_of_another_engine_is_refused(begin, engine, given, said):
    with pytest.raises(Refused, match=f"is of the engine {engine}, so CHAOS_DATABASE {said}"):
        conninfo_for(begin(database=given), cluster("orders", 5432, Engine=engine))
    with pytest.raises(Refused, match=f"is of the engine {engine}"):
        refuse_unspoken(cluster("orders", 5432, Engine=engine), given)


@pytest.mark.parametrize("engine", ["aurora-postgresql", "postgres", ""])
def test_postgresql_is_reached_by_a_conninfo(begin, engine):
    found = conninfo_for(begin(), cluster("orders", 5432, Engine=engine))
    assert conninfo_to_dict(found)["dbname"] == "postgres"


@pytest.mark.parametrize("engine", ["aurora-mysql", "mysql", "mariadb"])
def test_mysql_is_reached_by_a_url_with_what_rds_says_of_it(begin, engine):
    its = cluster("orders", 3306, "orders.example", Engine=engine)
    assert conninfo_for(begin(), its) == "mysql://shop@orders.example:3306/"
    found = conninfo_for(begin(database=MYSQL_URL), its)
    assert found == "mysql://app@orders.example:3306/shop?ssl-mode=VERIFY_CA"


def test_an_engine_that_rds_does_not_tell_is_that_of_the_connection_string(begin):
    its = cluster("orders", 3306, "orders.example")
    assert conninfo_for(begin(database=MYSQL_URL), its).startswith("mysql://app@orders.example")


def test_another_mysql_cluster_is_reached_as_the_target_is_but_at_its_own_address(begin):
    run = begin(database="mysql://app@10.0.0.1:1/shop?hostaddr=10.0.0.1&ssl-mode=VERIFY_CA")
    its = cluster("copy", 3306, "copy.example", Engine="aurora-mysql")
    assert conninfo_for(run, its) == "mysql://app@copy.example:3306/shop?ssl-mode=VERIFY_CA"


def test_a_mysql_cluster_that_the_run_made_is_reached_with_its_own_password(begin):
    run = begin(database=MYSQL_URL)
    run.master_passwords["copy"] = ("master", SECRET)
    its = cluster("copy", 3306, "copy.example", Engine="aurora-mysql")
    database = conninfo_for(run, its)
    assert SECRET not in database
    named = options_of(database)
    assert (named["user"], named["host"]) == ("master", "copy.example")
    assert password_in(Path(named["passfile"]), {**named, "user": "master"}) == SECRET
    as_other = options_of(conninfo_as(run, its, "other", "word"))
    assert password_in(Path(as_other["passfile"]), as_other) == "word"


def test_a_cluster_that_the_run_made_may_be_of_another_engine_than_its_target(begin):
    run = begin(database=MYSQL_URL)
    run.master_passwords["own"] = ("master", SECRET)
    its = cluster("own", 5432, "own.example", Engine="aurora-postgresql")
    named = conninfo_to_dict(conninfo_for(run, its))
    assert (named["user"], named["host"], named["dbname"]) == ("master", "own.example", "postgres")
    assert set(named) == {"user", "host", "port", "dbname", "passfile", "password"}


def test_the_readers_of_a_mysql_cluster_are_reached_as_it_is(begin):
    said = {"ReaderEndpoint": "ro.example", "Engine": "aurora-mysql"}
    its = cluster("orders", 3306, "orders.example", **said)
    assert conninfo_for_readers(begin(), its) == "mysql://shop@ro.example:3306/"
    found = conninfo_for_readers(begin(database="mysql://app@:33/shop"), its)
    assert found == "mysql://app@ro.example:33/shop"
    with pytest.raises(Refused, match="CHAOS_DATABASE names an address of its own"):
        conninfo_for_readers(begin(database="mysql://10.0.0.1/shop"), its)


def test_a_token_for_mysql_is_one_for_its_address_and_is_never_sent_in_the_clear(begin, on_lab):
    its = cluster("orders", 3306, "orders.example", Engine="aurora-mysql")
    run = begin(database_auth="iam", database="mysql://app@/shop")
    named = options_of(conninfo_for(run, replace(its, id="copy", arn="arn:copy")))
    token = password_in(Path(named["passfile"]), named)
    assert token.startswith("orders.example:3306/?Action=connect&DBUser=app")
    run = begin(database_auth="iam", database="mysql://app@/shop?ssl-mode=DISABLED")
    with pytest.raises(Refused, match="ssl-mode=DISABLED, which may send a token in the clear"):
        conninfo_for(run, replace(its, id="copy", arn="arn:copy"))
    run = begin(database_auth="iam")
    database = conninfo_for(run, replace(its, id="copy", arn="arn:copy"))
    assert options_of(database)["ssl-mode"] == "REQUIRED"


def test_without_its_driver_a_load_on_mysql_is_refused_and_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymysql", None)
    for name in [each for each in sys.modules if each.startswith(f"{engines.__name__}.mysql")]:
        monkeypatch.delitem(sys.modules, name)
    engines.named.cache_clear()
    with pytest.raises(Hopeless, match=r"pip install 'chaostoolkit-aws-kms\[mysql\]'"):
        refuse_unspoken(cluster("orders", 3306, Engine="aurora-mysql"), "")
    refuse_unspoken(cluster("orders", 5432, Engine="aurora-postgresql"), "")
