"""Passwords that AWS has, against a real PostgreSQL that really asks for them."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.history.writer import write_rows
from chaosaws_kms_ext.loadgen.engines import passfile
from chaosaws_kms_ext.loadgen.engines.passfile import Line, Passfile
from chaosaws_kms_ext.loadgen.passwords import _warn_of_key, passwords
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.settings import Settings
from chaosaws_kms_ext.waiting import Observer
from tests.support.key_stores import StoreLab
from tests.support.labs import client, mostly_soak, until
from tests.support.postgres import free_port
from tests.support.token_gate import asks, standing_before

pytestmark = pytest.mark.common_lab

SOON = 0.1


@pytest.fixture
def aws(lab):
    return Aws(lab.region, lab.endpoint, lab=lab.credentials)


@dataclass
class Shop:
    """A role of the server's that has to give its password."""

    postgres: object
    user: str = "shop"

    def set_password(self, password):
        with self.postgres.connected() as connection:
            connection.execute(f"ALTER ROLE {self.user} PASSWORD {psycopg.sql.quote(password)}")


@pytest.fixture
def shop(postgres):
    asks(postgres.data, "shop")
    with postgres.connected() as connection:
        connection.execute("CREATE ROLE shop LOGIN PASSWORD 'first'")
        connection.execute("GRANT CREATE ON DATABASE postgres TO shop")
        connection.execute("SELECT pg_reload_conf()")
    return Shop(postgres)


@pytest.fixture
def secret(lab):
    """Makes a secret of Secrets Manager's; `put` gives it another value."""
    return lambda content, **more: Secret(client(lab, "secretsmanager"), content, more)


@dataclass
class Secret:
    manager: object
    content: object
    more: dict
    name: str = field(default_factory=lambda: f"db-{uuid.uuid4().hex}")

    def __post_init__(self):
        self.manager.create_secret(Name=self.name, SecretString=text(self.content), **self.more)

    def put(self, content):
        self.manager.put_secret_value(SecretId=self.name, SecretString=text(content))


def text(content):
    return content if isinstance(content, str) else json.dumps(content)


@pytest.fixture
def kept(keeping, postgres):
    """Passwords for the server that are kept until the end of the test."""
    at = f"host=127.0.0.1 port={postgres.port} dbname=postgres"
    return lambda renew_every=SOON, **more: keeping(renew_every, **{"database": at, **more})


@pytest.fixture
def keeping(aws):
    """The same for whatever server: what is refused before it is asked needs none."""
    with contextlib.ExitStack() as stack:

        def keep(renew_every=SOON, **more):
            settings = Settings(**{"target": "aws", **more})
            cluster = rds.describe(aws, "orders")
            made = passwords(aws, settings, cluster, cluster.key, renew_every)
            stack.callback(made.stop)
            made.start()
            return made

        yield keep


def by_secret(secret):
    return {"database_auth": "secret", "database_secret": secret.name}


def logs_in(database):
    try:
        with psycopg.connect(database, connect_timeout=30) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


# Longer ones than 900 letters PostgreSQL itself does not take.
@pytest.mark.parametrize(
    "password",
    mostly_soak(["a:b\\c:\\", "# späße", " ", "'\"%", "x" * 900], lambda p: p[0] in "ax"),
)
def test_libpq_reads_whatever_password_there_is_from_memory(shop, password):
    shop.set_password(password)
    file = Passfile()
    database = make_conninfo(shop.postgres.conninfo, user="shop", passfile=file.path)
    assert not logs_in(database)
    file.write([Line("somebody", "else"), Line("shop", password)])
    assert logs_in(database)
    file.write([Line("shop", f"not {password}")])
    assert not logs_in(database)
    file.close()
    file.close()
    file.write([Line("shop", password)])
    assert not logs_in(database)


def test_where_there_is_no_such_memory_it_is_a_file_that_close_removes(shop, tmp_path, monkeypatch):
    monkeypatch.setattr(passfile, "_InMemory", passfile._InFolder)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shop.set_password("first")
    file = Passfile()
    database = make_conninfo(shop.postgres.conninfo, user="shop", passfile=file.path)
    assert not logs_in(database)
    file.write([Line("shop", "first")])
    assert logs_in(database)
    assert os.stat(file.path).st_mode & 0o777 == 0o600
    (folder,) = tmp_path.iterdir()
    assert [path.name for path in folder.iterdir()] == ["passfile"]
    assert folder.stat().st_mode & 0o777 == 0o700
    file.close()
    file.close()
    file.write([Line("shop", "first")])
    assert list(tmp_path.iterdir()) == []
    assert not logs_in(database)


