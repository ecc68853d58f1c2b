"""How an RDS Proxy saw the writer while the key was away."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.checkers.proxy import Proxy
from chaosaws_kms_ext.history import EventName
from tests.support.histories import conditions, event, history, outage_of_main


def target(number, state, reason="", within=0.2):
    return event(
        EventName.PROXY_TARGET, number, proxy="front", state=state, reason=reason,
        description=reason.lower(), within_seconds=within,
    )  # fmt: skip


def checked(*seen, proxy="front", without=()):
    operations, events = outage_of_main()
    through = {"proxy": proxy} if proxy else {}
    start = event(
        EventName.LOAD_STARTED, -1, load="main", reconnect_spacing_seconds=0.05, **through
    )
    events = [each for each in events if each.name not in without]
    return Proxy().check(history(operations, [start, *events, *seen]), conditions(outage=True))


SEEN = (
    target(-1, "AVAILABLE", within=0.0),
    target(122, "UNAVAILABLE", "CONNECTION_FAILED"),
    target(192, "AVAILABLE"),
)
"""The key goes at 90 and comes back at 150; an arrival takes 0.05 s."""


def test_it_says_when_and_why_the_writer_was_away_and_when_it_was_back():
    found = checked(*SEEN)
    assert found.figures["proxy"] == {
        "name": "front",
        "time_to_unavailable_seconds": 1.6,
        "unavailable_error_bound_seconds": 0.2,
        "reason": "CONNECTION_FAILED",
        "description": "connection_failed",
        "time_to_available_seconds": 2.1,
        "available_error_bound_seconds": 0.2,
        "state": "AVAILABLE",
    }
    assert found.rows == [
        (
            "through RDS Proxy",
            "front · its writer unavailable after 1.60 s ± 0.20 (CONNECTION_FAILED) · available "
            "again 2.10 s ± 0.20 after the key's return",
        )
    ]
    assert not found.doubts


@pytest.mark.parametrize("seen", [(), SEEN[:1]])
def test_a_writer_that_stayed_available_is_said(seen):
    found = checked(*seen)
    assert found.figures["proxy"]["time_to_unavailable_seconds"] is None
    assert found.figures["proxy"]["state"] == ((seen and "AVAILABLE") or None)
    assert found.rows[0][1] == "front · the writer was not seen unavailable to it"


def test_one_that_was_not_seen_again_is_said():
    found = checked(*SEEN[:2])
    assert found.figures["proxy"]["time_to_available_seconds"] is None
    assert found.figures["proxy"]["state"] == "UNAVAILABLE"
    assert found.rows[0][1].endswith("(CONNECTION_FAILED) · not seen available again")


def test_a_key_that_never_came_back_ends_nothing():
    found = checked(*SEEN, without=[EventName.PUT_BACK])
    assert found.figures["proxy"]["time_to_available_seconds"] is None


def test_without_a_fault_its_state_is_all():
    found = checked(*SEEN, without=[EventName.INJECTED, EventName.PUT_BACK])
    assert found.figures["proxy"]["state"] == "AVAILABLE"
    assert found.figures["proxy"]["time_to_unavailable_seconds"] is None


def test_what_was_seen_before_the_fault_does_not_count():
    found = checked(target(10, "UNAVAILABLE", "AUTH_FAILURE"), target(20, "AVAILABLE"), *SEEN[1:])
    assert found.figures["proxy"]["reason"] == "CONNECTION_FAILED"


def test_a_load_that_goes_through_none_has_no_figures():
    found = checked(*SEEN, proxy="")
    assert found.figures == {"proxy": None}
    assert not found.rows
