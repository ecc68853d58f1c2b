"""How near the figures are to the truth: many outages of a real PostgreSQL under one load."""

from __future__ import annotations

import os
import random
import signal
import statistics
import sys
import time

import psutil
import psycopg
import pytest

from chaosaws_kms_ext.checkers.fault_outage import find_outage, usual_delay
from chaosaws_kms_ext.checkers.outage_windows import Load as Known
from chaosaws_kms_ext.checkers.outage_windows import find_windows
from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.history.reader import read_history
from chaosaws_kms_ext.loadgen import locust_processes
from chaosaws_kms_ext.loadgen.process import Load, LoadConfig
from chaosaws_kms_ext.waiting import Observer
from chaosaws_kms_lab.data_plane.dropped_packets import DroppedPackets
from tests.support.postgres import a_postgres, freeze

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

KINDS = ("crash", "thaw", "refused", "dropped", "moved")
OUTAGES = int(os.environ.get("OUTAGES", "20"))
LONGEST = float(os.environ.get("LONGEST", "9"))
RATE = 200.0
"""Arrivals a second, as a run has by default."""
DEADLINE, WINDOW = 2.0, 0.2

READY = SECOND // 100
"""ns: PostgreSQL takes connections a moment before it says so."""

NAME, PLACES = "orders.cluster.test", ("127.0.0.1", "127.0.0.2")
"""What the load knows the server by, and where it can be."""

IN_A_NAMESPACE = """\
#!/bin/sh
exec unshare --mount sh -c 'mount --bind {hosts} /etc/hosts && exec {python} "$@"' load "$@"
"""
"""The load resolves names by a file of its own: in a mount namespace, which needs root."""


def ready(server):
    """Since when it takes connections: between these instants, CLOCK_MONOTONIC ns."""
    since, limit = time.monotonic_ns(), time.monotonic() + 60
    while not server.ready():
        assert server.running
        assert time.monotonic() < limit
        since = time.monotonic_ns()
        time.sleep(0.002)
    return since, time.monotonic_ns()


def thaw(server):
    """Every process goes on."""
    postmaster = psutil.Process(server.postmaster.pid)
    for each in [*postmaster.children(recursive=True), postmaster]:
        os.kill(each.pid, signal.SIGCONT)


def move(server, hosts):
    """It comes back at its other address, which its name has from now on."""
    server.addresses = (PLACES[server.addresses[0] == PLACES[0]],)
    with hosts.open("r+") as file:  # not replaced: the file is mounted
        file.write(f"{server.addresses[0]} {NAME}\n")
        file.truncate()


def outage(server, kind, seconds, hosts):
    """Begin of an outage, and between which instants it ended, CLOCK_MONOTONIC ns."""
    begun = time.monotonic_ns()
    if kind in ("crash", "thaw"):
        freeze(server)
    else:
        server.kill()
    begin = (begun + time.monotonic_ns()) // 2
    dropped = DroppedPackets(server.listens, server.port) if kind == "dropped" else None
    time.sleep(seconds)
    if kind == "thaw":
        since = time.monotonic_ns()
        thaw(server)
        return begin, (since, time.monotonic_ns())
    if kind == "crash":
        server.kill()
    if dropped:
        dropped.close()
    if kind == "moved":
        move(server, hosts)
    server.start()
    return begin, ready(server)


def first_session(server):
    """Seconds until a server that is ready has answered its first session."""
    server.kill()
    server.start()
    ready(server)
    begun = time.monotonic()
    with psycopg.connect(server.conninfo) as connection:
        connection.execute("SELECT 1")
        return time.monotonic() - begun


