"""The way back: first answer, half, all, as fast as before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers.recovery_curve import RecoveryCurve, answered_share_from
from chaosaws_kms_ext.history import MAIN, SECOND, EventName
from chaosaws_kms_ext.history.columns import Arrivals
from tests.support.histories import (
    at,
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

MS = 1_000_000


def recorded(*after, back=150):
    """50 arrivals that failed until the key was put back and 50 after it, then what is given."""
    operations = load("main", *["ok"] * 100, *["timeout"] * 100, *after)
    events = [
        event(EventName.INJECTED, 90),
        event(EventName.PUT_BACK, back),
        *ran("main", 0, len(operations)),
    ]
    return history(operations, [*started("main"), *events])


def slow(history_, first, last, took):
    arrivals = history_.recorded[MAIN].arrivals
    arrivals.done[first:last] = arrivals.due[first:last] + took * MS
    return history_


def check(recorded_, outage=True):
    return RecoveryCurve().check(recorded_, conditions(outage))


def test_each_step_counts_from_the_key_being_put_back():
    found = check(recorded(*["error", "ok"] * 40, *["ok"] * 300))
    curve = found.loads[MAIN]["recovery_curve"]
    assert curve["first_answer"] == pytest.approx(2.55, abs=0.01)
    assert curve["half"] == pytest.approx(2.55, abs=0.06)
    assert curve["all"] == pytest.approx(6.5, abs=0.06)
    assert curve["normal_latency"] == curve["all"]
    assert found.rows == [
        ("recovery", f"{curve['first_answer']:.2f} s to the first answer · "
                     f"{curve['normal_latency']:.2f} s to the latency of before")
    ]  # fmt: skip


def test_the_latency_is_as_before_when_it_stays_so():
    its = slow(recorded(*["ok"] * 600), 200, 330, 40)
    curve = check(its).loads[MAIN]["recovery_curve"]
    assert curve["all"] == pytest.approx(2.54, abs=0.01)
    assert curve["normal_latency"] == pytest.approx(2.54 + 10, abs=0.01)  # two slices of 5 s


def test_a_latency_that_does_not_come_back_while_the_load_runs_is_not_known():
    found = check(slow(recorded(*["ok"] * 400), 200, 600, 40))
    assert found.loads[MAIN]["recovery_curve"]["normal_latency"] is None
    assert found.measured == {"time_to_normal_latency_seconds": None}
    assert found.rows[0][1].endswith("the latency of before not reached while the load ran")


def test_without_a_recovery_there_is_no_way_back():
    assert check(recorded()).loads[MAIN]["recovery_curve"] is None
    operations, events = outage_of_main()
    whole = history(operations, [*started("main"), *events])
    assert check(whole, outage=False).loads[MAIN]["recovery_curve"] is None
    assert check(whole).loads[MAIN]["recovery_curve"] is not None


def test_an_experiment_can_limit_it():
    found = measure(["main"], recorded(*["ok"] * 400), outage=True)
    asked = {"name": "time_to_normal_latency", "limit": 160}
    assert verdict(found, asked).word != "failed"
    assert verdict(found, {**asked, "limit": 140}).word == "failed"


@given(
    outcomes=st.lists(st.sampled_from(["ok", "error"]), min_size=1, max_size=60),
    since=st.integers(0, 60),
    share=st.sampled_from([0.3, 0.5, 0.99]),
)
def test_a_share_is_answered_from_the_first_stretch_in_which_it_is(outcomes, since, share):
    operations = load("main", *outcomes)
    span = SECOND // 2
    expected = None
    for first in operations[since:]:
        stretch = [o for o in operations if first.due <= o.due < first.due + span]
        ok = [o.done for o in stretch if o.outcome == "ok"]
        if ok and len(ok) >= share * len(stretch):
            expected = min(ok)
            break
    assert answered_share_from(Arrivals.of(operations), at(since), span, share) == expected


def test_the_load_over_the_reader_endpoint_has_a_way_back_of_its_own():
    operations, events = outage_of_main()
    later = [o._replace(load="reader") for o in operations if o.kind in ("read", "write")]
    later = [o._replace(outcome="timeout") if at(200) <= o.due < at(220) else o for o in later]
    both = history(
        [*operations, *later], [*started("main", "reader"), *events, *ran("reader", 0, 300)]
    )
    its = check(both).loads
    first = {name: its[name]["recovery_curve"]["first_answer"] for name in ("main", "reader")}
    assert first["reader"] - first["main"] == pytest.approx(1.0)
    found = measure([], both, outage=True)
    assert found.figures["outage_seconds"] + 1 == pytest.approx(
        found.loads["reader"]["outage_seconds"]
    )
    assert found.loads["reader"]["missed_arrivals"] is None
    copy = history([o._replace(load="copy") for o in later], events)
    assert check(copy).loads["copy"]["recovery_curve"] is None
