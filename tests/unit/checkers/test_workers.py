"""The processes of a load that were absent for a time, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaosaws_kms_ext.checkers.workers import SAID, Workers
from chaosaws_kms_ext.history import SECOND, EventName, Operation
from chaosaws_kms_ext.history.combined import combine
from tests.support.histories import (
    RATE,
    at,
    conditions,
    event,
    history,
    load,
    ran,
    started,
    verdict,
)
from tests.support.histories import measure as measured
from tests.support.processes import Away, history_of, split

OPERATIONS = load("main", *["ok"] * 600)  # 30 s
EVENTS = [*started("main"), *ran("main", 20, 600)]


def with_an_outage():
    """Arrivals with an outage of 5 s, and the events of the run."""
    operations = load("main", *["ok"] * 200, *["timeout"] * 100, *["ok"] * 300)
    return operations, [
        event(EventName.INJECTED, 190, key="arn:k"),
        event(EventName.STATUS, 220, key="Disabled", meaning="recoverable"),
        event(EventName.PUT_BACK, 260, key="arn:k"),
        event(EventName.STATUS, 290, key="Enabled", meaning="accessible"),
        *ran("main", 20, 600),
    ]


def check(away=(), events=EVENTS, of=4, operations=OPERATIONS, outage=False):
    return Workers().check(history_of(operations, of, events, away), conditions(outage=outage))


def test_a_load_of_one_process_has_none():
    found = Workers().check(history(OPERATIONS, EVENTS), conditions())
    assert found.loads["main"]["workers"] is None
    assert (list(found.rows), list(found.doubts)) == ([], [])


def test_processes_that_were_all_there_are_counted():
    found = check()
    assert found.loads["main"]["workers"] == {
        "started": 4, "absences": [], "unrecorded": 0, "clock_error_seconds": 0.0,
    }  # fmt: skip
    assert list(found.rows) == []


def test_each_absence_is_named_with_its_process_its_time_and_why():
    found = check([Away(1, at(200), at(200), "killed"), Away(2, at(300), at(360), "stalled")])
    its = found.loads["main"]["workers"]
    assert [(each["worker"], each["why"]) for each in its["absences"]] == [
        (2, "recorded nothing"), (3, "did not run"),
    ]  # fmt: skip
    died, stalled = (each["seconds"] for each in its["absences"])
    assert abs(died - 20) < 0.5
    assert stalled == 3.0
    assert its["unrecorded"] == 100 + 15
    assert found.rows == [
        (
            "load",
            f"process 2 of 4 recorded nothing for {died:.1f} s; process 3 of 4 did not run for "
            "3.0 s",
        )
    ]
    assert list(found.doubts) == []


def test_the_longest_are_said_and_the_others_counted():
    short = [Away(n % 3, at(40 + 30 * n), at(50 + 30 * n), "stalled") for n in range(6)]
    (row,) = check([*short, Away(3, at(300), at(300), "killed")]).rows
    assert row[1].startswith("process 4 of 4 recorded nothing for 15.")
    assert row[1].endswith(f"; {7 - SAID} more")


def test_what_was_before_the_load_was_steady_is_not_said():
    assert check([Away(0, at(0), at(15), "stalled")]).loads["main"]["workers"]["absences"] == []


def test_those_that_were_absent_before_it_was_steady_make_no_figure_less_exact():
    operations, events = with_an_outage()

    def resolution(*away):
        found = measured(["main"], history_of(operations, 4, events, away), outage=True)
        return found.figures["resolution_seconds"]

    before = [Away(n, at(2), at(18), "stalled") for n in range(3)]
    assert resolution(*before) == resolution() == 1 / RATE
    later = Away(0, at(400), at(430), "stalled")
    assert resolution(*before, later) == pytest.approx(4 / 3 / RATE, abs=0.001)


def test_all_of_them_absent_at_once_is_a_doubt():
    gone = [Away(n, at(300), at(360), "stalled") for n in range(4)]
    found = check(gone)
    assert found.doubts == ["all processes of the load were absent together for 3.0 s"]
    short = [Away(n, at(300), at(310), "stalled") for n in range(4)]
    assert list(check(short).doubts) == []
    assert list(check(gone, outage=True).doubts) == []  # nothing was injected, which is said


def test_all_of_them_gone_until_the_load_was_stopped_is_a_doubt():
    """Processes on other machines: whoever started them still runs."""
    gone = [Away(n, at(400), at(400), "killed") for n in range(4)]
    (doubt,) = check(gone).doubts
    assert doubt.startswith("all processes of the load were absent together for 10.")
    other = [*started("copy"), *ran("copy", 20, 600)]
    copies = [o._replace(load="copy") for o in OPERATIONS]
    found = history_of(copies, 4, other, gone)
    found = type(found)({"copy": found.recorded["main"]}, found.events, found.rows, found.anchor)
    (doubt,) = Workers().check(found, conditions()).doubts
    assert doubt.startswith("of the load copy: all processes")


def test_no_run_passes_in_which_nobody_looked():
    """Without the doubt, no arrival would be missed and no outage seen."""
    gone = [Away(n, at(300), at(400), "stalled") for n in range(4)]
    found = measured(["main"], history_of(OPERATIONS, 4, ran("main", 20, 600), gone))
    assert found.measured["missed_arrivals"] == 0
    assert verdict(found, "missed_arrivals").word == "inconclusive"
    there = measured(["main"], history_of(OPERATIONS, 4, ran("main", 20, 600)))
    assert verdict(there, "missed_arrivals").word == "passed"


def test_one_that_was_killed_misses_no_arrival_and_loses_no_service():
    killed = [Away(2, at(301), at(301), "killed")]
    its = history_of(OPERATIONS, 4, ran("main", 20, 600), killed)
    found = measured(["main"], its)
    assert found.measured["missed_arrivals"] == 0
    main = found.figures
    assert (main["availability"], main["lost_service_seconds"]) == (1.0, 0.0)
    assert main["windows"] == []
    assert main["operations"]["unrecorded"] == main["client_saw"]["all"]["unrecorded"] == 75
    assert set(main["slices"]["shares"]) == {1.0}
    assert main["degraded"] == []


def test_a_hole_elsewhere_is_still_missed_while_all_are_absent_for_a_time():
    """What was not recorded in the absence does not make up for it."""
    gone = [Away(n, at(300), at(400), "stalled") for n in range(4)]
    holed = [o for o in OPERATIONS if not 100 <= o.sequence < 109]
    found = measured(["main"], history_of(holed, 4, ran("main", 20, 600), gone))
    assert found.measured["missed_arrivals"] == 9 - 2
    assert found.figures["lost_service_seconds"] == (9 - 2) / RATE


def test_writes_of_a_process_that_was_killed_are_neither_lost_nor_made_up():
    """It had written a row of which its record did not come."""
    its = [o._replace(writer=1 + o.sequence % 4) for o in OPERATIONS]
    killed = [Away(1, at(301), at(301), "killed")]
    rows = {
        "main": frozenset(
            (o.writer, o.sequence)
            for o in its
            if o.kind == "write" and (o.sequence < 306 or o.writer != 2)
        )
    }
    run = history_of(its, 4, ran("main", 20, 600), killed, rows)
    found = measured(["main"], run)
    assert found.measured["lost_writes"] == 0
    assert found.figures["writes"]["unknown"] == 2  # those at 301 and 305
    assert list(found.doubts) == []
    lost = {"main": frozenset(row for row in rows["main"] if row != (2, 201))}
    found = measured(["main"], history_of(its, 4, ran("main", 20, 600), killed, lost))
    assert found.figures["lost_writes"] == [[2, 201]]


def test_a_recovery_is_measured_by_those_that_were_there():
    operations, events = with_an_outage()
    seen = [
        (n, Operation("main", 0, n, kind, at(220), at(220), at(260), "timeout", None))
        for n, kind in enumerate(["session", "connect"])
    ]
    killed = [Away(1, at(230), at(230), "killed")]
    figures = {}
    for name, away in {"all": (), "one less": killed}.items():
        found = measured(["main"], history_of(operations, 2, events, away, more=seen), outage=True)
        assert list(found.doubts) == []
        figures[name] = found.figures
    whole, less = figures["all"], figures["one less"]
    for name in ("outage_seconds", "time_to_recovery_seconds", "time_to_impact_seconds"):
        assert abs(whole[name] - less[name]) <= 2.1 / RATE
        assert abs(whole[name] - less[name]) <= less["bounds"][name]
    assert less["recovery_curve"]["half"] == less["recovery_curve"]["all"]
    assert abs(whole["lost_service_seconds"] - less["lost_service_seconds"]) < 0.5
    assert abs(whole["availability"] - less["availability"]) < 0.05
    assert less["hang"] == {"open_sessions": True, "new_connections": True}


def test_half_of_those_that_are_known_is_half():
    """Before, none answers; then half of them, of which those of one process are not known."""
    half = ["ok", "ok", "timeout", "timeout"] * 50
    operations = load("main", *["ok"] * 200, *["timeout"] * 100, *half, *["ok"] * 200)
    events = [
        event(EventName.INJECTED, 190, key="arn:k"),
        event(EventName.STATUS, 220, key="Disabled", meaning="recoverable"),
        event(EventName.PUT_BACK, 260, key="arn:k"),
        event(EventName.STATUS, 490, key="Enabled", meaning="accessible"),
        *ran("main", 20, 700),
    ]
    killed = [Away(1, at(290), at(290), "killed")]
    for away in ((), killed):
        found = measured(["main"], history_of(operations, 2, events, away), outage=True)
        curve = found.figures["recovery_curve"]
        assert abs(curve["half"] - 40 / RATE) <= 3 / RATE
        assert abs(curve["all"] - 240 / RATE) < 4 / RATE


def test_the_clock_error_is_part_of_the_bounds():
    operations, events = with_an_outage()
    bounds = []
    for error in (0, SECOND // 5):
        asked = [
            (n, Operation("main", 0, 1, "clock", k, k + error // 2, k + error, "ok", None))
            for n in range(2)
            for k in range(at(-10), at(640), SECOND // 4)
        ]
        found = measured(
            ["main"], history_of(operations, 2, events, more=asked), outage=True
        ).figures
        bounds.append(found["bounds"]["outage_seconds"])
    assert bounds[1] - bounds[0] == pytest.approx(0.2, abs=0.01)


def test_a_load_whose_processes_all_died_and_were_started_again_has_a_gap_and_no_outage():
    """One died first; then the other, and only then the load had ended."""
    first = [o._replace(writer=1 + o.sequence % 2) for o in OPERATIONS[:300]]
    died = [Away(0, at(200), at(200), "killed"), Away(1, at(280), at(280), "killed")]
    later = [
        o._replace(writer=10**6 + 1 + n % 2, due=at(n), sent=at(n), done=at(n) + 1)
        for n, o in enumerate(OPERATIONS[:270], 330)
    ]
    again = split([o._replace(sequence=n) for n, o in enumerate(later)], RATE, 2, at(330))
    its = [
        *split(first, RATE, 2, at(0), (), died),
        *((header._replace(starts=1), one) for header, one in again),
    ]
    events = [
        *ran("main", 20, 600),
        event(EventName.LOAD_DIED, 282, load="main", why="it was killed by SIGKILL"),
        event(EventName.LOAD_STARTED_AGAIN, 283, load="main"),
    ]
    run = replace(history(first, events), recorded={"main": combine(its)})
    assert len(run.gaps("main")) == 1
    found = measured(["main"], run)
    assert found.figures["windows"] == []
    assert found.measured["missed_arrivals"] == 0
    assert found.figures["lost_service_seconds"] == 0
    (away,) = found.figures["workers"]["absences"]
    assert (away["worker"], away["why"]) == (1, "recorded nothing")
    assert away["seconds"] == pytest.approx(4, abs=0.3)
    assert "was started again, so for 2.5 s nothing was recorded" in found.causes[0]
