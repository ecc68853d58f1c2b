"""The list of outages, and what an experiment can ask of it."""

from __future__ import annotations

from chaosaws_kms_ext.checkers.windows import WindowsChecker
from chaosaws_kms_ext.history import EventName
from tests.support.histories import (
    conditions,
    event,
    history,
    load,
    measure,
    outage_of_main,
    ran,
    started,
    verdict,
)


def run_of(*outcomes, injected=90):
    operations = load("main", *outcomes)
    return history(
        operations,
        [
            *started("main"),
            event(EventName.INJECTED, injected),
            *ran("main", 0, len(outcomes)),
        ],
    )


def check(recorded):
    return WindowsChecker().check(recorded, conditions(outage=True))


FLAPS = [*["ok"] * 100, *[*["timeout"] * 60, *["ok"] * 60] * 3, *["ok"] * 40]


def test_a_total_outage_is_one_window_and_needs_no_row():
    operations, events = outage_of_main()
    found = check(history(operations, [*started("main"), *events]))
    (window,) = found.loads["main"]["windows"]
    assert window == {
        "begin": "1970-01-01T00:00:11.951Z",
        "end": "1970-01-01T00:00:17.001Z",
        "seconds": 5.05,
        "depth": 1.0,
        "failed": 100,
    }
    assert found.rows == []
    assert found.measured == {"outage_windows": 1, "longest_outage_seconds": 5.05}


def test_an_outage_that_comes_in_three_pieces_is_three_windows():
    found = check(run_of(*FLAPS))
    assert [each["seconds"] for each in found.loads["main"]["windows"]] == [3.05] * 3
    assert found.rows == [("outages", "3.05 s · 3.05 s · 3.05 s")]


def test_a_partial_outage_says_how_deep_it_was():
    found = check(run_of(*["ok"] * 100, *["ok", "error"] * 60, *["ok"] * 100))
    (window,) = found.loads["main"]["windows"]
    assert 0.48 < window["depth"] < 0.52
    assert found.rows == [("outages", "5.95 s, 50% not answered")]


def test_an_outage_that_did_not_end_has_no_length():
    found = check(run_of(*["ok"] * 100, *["timeout"] * 100))
    (window,) = found.loads["main"]["windows"]
    assert (window["end"], window["seconds"]) == (None, None)
    assert found.measured == {"outage_windows": 1, "longest_outage_seconds": None}
    assert found.rows == [("outages", "not ended")] or found.rows == []


def test_many_windows_are_not_all_in_the_table():
    pieces = [*["timeout"] * 60, *["ok"] * 60] * 7
    (row,) = check(run_of(*["ok"] * 100, *pieces)).rows
    assert row[1].endswith("· 2 more")


def test_without_an_outage_there_is_none():
    found = check(run_of(*["ok"] * 200))
    assert found.loads["main"]["windows"] == []
    assert found.measured == {"outage_windows": 0, "longest_outage_seconds": 0.0}


def test_a_load_that_was_never_steady_is_not_known():
    found = check(history(load("main", *["ok"] * 99), started("main")))
    assert found.loads["main"]["windows"] is None
    assert found.measured == {"outage_windows": None, "longest_outage_seconds": None}


def test_an_experiment_can_ask_for_few_and_short_ones():
    found = measure(["main"], run_of(*FLAPS), outage=True)
    assert verdict(found, {"name": "outage_windows", "limit": 3}).word != "failed"
    assert verdict(found, {"name": "outage_windows", "limit": 2}).word == "failed"
    assert verdict(found, {"name": "longest_outage", "limit": 180}).word == "failed"
    assert verdict(found, {"name": "longest_outage", "limit": 190}).word != "failed"
