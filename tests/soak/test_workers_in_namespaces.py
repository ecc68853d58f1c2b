"""A load of four workers, each on a machine of its own, of which one is cut off in the middle."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chaosaws_kms_ext.checkers.fault_outage import find_outage, usual_delay
from chaosaws_kms_ext.checkers.outage_windows import Load as Known
from chaosaws_kms_ext.checkers.outage_windows import find_windows
from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.history.reader import read_history
from chaosaws_kms_ext.history.shares import least_present
from chaosaws_kms_ext.loadgen.process import Load, LoadConfig
from chaosaws_kms_ext.waiting import Observer
from tests.support.namespaces import namespaces, possible
from tests.support.postgres import RATE, a_postgres, freeze

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not possible(), reason="network namespaces need root and iproute2"),
]

WORKERS, DEADLINE, WINDOW = 4, 2.0, 0.2


@pytest.fixture(scope="module")
def machines():
    with namespaces(WORKERS) as made:
        yield made


@pytest.fixture
def server(machines):
    address = machines[1]
    with a_postgres(("127.0.0.1", address), f"host all all {address}/24 trust\n") as made:
        yield made


@pytest.fixture
def loads(machines, server, tmp_path):
    """The load of the four workers, and beside it one of a single process on this machine."""
    made, address = machines
    far = server.conninfo.replace("127.0.0.1", address)
    its = {}
    with contextlib.ExitStack() as stack:
        for name, more in {
            "main": {"workers": WORKERS, "master": f"{address}:5557", "database": far},
            "single": {"writes": False, "database": server.conninfo},
        }.items():
            folder = tmp_path / name
            (folder / "history").mkdir(parents=True)
            config = {
                "rate": RATE, "users": 16, "writes": True, "deadline": DEADLINE, "name": name,
                "folder": folder / "history", "log": folder / "load.log",
            }  # fmt: skip
            its[name] = Load(LoadConfig(**{**config, **more}))
            stack.callback(its[name].stop)
            its[name].start()
        command = [Path(sys.executable).with_name("chaos"), "kms", "load-worker", f"{address}:5557"]
        for each in made:
            worker = subprocess.Popen(each.command(*command), stderr=subprocess.DEVNULL)
            stack.callback(worker.wait, 20)
            stack.callback(worker.send_signal, signal.SIGKILL)
        its["main"].wait_for_workers(60, Observer())
        for each in its.values():
            each.wait_until_steady(1, 0.99, 30, Observer())
        yield its


def measured(load, fault_at):
    history = read_history(load.config.folder)
    name = load.config.name
    arrivals = history.arrivals(name)
    known = Known(
        RATE, WINDOW, DEADLINE, usual_delay(arrivals, fault_at),
        present=least_present(history.absences(name)),
    )  # fmt: skip
    found = find_outage(
        arrivals,
        known,
        find_windows(arrivals.only(arrivals.due < arrivals.due[-1] - SECOND), known),
        fault_at=fault_at,
        reconnect_spacing=load.config.reconnect_spacing,
        gaps=history.gaps(name),
        clock_error=history.recorded[name].clock_error,
        attempts=history.attempts(name),
    )
    return history, found


@pytest.mark.parametrize("back", [True, False], ids=["comes-back", "stays-away"])
def test_the_figures_are_those_of_a_single_process_and_the_loss_is_said(
    machines, server, loads, back
):
    made, _ = machines
    time.sleep(2)
    made[1].cut_off()
    time.sleep(3)
    assert loads["main"].present == WORKERS - 1
    frozen = time.monotonic_ns()
    freeze(server)
    time.sleep(3)
    server.kill()
    server.start()
    server.wait_until_ready()
    ready = time.monotonic_ns()
    time.sleep(2)
    if back:
        made[1].connect()
        time.sleep(12)
    for load in loads.values():
        load.stop()
    if not back:
        made[1].connect()
    history, found = measured(loads["main"], frozen)
    _, single = measured(loads["single"], frozen)
    assert (found.reason, single.reason) == ("", "")
    assert len(found.windows) == 1
    for edge, truth in (("impact", frozen), ("recovery", ready)):
        apart = abs(getattr(found, edge) - getattr(single, edge)) / SECOND
        bounds = [
            each.begin_bound_seconds if edge == "impact" else each.end_bound_seconds
            for each in (found, single)
        ]
        off = (getattr(found, edge) - truth) / SECOND
        print(f"{edge}: {off * 1e3:+.1f} ms off, {apart * 1e3:.1f} ms apart, bounds {bounds}")
        assert apart <= sum(bounds)
    absences = history.absences("main")
    print(absences, history.recorded["main"].clock_error)
    assert len({each.worker for each in absences}) == 1
    away = sum(each.end - each.begin for each in absences) / SECOND
    assert away > 6 if back else away > 7
    if back:
        assert {each.why for each in absences} == {"was cut off"}
