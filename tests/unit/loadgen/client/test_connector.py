"""How soon a load notices that its database is back, over networks that are not the laptop's."""

from __future__ import annotations

import time

import gevent
import pytest

from chaosaws_kms_ext.history import Outcome
from chaosaws_kms_ext.loadgen.client.connector import FIRST_ASKS, MANY, Connector
from chaosaws_kms_ext.loadgen.engines import named
from chaosaws_kms_ext.loadgen.engines.postgresql_connection import DeadlinePassed
from tests.support.forwarder import Forwarder
from tests.support.labs import until
from tests.support.records import arrivals

SECOND = 1_000_000_000


def behind(*networks):
    hosts = ",".join("127.0.0.1" for _ in networks)
    ports = ",".join(str(network.port) for network in networks)
    return f"host={hosts} port={ports} dbname=postgres user=postgres"


def answers_after(load, instant):
    recorded = arrivals(load.config.folder)
    return sorted(o.done for o in recorded if o.outcome == Outcome.OK and o.done > instant)


class Link:
    """A connection that was made, of a database that may be gone without a word."""

    closed = False

    def close(self):
        self.closed = True


@pytest.mark.parametrize("users", [1, 2, 16])
def test_everybody_has_a_connection_again_although_older_attempts_never_end(users):
    gone = True

    def connect(until):
        if gone:
            gevent.sleep(0.03 if until is None else 3600)
            raise DeadlinePassed("no connection before the deadline")
        return Link()

    connector = Connector(named("postgresql"), connect, spacing=0.01)
    work = gevent.spawn(connector.work)
    connector.suspect()
    waiting = [gevent.spawn(connector.get) for _ in range(users)]
    gevent.sleep(0.05)
    gone = False
    gevent.joinall(waiting, timeout=60)
    work.kill()
    assert all(isinstance(each.value, Link) for each in waiting)
    assert not connector._patient


def recovered(connect, users):
    """Users that had no connection, and what each has in the end; `connect`: see Connector."""
    connector = Connector(named("postgresql"), connect, spacing=0.01, shortest=0.001)
    work = gevent.spawn(connector.work)
    connector.suspect()
    waiting = [gevent.spawn(connector.get) for _ in range(users)]
    gevent.joinall(waiting, timeout=60)
    work.kill()
    return [each.value for each in waiting]


def test_attempts_that_hang_since_before_keep_nobody_from_connecting():
    hanging = 0

    def connect(until):
        nonlocal hanging
        if hanging < 20:
            hanging += 1
            gevent.sleep(3600)
        return Link()

    assert all(isinstance(each, Link) for each in recovered(connect, 16))


def test_attempts_that_hang_since_it_was_back_before_keep_nobody_from_connecting():
    hangs = False

    def connect(until):
        if hangs:
            gevent.sleep(3600)
        return Link()

    connector = Connector(named("postgresql"), connect, spacing=0.01, shortest=0.001)
    work = gevent.spawn(connector.work)
    first = connector.get()
    hangs = True
    waiting = [gevent.spawn(connector.get) for _ in range(16)]  # while it is not known to hang
    gevent.sleep(0.1)
    connector.suspect()
    waiting.append(gevent.spawn(connector.get))
    gevent.sleep(0.1)
    hangs = False
    gevent.joinall(waiting, timeout=60)
    work.kill()
    assert all(isinstance(each, Link) for each in [first, *(each.value for each in waiting)])


def test_a_database_that_comes_and_goes_is_not_stormed():
    """Every other attempt hangs, the others lead to sessions that break soon."""
    begun = hanging = 0

    def connect(until):
        nonlocal begun, hanging
        begun += 1
        if begun % 2:
            return Link()
        hanging += 1
        return gevent.sleep(3600)

    spacing, users = 0.1, 16
    connector = Connector(named("postgresql"), connect, spacing, shortest=0.001)
    served = set()

    def use(number):
        while True:
            connector.get()
            served.add(number)
            gevent.sleep(FIRST_ASKS * 1.1)
            connector.suspect()

    began = time.monotonic()
    works = [gevent.spawn(connector.work), *(gevent.spawn(use, number) for number in range(users))]
    gevent.sleep(2)
    with gevent.Timeout(60):
        while len(served) < users:
            gevent.sleep(0.01)
    gevent.killall([*works, *connector._in_flight])
    assert hanging <= users + MANY + 1 + (time.monotonic() - began) / spacing


def test_an_attempt_that_is_ended_before_it_runs_leaves_nothing():
    connector = Connector(named("postgresql"), lambda until: Link(), spacing=1.0)
    connector.suspect()
    connector._begin()
    assert len(connector._patient) == 1
    gevent.killall(connector._patient)
    gevent.sleep(0)
    assert (connector._patient, connector._in_flight) == (set(), set())


def test_the_first_connection_can_ask_before_the_others_begin():
    begun, made = [], []

    def connect(until):
        begun.append(time.monotonic())
        if len(begun) < 3:
            gevent.sleep(3600)
        made.append(Link())
        return made[-1]

    assert all(isinstance(each, Link) for each in recovered(connect, 16))
    assert len(made) == 16
    hung_or_first, others = begun[:3], begun[3:]
    assert min(others) - hung_or_first[-1] >= FIRST_ASKS


@pytest.mark.soak
def test_a_database_that_is_back_is_noticed_although_every_attempt_in_flight_hangs(
    postgres, start_load
):
    with Forwarder(postgres.port) as network:
        load = start_load(database=behind(network), users=4, deadline=1.0)
        noticed = []
        for hang in (1.6, 1.9):
            network.swallow()
            time.sleep(hang)
            network.heal()
            healed = time.monotonic_ns()
            time.sleep(1.2)
            noticed.append((answers_after(load, healed)[0] - healed) / SECOND)
    assert max(noticed) < 0.2, noticed


@pytest.mark.soak
def test_a_load_that_connects_slowly_recovers_in_spite_of_its_backlog(postgres, start_load):
    # A connection takes several round trips of 50 ms: the users make fewer of them a second than
    # arrivals are due, so each has to be good for more than one arrival.
    with Forwarder(postgres.port, latency=0.025) as network:
        load = start_load(database=behind(network), deadline=1.0, rate=150.0)
        network.swallow()
        time.sleep(2)
        network.heal()
        healed = time.monotonic_ns()
        time.sleep(2)
        load.stop()
    assert answers_after(load, healed)[0] - healed < SECOND
    late = [o.outcome for o in arrivals(load.config.folder) if o.due > healed + SECOND]
    assert late.count(Outcome.OK) > 0.9 * len(late)


def test_each_of_several_addresses_is_given_up_when_it_hangs(postgres, start_load):
    with Forwarder(postgres.port) as one, Forwarder(postgres.port) as other:
        load = start_load(database=behind(one, other))
        for network in (one, other):
            network.swallow()
        time.sleep(1.8)
        for network in (one, other):
            network.heal()
        until(lambda: load.window(0.5).share > 0.95)
