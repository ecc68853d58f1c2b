"""What is said of loads that ended by themselves: started again, or not."""

from __future__ import annotations

from chaosaws_kms_ext.checkers.load_ended import LoadEnded
from chaosaws_kms_ext.history import EventName
from tests.support.histories import at, conditions, event, history, load, started

KILLED = "it was killed by SIGKILL"


def causes(operations, *events):
    recorded = history(operations, [*started("main", "copy"), *events])
    return LoadEnded().check(recorded, conditions()).causes


def stopped(load, ran=True, **why):
    return event(EventName.LOAD_STOPPED, 300, load=load, ran=ran, **why)


def test_loads_that_were_stopped_say_nothing():
    assert causes(load("main", *["ok"] * 200), stopped("main"), stopped("copy")) == []


def test_one_that_was_started_again_says_for_how_long_nothing_was_recorded():
    operations = [*load("main", *["ok"] * 100), *load("main", *["ok"] * 100, begin=140)]
    died = event(EventName.LOAD_DIED, 110, load="main", why=KILLED)
    again = event(EventName.LOAD_STARTED_AGAIN, 111, load="main")
    (said,) = causes(operations, died, again, stopped("main"))
    assert said == (
        f"the load ended by itself and was started again, so for 2.0 s nothing was recorded: "
        f"{KILLED}"
    )
    recorded = history(operations, [died, again])
    ((begin, end),) = recorded.gaps("main")
    assert (begin, end) == (at(99) + 1_000_000, at(140))
    assert recorded.gaps("copy") == []


def test_one_that_never_recorded_again_says_that():
    died = event(EventName.LOAD_DIED, 110, load="copy", why="x")
    again = event(EventName.LOAD_STARTED_AGAIN, 111, load="copy")
    said = causes(load("copy", *["ok"] * 100), died, again, stopped("copy", ran=False, why=KILLED))
    assert said == [
        "the load copy ended by itself and was started again, so after that nothing was recorded: "
        "x",
        f"the load copy ended by itself, so nothing after that was recorded: {KILLED}",
    ]


def test_one_that_said_nothing_is_said_to_have_said_nothing():
    (said,) = causes([], stopped("main", ran=False))
    assert said.endswith("nothing after that was recorded: it said nothing")
