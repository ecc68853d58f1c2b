"""What the client saw, by real failures; and what the witnesses record of a restart."""

from __future__ import annotations

import socket
import threading
import time

import psycopg
import pytest

from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.loadgen.engines import named
from chaosaws_kms_ext.loadgen.engines.base import Cause
from chaosaws_kms_ext.loadgen.engines.postgresql_connection import DeadlinePassed
from tests.support.labs import until
from tests.support.postgres import freeze
from tests.support.records import recorded


def failure(conninfo):
    with pytest.raises(psycopg.Error) as caught:
        psycopg.connect(conninfo, connect_timeout=2)
    return caught.value


def cause_of(problem):
    return named("postgresql").failure(problem, None).cause


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_port_at_which_nobody_listens_refuses():
    assert cause_of(failure(f"host=127.0.0.1 port={free_port()}")) == Cause.REFUSED


def test_a_name_that_does_not_resolve_has_no_address():
    assert cause_of(failure("host=nowhere.invalid port=1")) == Cause.NO_ADDRESS


def test_a_server_that_accepts_and_says_nothing_hangs():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert cause_of(failure(f"host=127.0.0.1 port={silent.getsockname()[1]}")) == Cause.HANG


def test_a_server_that_hangs_up_resets():
    with socket.create_server(("127.0.0.1", 0)) as server:
        hangs_up = threading.Thread(target=lambda: server.accept()[0].close())
        hangs_up.start()
        assert cause_of(failure(f"host=127.0.0.1 port={server.getsockname()[1]}")) == Cause.RESET
        hangs_up.join(60)


def test_what_the_server_says_is_said_by_its_sql_state():
    assert cause_of(psycopg.errors.AdminShutdown("x")) is None
    assert cause_of(DeadlinePassed("x")) == Cause.HANG
    assert cause_of(psycopg.OperationalError("x")) == Cause.OTHER


def test_a_restart_is_in_the_record_with_every_attempt_to_connect(postgres, start_load):
    load = start_load(deadline=0.5)
    time.sleep(0.6)
    freeze(postgres)
    time.sleep(1.2)
    postgres.kill()
    until(lambda: Cause.REFUSED in details(load, "attempt"))
    restarted = time.time()
    postgres.start()
    postgres.wait_until_ready()
    until(lambda: len(details(load, "server")) == 2)
    load.stop()
    found = recorded(load.config.folder)
    attempts = [o for o in found if o.kind == "attempt"]
    seen = {o.detail for o in attempts}
    assert {Cause.HANG, Cause.REFUSED, "127.0.0.1"} <= seen
    assert {o.detail for o in attempts if o.outcome == "ok"} == {"127.0.0.1"}
    hung = [o for o in attempts if o.detail == Cause.HANG]
    assert max(o.done - o.due for o in hung) < 10 * SECOND
    first, second = (float(o.detail) for o in found if o.kind == "server")
    assert first < second
    assert restarted - 1 < second < restarted + 30
    arrivals = [o for o in found if o.kind in ("read", "write") and o.outcome != "ok"]
    assert {o.detail for o in arrivals if o.outcome == "timeout"} == {Cause.HANG}


def details(load, kind):
    return {o.detail for o in recorded(load.config.folder) if o.kind == kind}
