"""Whether the outage fits the fault: when answers stopped, the status, the server's start."""

from __future__ import annotations

import re

from chaosaws_kms_ext.checkers.servers import Servers
from chaosaws_kms_ext.history import MAIN, SECOND, EventName, Operation
from tests.support.histories import at, conditions, event, history, outage_of_main, started


def server(number, started_at):
    """Met at one arrival; started at another."""
    began = f"{at(started_at) / SECOND:.6f}"
    return Operation("main", 0, 0, "server", at(number), at(number), at(number), "ok", None, began)


def check(*servers, status=120, outage=True):
    operations, events = outage_of_main()
    events = [
        event(EventName.STATUS, status, key="Disabled", meaning="recoverable")
        if each.name == EventName.STATUS and each.details["meaning"] == "recoverable"
        else each
        for each in events
    ]
    recorded = history([*operations, *servers], [*started("main"), *events])
    return Servers().check(recorded, conditions(outage=outage))


def test_a_server_that_is_started_after_the_key_is_back_fits():
    found = check(server(3, -900), server(200, 195))
    assert found.loads[MAIN]["server_starts"] == [
        "1969-12-31T23:59:22.000Z",
        "1970-01-01T00:00:16.750Z",
    ]
    assert found.doubts == []


def test_a_server_that_is_started_while_the_key_is_away_does_not():
    found = check(server(3, -900), server(200, 120))  # between 90 and 150
    (why,) = found.doubts
    assert why.startswith("the server was started anew while the key was away, at 1970-01-01T00:00")


def test_an_outage_long_before_the_status_has_another_cause():
    (why,) = check(status=140).doubts
    assert re.match(r"the database stopped answering (1.9|2.0) s before the status said", why)


def test_without_an_outage_that_is_expected_nothing_has_to_fit():
    assert check(server(200, 120), status=140, outage=False).doubts == []
