"""Blinks of a key: how long each was, whether an outage came of it, and what is told from them."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.checkers.blinks import Blinks
from chaosaws_kms_ext.history import MAIN, EventName
from chaosaws_kms_ext.settings import Settings
from tests.support.histories import conditions, event, history, load, ran, verdict

LENGTH = 2000
"""Arrivals, of which 20 are a second."""


def blink(begin, seconds, outage=False, asked=60):
    """Its events; it is over 10 s later."""
    back = begin + round(seconds * 20)
    return [
        event(EventName.BLINK_BEGAN, begin - 2, asked_aws_seconds=asked),
        event(EventName.INJECTED, begin, key="k", cluster="orders", fault="f", within_seconds=0.1),
        event(EventName.PUT_BACK, back, key="k", cluster="orders", within_seconds=0.1),
        event(EventName.BLINK, back + 200, asked_aws_seconds=asked, outage=outage, why=""),
    ]


def lost(begin):
    """The cluster was seen to be inaccessible."""
    return event(
        EventName.STATUS,
        begin,
        key="Disabled",
        cluster="inaccessible",
        instances={},
        meaning="recoverable",
        within_seconds=0.1,
    )


def measured(*events, outages=()):
    """`outages`: from which arrival to which none was answered."""
    outcomes = ["ok"] * LENGTH
    for begin, end in outages:
        outcomes[begin:end] = ["timeout"] * (end - begin)
    its = load(MAIN, *outcomes)
    found = history(its, [*events, *ran(MAIN, 0, LENGTH)])
    return Blinks().check(found, conditions())


def test_without_a_blink_nothing_is_said():
    result = measured()
    assert set(result.figures.values()) == {None}
    assert result.measured == {"longest_blink": None}
    assert [*result.rows, *result.doubts] == []


def test_the_longest_without_and_the_shortest_with_an_outage():
    result = measured(
        *blink(100, 1.0),
        *blink(500, 8.0, outage=True),
        lost(640),
        *blink(1100, 4.0),
        *blink(1500, 6.0, outage=True),
        outages=[(640, 720), (1620, 1700)],
    )
    assert result.figures["blink_steps"] == 4
    assert [each["outage"] for each in result.figures["blinks"]] == [False, True, False, True]
    assert result.figures["longest_blink_without_outage_seconds"] == 4.0
    assert result.figures["shortest_blink_with_outage_seconds"] == 6.0
    assert result.figures["longest_blink_known_within_seconds"] == pytest.approx(2.0 + 4 * 0.1)
    assert result.measured == {"longest_blink": 4.0}
    assert list(result.doubts) == []
    assert result.rows == [("longest blink without an outage", "4.00 s (6.00 s had one)")]


def test_an_outage_that_begins_when_the_key_is_back_is_of_the_blink_before():
    result = measured(*blink(100, 1.0, outage=True), *blink(600, 1.0), outages=[(200, 260)])
    assert [each["outage"] for each in result.figures["blinks"]] == [True, False]


def test_where_the_shortest_has_an_outage_the_objective_is_missed():
    result = measured(*blink(100, 1.0, outage=True), lost(110))
    assert result.figures["longest_blink_without_outage_seconds"] is None
    asked = {"name": "longest_blink", "limit": 60}
    assert verdict(result, asked).reasons == (
        "objective missed: longest_blink was 0.0 s, and its limit is at least 1 s",
    )
    assert verdict(measured(*blink(100, 1.2)), asked).passed
    assert verdict(measured(*blink(100, 0.5)), asked).word == "failed"


@pytest.mark.parametrize(
    ("events", "outages", "said"),
    [
        (blink(100, 1.0), [(150, 200)], "the records show an outage after blink 1"),
        (blink(100, 1.0, outage=True), [], "blink 1 was taken for an outage, and the records show"),
        (blink(100, 1.0)[:3], [], "what came of blink 1 is not known: the run ended before"),
        (blink(100, 1.0)[:1], [], "what came of blink 1 is not known: the run ended before"),
        (
            [*blink(100, 4.0), *blink(600, 2.0, outage=True), lost(620)],
            [],
            "a blink of 2.00 s had an outage, and one of 4.00 s had none",
        ),
    ],
)
def test_what_contradicts_what_the_run_did_is_a_doubt(events, outages, said):
    doubts = measured(*events, outages=outages).doubts
    assert any(said in each for each in doubts), doubts


def test_a_blink_that_broke_the_limit_of_the_key_fails_the_run():
    events = blink(100, 5.0)
    found = history(load(MAIN, *["ok"] * LENGTH), [*events, *ran(MAIN, 0, LENGTH)])
    settings = Settings(lab_speed=60, load_rate=20.0, max_key_unusable=4)
    result = Blinks().check(found, conditions(settings=settings))
    assert result.failures == ["a blink lasted 5.0 s, longer than CHAOS_MAX_KEY_UNUSABLE=4"]
    assert measured(*events).failures == []


def test_an_outage_before_the_first_blink_is_none_of_it():
    result = measured(*blink(600, 1.0), outages=[(100, 160)])
    assert [each["outage"] for each in result.figures["blinks"]] == [False]
