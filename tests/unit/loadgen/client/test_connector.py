"""How soon a load notices that its database is back, over networks that are not the laptop's."""

from __future__ import annotations

import time

import gevent
import pytest

from chaosaws_kms_ext.history import Outcome
from chaosaws_kms_ext.loadgen.client.connector import Connector
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
