"""How near the figures are to the truth: many outages of a real PostgreSQL under one load."""

from __future__ import annotations

import os
import random
import signal
import statistics
import time

import psutil
import pytest

from chaosaws_kms_ext.checkers.fault_outage import find_outage, usual_delay
from chaosaws_kms_ext.checkers.outage_windows import Load as Known
from chaosaws_kms_ext.checkers.outage_windows import find_windows
from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.history.reader import read_history
from chaosaws_kms_ext.loadgen.process import Load, LoadConfig
from chaosaws_kms_ext.waiting import Observer
from chaosaws_kms_lab.data_plane.dropped_packets import DroppedPackets
from tests.support.postgres import RATE, a_postgres, freeze

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200)]

KINDS = ("crash", "thaw", "refused", "dropped")
OUTAGES = 20
DEADLINE, WINDOW = 2.0, 0.2


def thaw(server):
    """Every process goes on; returns when the last was told to."""
    postmaster = psutil.Process(server.postmaster.pid)
    for each in [*postmaster.children(recursive=True), postmaster]:
        os.kill(each.pid, signal.SIGCONT)


def outage(server, kind, seconds):
    """Begin and end of an outage, CLOCK_MONOTONIC ns."""
    begun = time.monotonic_ns()
    if kind in ("crash", "thaw"):
        freeze(server)
    else:
        server.kill()
    begin = (begun + time.monotonic_ns()) // 2
    dropped = DroppedPackets(server.listens, server.port) if kind == "dropped" else None
    time.sleep(seconds)
    if kind == "thaw":
        thaw(server)
        return begin, time.monotonic_ns()
    if kind == "crash":
        server.kill()
    if dropped:
        dropped.close()
    server.start()
    server.wait_until_ready()
    return begin, time.monotonic_ns()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What was measured of each outage, beside its truth."""
    folder = tmp_path_factory.mktemp("accuracy")
    (folder / "history").mkdir()
    dice, truth = random.Random(1), []
    with a_postgres() as server:
        config = LoadConfig(
            server.conninfo, RATE, 16, True, DEADLINE, folder / "history", folder / "load.log"
        )
        load = Load(config)
        load.start()
        try:
            load.wait_until_steady(1, 0.99, 20, Observer())
            for number in range(OUTAGES):
                time.sleep(2 + dice.random())
                truth.append(outage(server, KINDS[number % len(KINDS)], dice.uniform(2.5, 9)))
            time.sleep(3)
        finally:
            load.stop()
    return list(measured(read_history(folder / "history"), truth, config.reconnect_spacing))


def measured(history, truth, spacing):
    arrivals, attempts = history.arrivals("main"), history.witness("main", "attempt")
    for number, (begin, end) in enumerate(truth):
        since = truth[number - 1][1] + SECOND if number else 0
        until = truth[number + 1][0] if number + 1 < len(truth) else end + 3 * SECOND
        until -= SECOND // 2  # what was on its way then failed
        its = arrivals.only((arrivals.due > since) & (arrivals.due < until))
        known = Known(RATE, WINDOW, DEADLINE, usual_delay(its, begin))
        seen = find_outage(
            its,
            known,
            find_windows(its, known),
            fault_at=begin,
            reconnect_spacing=spacing,
            attempts=attempts,
        )
        assert seen.reason == ""
        yield KINDS[number % len(KINDS)], seen, begin, end


def errors(found, edge):
    """Seconds between what was measured and the truth. When a kill begins is not known exactly."""
    if edge == "begin":
        frozen = [each for each in found if each[0] in ("crash", "thaw")]
        return [(seen.impact - begin) / SECOND for _, seen, begin, _ in frozen]
    return [(seen.recovery - end) / SECOND for _, seen, _, end in found]


@pytest.mark.parametrize("edge", ["begin", "end"])
def test_they_are_near(found, edge):
    off = [abs(each) for each in errors(found, edge)]
    print(f"{edge}: median {statistics.median(off) * 1e3:.1f} ms, worst {max(off) * 1e3:.1f} ms")
    assert statistics.median(off) < 0.030
    assert max(off) < 0.150


def test_the_truth_lies_within_the_bounds(found):
    outside = [
        (kind, (seen.recovery - end) / SECOND, seen.end_bound_seconds)
        for kind, seen, _, end in found
        if not -0.01 <= (seen.recovery - end) / SECOND <= seen.end_bound_seconds
    ]
    bounds = [seen.end_bound_seconds for _, seen, _, _ in found]
    print(f"end bounds: median {statistics.median(bounds) * 1e3:.0f} ms, outside: {outside}")
    assert len(outside) <= 1
