"""The share of the arrivals that were answered in time, and the service that was lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers.availability import AvailabilityChecker, service_in
from chaosaws_kms_ext.checkers.outage_windows import failed_arrivals
from chaosaws_kms_ext.checkers.phases import Span
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.history.columns import Arrivals
from tests.support.histories import (
    OUTCOMES,
    RATE,
    at,
    conditions,
    event,
    history,
    load,
    outage_of_main,
    ran,
    started,
    verdict,
)
from tests.support.histories import measure as measured


def check(operations, events, outage=True):
    return AvailabilityChecker().check(
        history(operations, [*started("main"), *events]), conditions(outage=outage)
    )


def with_fault(*outcomes, injected=90):
    operations = load("main", *outcomes)
    return operations, [event(EventName.INJECTED, injected), *ran("main", 0, len(outcomes))]


def test_it_counts_from_the_fault_to_the_recovery():
    operations, events = outage_of_main()  # 111 arrivals from the fault to the recovery, 100 failed
    found = check(operations, events)
    main = found.loads["main"]
    assert main["availability"] == pytest.approx(11 / 111, abs=0.001)
    assert main["lost_service_seconds"] == 5.0
    assert found.measured["availability"] == main["availability"]
    assert found.rows == [("availability", "9.9% of the arrivals answered in time; 5.00 s of "
                           "service lost")]  # fmt: skip


def test_half_of_the_arrivals_for_twenty_seconds_are_ten_seconds_of_service():
    operations, events = with_fault(*["ok"] * 100, *["ok", "error"] * 200, *["ok"] * 100)
    found = check(operations, events).loads["main"]
    assert found["lost_service_seconds"] == 10.0
    assert found["availability"] == pytest.approx(0.5, abs=0.02)


def test_what_failed_before_the_fault_or_on_its_own_is_counted_where_it_belongs():
    operations, events = with_fault(*["error"] * 9, *["ok"] * 100, "lost", *["ok"] * 100)
    assert check(operations, events).loads["main"]["lost_service_seconds"] == 1 / RATE


def test_a_hole_in_the_record_is_service_that_was_not_there():
    operations, events = with_fault(*["ok"] * 300)
    holed = [o for o in operations if not 150 <= o.sequence < 200]
    found = check(holed, events).loads["main"]
    assert found["lost_service_seconds"] == pytest.approx(50 / RATE, abs=0.11)


def test_the_time_in_which_the_load_had_died_counts_neither_way():
    operations, events = with_fault(*["ok"] * 300)
    holed = [o for o in operations if not 150 <= o.sequence < 200]
    died = [
        event(EventName.LOAD_DIED, 155, load="main"),
        event(EventName.LOAD_STARTED_AGAIN, 190, load="main"),
    ]
    assert check(holed, [*events, *died]).loads["main"]["lost_service_seconds"] == 0


def test_a_load_that_the_fault_should_not_affect_is_counted_from_begin_to_end():
    operations = load("copy", *["ok"] * 150, *["error"] * 50)
    recorded = history(operations, [*started("copy"), *ran("copy", 0, 200)])
    found = AvailabilityChecker().check(recorded, conditions(outage=True)).loads["copy"]
    assert found["availability"] == 0.75
    assert found["slices"]["shares"] == [1.0] * 7 + [0.5] + [0.0] * 2


def test_nothing_is_known_of_a_load_that_was_never_steady():
    found = check(load("main", *["ok"] * 99), [event(EventName.INJECTED, 50)])
    assert set(found.loads["main"].values()) == {None}
    assert list(found.rows) == []


def test_an_experiment_can_ask_for_it():
    operations, events = outage_of_main()
    found = measured(["main"], history(operations, events), outage=True)
    missed = verdict(found, {"name": "availability", "limit": 0.5})
    assert missed.word == "failed"
    assert missed.reasons[0].endswith("and its limit is at least 0.5")
    assert verdict(found, {"name": "availability", "limit": 0.05}).passed
    assert verdict(found, {"name": "lost_service", "limit": 300}).passed
    assert verdict(found, {"name": "lost_service", "limit": 299}).word == "failed"


@given(
    outcomes=st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=60),
    begin=st.integers(0, 60),
    length=st.integers(1, 60),
    missing=st.sets(st.integers(0, 59)),
)
def test_it_is_what_counting_one_by_one_gives(outcomes, begin, length, missing):
    operations = [o for o in load("main", *outcomes) if o.sequence not in missing]
    arrivals = Arrivals.of(operations)
    span = Span(at(begin), at(begin + length))
    found = service_in(arrivals, failed_arrivals(arrivals, ()), span, RATE, [])
    inside = [o for o in operations if span.begin <= o.due < span.end]
    failed = [o for o in inside if o.outcome not in ("ok", "aborted")]
    holes = max(length - 1 - len(inside), 0)  # one may lie on either side of an edge
    assert (found.due, found.failed) == (len(inside) + holes, len(failed) + holes)


@given(st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=80))
def test_the_slices_together_are_the_whole(outcomes):
    its = [event(EventName.LOAD_STEADY, 0, load="main")]
    its.append(event(EventName.LOAD_STOPPED, len(outcomes), load="main"))
    found = check(load("main", *outcomes), its, outage=False).loads["main"]["slices"]
    each = round(found["seconds"] * RATE)
    assert found["shares"] == [
        pytest.approx(sum(o == "ok" for o in part) / len(part), abs=1e-4)
        for part in (outcomes[n : n + each] for n in range(0, len(outcomes), each))
    ]
