"""Outages that are no single total one have figures and a verdict like any other."""

from __future__ import annotations

import json

import pytest

from tests.support.labs import FAST

DOWN, UP = 450, 300
"""AWS seconds."""


def run(chaos, kind, hold, **order):
    """A run in which the loss of the key has another shape."""
    fault = {"kind": kind, "cluster": "orders", **order}
    return chaos.run(
        CHAOS_LAB_FAULTS=json.dumps([fault]), CHAOS_QUERY_DEADLINE="0.5", CHAOS_HOLD=str(hold)
    )


@pytest.mark.soak
def test_an_outage_in_three_pieces_is_three_windows(chaos):
    ran = run(chaos, "flap", 2600, times=3, down=DOWN, up=UP)
    assert ran.status == 0, ran.output
    *pieces, restart = ran.summary["windows"]
    assert [each["seconds"] for each in pieces] == [pytest.approx(DOWN / FAST, abs=0.8)] * 3
    assert all(each["depth"] > 0.95 for each in pieces)
    assert restart["begin"] > ran.summary["timeline"]["put_back"]
    assert ran.summary["answered_between"] > 100
    assert ran.summary["lost_service_seconds"] < 3 * DOWN / FAST + 1.5
    assert "outages" in ran.output


@pytest.mark.soak
def test_sessions_of_which_half_hang_lose_little_of_the_service(chaos):
    ran = run(chaos, "freeze-share", 600, share=0.5, seconds=900)
    assert ran.status == 0, ran.output
    assert ran.summary["availability"] > 0.9
    assert 0 < ran.summary["lost_service_seconds"] < 2
    assert ran.summary["client_saw"]["outage"]["hang"] > 0
    first, *_ = ran.summary["hung_sessions"]
    assert 0.3 < first["share"] < 0.7
    assert first["seconds"] == pytest.approx(900 / FAST, abs=1.5)
    assert set(first["ended"]) == {"answered"}


@pytest.mark.soak
def test_answers_that_are_slow_are_degraded_and_no_outage(chaos):
    ran = run(chaos, "slow", 1800, milliseconds=200, seconds=1500)
    (late,) = [each for each in ran.summary["degraded"] if each["worst_p99_ms"] < 500]
    assert late["seconds"] == pytest.approx(1500 / FAST, abs=2.5)
    assert late["worst_p99_ms"] > 150