@pytest.fixture(scope="module")
def measured_all(tmp_path_factory):
    """What was measured of each outage, beside its truth; and how long a first session takes at
    least, on this machine and now, in seconds."""
    folder = tmp_path_factory.mktemp("accuracy")
    (folder / "history").mkdir()
    dice, truth = random.Random(1), []
    kinds = KINDS if os.geteuid() == 0 else KINDS[:-1]
    hosts, python = folder / "hosts", folder / "python"
    hosts.write_text(f"{PLACES[0]} {NAME}\n")
    python.write_text(IN_A_NAMESPACE.format(hosts=hosts, python=sys.executable))
    python.chmod(0o755)
    with a_postgres() as server, pytest.MonkeyPatch.context() as patched:
        conninfo = server.conninfo
        if "moved" in kinds:
            server.addresses = PLACES[:1]
            conninfo = conninfo.replace(PLACES[0], NAME)
            patched.setattr(locust_processes.sys, "executable", str(python))
        config = LoadConfig(
            conninfo, RATE, 16, False, DEADLINE, folder / "history", folder / "load.log"
        )
        load = Load(config)
        load.start()
        try:
            load.wait_until_steady(1, 0.99, 20, Observer())
            for number in range(OUTAGES):
                time.sleep(2 + dice.random())
                kind = kinds[number % len(kinds)]
                truth.append((kind, *outage(server, kind, dice.uniform(2.5, LONGEST), hosts)))
            time.sleep(3)
        finally:
            load.stop()
        floor = statistics.median(first_session(server) for _ in range(5))
    found = measured(read_history(folder / "history"), truth, config.reconnect_spacing)
    return list(found), floor


@pytest.fixture
def found(measured_all):
    return measured_all[0]


def measured(history, truth, spacing):
    arrivals, attempts = history.arrivals("main"), history.attempts("main")
    lags = history.witness("main", "lag")
    for number, (kind, begin, (earliest, end)) in enumerate(truth):
        since = truth[number - 1][2][1] + SECOND if number else 0
        until = truth[number + 1][1] if number + 1 < len(truth) else end + 3 * SECOND
        until -= SECOND // 2  # what was on its way then failed
        its = arrivals.only((arrivals.due > since) & (arrivals.due < until))
        known = Known(RATE, WINDOW, DEADLINE, usual_delay(its, begin), lags=lags)
        seen = find_outage(
            its,
            known,
            find_windows(its, known),
            fault_at=begin,
            reconnect_spacing=spacing,
            attempts=attempts,
        )
        if seen.reason:
            print(f"not measured ({kind}): {seen.reason}")
        else:
            yield kind, seen, begin, (earliest, end)


def errors(found, edge):
    """Seconds between what was measured and the truth. When a kill begins is not known exactly."""
    if edge == "begin":
        frozen = [each for each in found if each[0] in ("crash", "thaw")]
        return [(seen.impact - begin) / SECOND for _, seen, begin, _ in frozen]
    return [(seen.recovery - end) / SECOND for _, seen, _, (_, end) in found]


def test_nearly_all_are_measured(found):
    assert len(found) >= OUTAGES - max(1, OUTAGES // 100)


@pytest.mark.parametrize("edge", ["begin", "end"])
def test_they_are_near(measured_all, edge):
    found, floor = measured_all
    off = [abs(each) for each in errors(found, edge)]
    print(f"{edge}: median {statistics.median(off) * 1e3:.1f} ms, worst {max(off) * 1e3:.1f} ms")
    least = 0.0
    if edge == "end":
        print(f"a first session takes {floor * 1e3:.1f} ms")
        least = floor
    assert statistics.median(off) < least + 0.020
    assert max(off) < least + 0.140


def test_the_truth_lies_within_the_bounds(found):
    outside = [
        (kind, (seen.recovery - earliest) / SECOND, (seen.recovery - latest) / SECOND, bound)
        for kind, seen, _, (earliest, latest) in found
        for bound in [seen.end_bound_seconds]
        if not (earliest - READY <= seen.recovery <= latest + bound * SECOND)
    ]
    bounds = [seen.end_bound_seconds for _, seen, _, _ in found]
    print(f"end bounds: median {statistics.median(bounds) * 1e3:.0f} ms, outside: {outside}")
    assert len(outside) <= max(1, OUTAGES // 200)
