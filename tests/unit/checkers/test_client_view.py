"""What the client saw, by phase."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers.client_view import ClientView
from chaosaws_kms_ext.history import MAIN
from tests.support.histories import (
    OUTCOMES,
    conditions,
    history,
    load,
    outage_of_main,
    ran,
    started,
)


def check(operations, events, outage=True):
    recorded = history(operations, [*started("main"), *events])
    return ClientView().check(recorded, conditions(outage=outage))


def test_it_is_counted_before_the_fault_in_the_outage_and_after():
    operations, events = outage_of_main()
    operations = [
        o._replace(detail="hang") if o.outcome == "timeout" and o.kind in ("read", "write") else o
        for o in operations
    ]
    operations[120] = operations[120]._replace(outcome="lost", detail="reset")
    operations[121] = operations[121]._replace(outcome="error", sqlstate="57P01", detail=None)
    operations[122] = operations[122]._replace(outcome="unsent", detail=None)
    found = check(operations, events)
    assert found.loads[MAIN]["client_saw"] == {
        "before": {"ok": 90},
        "until-impact": {"ok": 10},
        "outage": {"hang": 97, "57P01": 1, "ok": 1, "reset": 1, "unsent": 1},
        "after": {"ok": 99},
    }
    assert found.rows == [("client saw", "97 hang, 1 57P01, 1 reset, 1 unsent")]


def test_without_an_outage_it_is_one_phase():
    operations = load("main", *["ok"] * 50, "error", *["ok"] * 49)
    found = check(operations, ran("main", 0, 100), outage=False)
    assert found.loads[MAIN]["client_saw"] == {"all": {"ok": 99, "error": 1}}
    assert found.rows == ()


def test_of_a_load_that_was_never_steady_nothing_is_known():
    assert check(load("main", *["ok"] * 9), []).loads[MAIN]["client_saw"] is None


@given(st.lists(st.tuples(st.sampled_from(OUTCOMES), st.sampled_from([None, "57P01", "hang"]))))
def test_every_arrival_is_counted_once(failures):
    operations = [
        o._replace(sqlstate=said if outcome != "ok" else None)
        for o, (outcome, said) in zip(
            load("main", *[outcome for outcome, _ in failures]), failures, strict=True
        )
    ]
    seen = check(operations, ran("main", 0, len(failures)), outage=False).loads[MAIN]["client_saw"]
    counted = (seen or {}).get("all", {})
    assert sum(counted.values()) == len(failures)
    for name in {*OUTCOMES, "57P01", "hang"}:
        those = [said or outcome for outcome, said in failures if outcome != "ok"]
        those += ["ok" for outcome, _ in failures if outcome == "ok"]
        assert counted.get(name, 0) == those.count(name)