@pytest.mark.parametrize("between", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_other_drivers_read_a_password_as_libpq_does(between):
    file = Passfile()
    file.write([Line("shop", f"a{between}b:c\\")])
    assert passfile.password_in(Path(file.path), {"user": "shop"}) == f"a{between}b:c\\"
    file.close()


HOLDER = """
import sys, time
from chaosaws_kms_ext.loadgen.engines.passfile import Line, Passfile
file = Passfile()
file.write([Line("shop", "first")])
print(file.path, flush=True)
time.sleep(60)
"""


def test_another_process_can_log_in_with_it_until_a_sigkill_which_leaves_nothing(shop, tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    path = holder.stdout.readline().strip()
    database = make_conninfo(shop.postgres.conninfo, user="shop", passfile=path)
    assert logs_in(database)
    assert os.stat(path).st_mode & 0o777 == 0o600
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert not Path(path).exists()
    assert list(tmp_path.iterdir()) == []


def test_the_user_and_the_password_come_from_the_secret(shop, secret, kept):
    found = kept(**by_secret(secret({"username": "shop", "password": "first"})))
    assert "first" not in found.database
    assert logs_in(found.database)
    found.stop()
    assert not logs_in(found.database)


def test_a_load_logs_in_anew_with_a_password_that_was_rotated_while_it_ran(
    shop, secret, kept, start_load, tmp_path
):
    stored = secret({"username": "shop", "password": "first"})
    load = start_load(database=kept(**by_secret(stored)).database)
    shop.set_password("second")
    stored.put({"username": "shop", "password": "second"})
    time.sleep(3 * SOON)
    shop.postgres.kill()
    time.sleep(0.5)
    shop.postgres.start()
    shop.postgres.wait_until_ready(60)
    load.wait_until_steady(0.5, 0.99, 60, Observer())
    write_rows(load.config.folder, load.config.name, load.rows(5))
    load.stop()
    log = (tmp_path / "load.log").read_text()
    assert "first" not in log
    assert "second" not in log


def test_without_renewal_it_could_not(shop, secret, kept):
    stored = secret({"username": "shop", "password": "first"})
    found = kept(renew_every=60, **by_secret(stored))
    shop.set_password("second")
    stored.put({"username": "shop", "password": "second"})
    time.sleep(3 * SOON)
    assert not logs_in(found.database)


def test_rotation_with_alternating_users_leaves_ours_its_password(shop, secret, kept):
    stored = secret({"username": "shop", "password": "first"})
    found = kept(**by_secret(stored))
    stored.put({"username": "shop_clone", "password": "other"})
    time.sleep(3 * SOON)
    assert logs_in(found.database)
    shop.set_password("third")
    stored.put({"username": "shop", "password": "third"})
    until(lambda: logs_in(found.database))


def test_a_secret_under_a_key_that_is_away_keeps_its_password_and_says_so_once(
    lab, shop, secret, kept, caplog
):
    kms = client(lab, "kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    stored = secret({"username": "shop", "password": "first"}, KmsKeyId=key)
    caplog.set_level(logging.INFO, logger="chaostoolkit")
    found = kept(**by_secret(stored))
    assert caplog.messages == []
    kms.disable_key(KeyId=key)
    until(lambda: caplog.messages)
    time.sleep(5 * SOON)  # in which it could say so again
    (said,) = caplog.messages
    assert "could not be renewed, so the one before is kept" in said
    assert "DecryptionFailure" in said
    assert logs_in(found.database)
    kms.enable_key(KeyId=key)
    until(lambda: len(caplog.messages) == 2)
    assert caplog.messages[1] == "The database's password can be renewed again."


@pytest.mark.parametrize("named", ["arn", "id", "alias"])
def test_a_secret_under_the_clusters_own_key_is_a_finding(lab, secret, keeping, caplog, named):
    arn = lab.clusters[0]["key"]
    key = {"arn": arn, "id": arn.split("/")[1], "alias": f"alias/{uuid.uuid4().hex}"}[named]
    if named == "alias":
        client(lab, "kms").create_alias(AliasName=key, TargetKeyId=arn)
    stored = secret({"username": "shop", "password": "first"}, KmsKeyId=key)
    keeping(**by_secret(stored))
    (said,) = caplog.messages
    assert said.startswith(f"The secret {stored.name} is encrypted under the very key that this")


@pytest.mark.parametrize(
    "content",
    [
        "hunter2",
        ["hunter2"],
        {"username": "shop"},
        {"password": "hunter2"},
        {"username": "", "password": "hunter2"},
        {"username": "shop", "password": 12345},
        {"username": "shop", "password": "hunter2\nx"},
        '{"username": "shop", "password": "hunter2\\ud800"}',
    ],
)
def test_a_secret_without_a_usable_password_is_refused_and_not_repeated(secret, keeping, content):
    stored = secret(content)
    with pytest.raises(Refused, match=f"the secret {stored.name} (has no|cannot be)") as refused:
        keeping(**by_secret(stored))
    assert "hunter2" not in str(refused.value)


def test_a_secret_that_is_not_there_is_refused(keeping):
    with pytest.raises(AwsError, match="GetSecretValue failed with ResourceNotFoundException"):
        keeping(database_auth="secret", database_secret="nowhere")


def test_the_secret_of_another_user_is_refused(secret, keeping):
    stored = secret({"username": "shop", "password": "first"})
    with pytest.raises(Refused, match=r"names the user me, and the secret .* the password of shop"):
        keeping(database="user=me", **by_secret(stored))


@pytest.mark.parametrize("auth", ["secret", "iam"])
@pytest.mark.parametrize(
    ("env", "database", "words"),
    [
        ({"PGPASSWORD": "hunter2"}, "", "PGPASSWORD .*is set, and would be used instead of"),
        ({"PGSERVICE": "shop", "PGSERVICEFILE": "FILE"}, "", "PGSERVICE.* is set, and would"),
        ({}, "passfile=/home/me/.pgpass", "must not name a passfile"),
        ({}, "service=shop", "must not name a service"),
    ],
)
def test_a_password_that_libpq_would_prefer_is_refused(
    monkeypatch, tmp_path, keeping, auth, env, database, words
):
    (tmp_path / "services").write_text("[shop]\npassword=hunter2\n")
    for name, value in env.items():
        monkeypatch.setenv(name, value.replace("FILE", str(tmp_path / "services")))
    with pytest.raises(Refused, match=words) as refused:
        keeping(database_auth=auth, database_secret="any", database=database)
    assert "hunter2" not in str(refused.value)


@pytest.fixture
def gate(lab, postgres, tmp_path):
    """The server's IAM database authentication."""
    server = ("127.0.0.1", postgres.port)
    with standing_before(server, lab.region, lab.secret_key, tmp_path) as opened:
        yield opened


def by_token(gate, **more):
    database = make_conninfo(host="127.0.0.1", port=gate.port, dbname="postgres", user="postgres")
    return {"database_auth": "iam", "database": make_conninfo(database, **more)}


def test_a_token_is_signed_for_host_port_and_user_and_renewed(gate, kept):
    found = kept(**by_token(gate))
    until(lambda: logs_in(found.database) and len(set(gate.taken)) == 2, every=0.3)
    assert gate.refused == []


def test_a_load_logs_in_anew_after_its_first_token_has_expired(gate, kept, start_load, postgres):
    gate.lifetime = timedelta(seconds=4)  # a busy machine renews a token that late
    load = start_load(database=kept(**by_token(gate)).database, deadline=2.0)
    time.sleep(4.5)
    postgres.kill()
    time.sleep(0.5)
    postgres.start()
    postgres.wait_until_ready(60)
    load.wait_until_steady(0.5, 0.99, 60, Observer())
    assert gate.refused == []
    load.stop()


def test_a_token_that_is_not_renewed_expires(gate, kept):
    gate.lifetime = timedelta(seconds=1)
    found = kept(renew_every=60, **by_token(gate))
    time.sleep(2.2)
    assert not logs_in(found.database)
    assert gate.refused == ["it has expired"]


def test_a_token_for_somewhere_else_or_signed_by_somebody_else_is_not_good(gate, kept, lab):
    found = kept(**by_token(gate))
    gate.signed_for = "elsewhere:5432"
    assert not logs_in(found.database)
    gate.signed_for = f"127.0.0.1:{gate.port}"
    gate.secret = "another"
    assert not logs_in(found.database)
    first, second = gate.refused
    assert first.endswith("is not elsewhere:5432")
    assert " is not " in second


@pytest.mark.parametrize("beside", [{}, {"host": "cluster.example"}], ids=["alone", "with a name"])
def test_through_a_tunnel_a_token_is_signed_for_the_cluster(gate, kept, aws, beside):
    cluster = rds.describe(aws, "orders")
    gate.signed_for = f"{beside.get('host', cluster.address)}:{cluster.raw['Port']}"
    named = {"hostaddr": "127.0.0.1", "port": gate.port, "dbname": "postgres", "user": "postgres"}
    found = kept(database_auth="iam", database=make_conninfo("", **named, **beside))
    assert logs_in(found.database), gate.refused


def test_each_of_several_hosts_has_a_token_of_its_own(gate, kept):
    hosts, ports = "127.0.0.1,127.0.0.1", f"{free_port()},{gate.port}"
    found = kept(
        database_auth="iam", database=f"host={hosts} port={ports} dbname=postgres user=postgres"
    )
    assert logs_in(found.database), gate.refused


@pytest.mark.parametrize(
    "variable",
    mostly_soak(
        ["", "disable", "prefer", "verify-full"], lambda v: v in ("disable", "verify-full")
    ),
)
def test_no_token_goes_over_the_wire_in_the_clear(monkeypatch, gate, kept, tmp_path, variable):
    if variable:
        monkeypatch.setenv("PGSSLMODE", variable)
        monkeypatch.setenv("PGSSLROOTCERT", str(tmp_path / "tls" / "ca.pem"))
    found = kept(**by_token(gate))
    assert ("sslmode=require" in found.database) == (variable != "verify-full")
    with psycopg.connect(found.database, connect_timeout=30) as connection:
        assert connection.pgconn.ssl_in_use


@pytest.mark.parametrize(
    "mode", mostly_soak(["disable", "allow", "prefer"], lambda mode: mode == "prefer")
)
def test_a_conninfo_that_would_send_it_in_the_clear_is_refused(gate, kept, mode):
    with pytest.raises(Refused, match=f"sslmode={mode}, which may send a token in the clear"):
        kept(**by_token(gate, sslmode=mode))


def test_without_credentials_no_token_is_signed(lab, postgres):
    cluster = rds.describe(Aws(lab.region, lab.endpoint, lab=lab.credentials), "orders")
    nobody = Aws(lab.region, lab.endpoint)
    settings = Settings(target="aws", database_auth="iam")
    found = passwords(nobody, settings, cluster, cluster.key)
    with pytest.raises(AwsError, match=r"a token for the database cannot be signed: .*credentials"):
        found.start()
    found.stop()


def test_a_cluster_that_takes_no_tokens_is_named(lab, aws):
    cluster = rds.describe(aws, "orders")
    cluster.raw["IAMDatabaseAuthenticationEnabled"] = False
    settings = Settings(target="aws", database_auth="iam")
    with pytest.raises(Refused, match="IAM database authentication is off on orders"):
        passwords(aws, settings, cluster, cluster.key)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("store", ["The secret shop is encrypted under a key of the same custom key store as the"]),
        ("none", []),
    ],
)
def test_a_secret_under_a_key_of_the_same_key_store_is_a_finding(
    tmp_path, caplog, monkeypatch, where, said
):
    lab = StoreLab(tmp_path / "requests.jsonl")
    key, aws = lab.new_key("beside", store=where == "store"), lab.aws()
    real = aws.call

    def call(service, operation, params):
        if service == "secretsmanager":
            return {"KmsKeyId": key}
        return real(service, operation, params)

    monkeypatch.setattr(aws, "call", call)
    _warn_of_key(aws, "shop", lab.key)
    assert [each[: len(said[0])] for each in caplog.messages if said] == said
    assert len(caplog.messages) == len(said)
