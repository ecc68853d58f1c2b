"""A cluster that is lost for good: since when, and that it stays so."""

from __future__ import annotations

from dataclasses import replace

from chaosaws_kms_ext.history import EventName
from tests.support.histories import SETTINGS, event, history, load, measure, outage_of_main, ran

COMPRESSED = replace(SETTINGS, lab_recoverable_for=1200.0)
TERMINAL = event(EventName.TERMINAL, 180, cluster="orders", within_seconds=0.2)
STAYED = event(
    EventName.STAYED_TERMINAL,
    290,
    cluster="orders",
    seconds=9.0,
    start_refused_with="InvalidDBClusterStateFault",
    within_seconds=0.0,
)


def never_back():
    """Answered, and then nothing until the load is stopped; what happened meanwhile."""
    operations = load("main", *["ok"] * 100, *["timeout"] * 150)
    events = [
        event(EventName.INJECTED, 90, key="arn:k", cluster="orders", within_seconds=0.1),
        event(EventName.STATUS, 120, key="Disabled", meaning="recoverable", within_seconds=0.2),
        event(EventName.PUT_BACK, 200, key="arn:k", cluster="orders", within_seconds=0.1),
        *ran("main", 0, 250),
    ]
    return operations, events


def measured(*more, settings=COMPRESSED):
    operations, events = never_back()
    return measure(["main"], history(operations, [*events, *more]), True, settings)


def test_it_is_measured_from_the_loss_of_the_key_and_from_when_it_showed():
    found = measured(TERMINAL, STAYED)
    assert found.figures["lost_for_good"] == {
        "cluster": "orders",
        "time_to_terminal_seconds": 4.5,
        "recoverable_seconds": 3.0,
        "error_bound_seconds": 0.3,
        "compressed_to_aws_seconds": 1200.0,
        "stayed_seconds": 9.0,
        "start_refused_with": "InvalidDBClusterStateFault",
    }
    rows = dict(found.rows)
    assert "assumed: 1200 AWS seconds stand for 7 days" in rows["lost for good"]
    assert "9.0 s still lost" in rows["key back"]


def test_seven_days_of_the_lab_are_not_called_compressed():
    found = measured(TERMINAL, settings=SETTINGS)
    assert found.figures["lost_for_good"]["compressed_to_aws_seconds"] is None
    assert found.figures["lost_for_good"]["stayed_seconds"] is None
    assert "assumed" not in dict(found.rows)["lost for good"]


def test_without_a_recovery_nothing_is_in_doubt_only_where_the_cluster_was_lost_for_good():
    missing = "the outage could not be measured: "
    assert not any(why.startswith(missing) for why in measured(TERMINAL).doubts)
    assert any(why.startswith(missing) for why in measured().doubts)


def test_a_cluster_that_came_back_was_not_lost():
    operations, events = outage_of_main()
    found = measure(["main"], history(operations, events), True)
    assert found.figures["lost_for_good"] is None
