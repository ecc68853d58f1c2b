"""Attempts to connect: how many at once, how many failed and how, and where they went."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers.connections import Connections, longest_wait, most_in_a_second
from chaosaws_kms_ext.history import MAIN, SECOND, Operation
from chaosaws_kms_ext.history.columns import Attempts
from tests.support.histories import (
    ALL_WELL,
    at,
    conditions,
    history,
    load,
    measure,
    ran,
    started,
    verdict,
)

ADDRESS = "10.0.0.1"


def attempt(number, took=0.1, detail=ADDRESS, outcome=None):
    outcome = outcome or ("ok" if detail[0].isdigit() else "lost")
    done = at(number) + round(took * SECOND)
    return Operation(
        "main", 0, number, "attempt", at(number), at(number), done, outcome, None, detail
    )


def check(*attempts):
    recorded = history(
        [*load("main", *ALL_WELL), *attempts], [*started("main"), *ran("main", 0, 200)]
    )
    return Connections().check(recorded, conditions())


def test_failures_are_counted_by_what_the_client_saw():
    found = check(
        attempt(5),
        *(attempt(number, detail="hang") for number in (20, 21, 22)),
        attempt(30, detail="refused"),
        attempt(60, detail="10.0.0.2"),
    )
    assert found.loads[MAIN]["connections"] == {
        "attempts": 6,
        "failed": {"hang": 3, "refused": 1},
        "most_per_second": 4,
        "longest_wait_seconds": pytest.approx(2.1),
        "addresses": {
            "10.0.0.1": "1970-01-01T00:00:07.350Z",
            "10.0.0.2": "1970-01-01T00:00:10.100Z",
        },
    }
    assert found.rows == [
        ("connections", "3 hang, 1 refused; at most 4 a second; longest wait 2.10 s; 2 addresses")
    ]


def test_without_a_failure_there_is_no_row():
    found = check(attempt(5), attempt(9))
    assert found.loads[MAIN]["connections"]["longest_wait_seconds"] == 0
    assert found.rows == ()


def test_a_wait_that_did_not_end_has_no_length():
    found = check(attempt(5), attempt(9, detail="no-address"))
    assert found.loads[MAIN]["connections"]["longest_wait_seconds"] is None
    assert found.rows[0][1].endswith("none succeeded again")


def test_what_the_end_of_the_load_cut_is_no_failure():
    assert check(attempt(5), attempt(9, detail="hang", outcome="aborted")).rows == ()


def test_an_experiment_can_limit_the_wait():
    its = [attempt(5, detail="refused"), attempt(25)]
    recorded = history([*load("main", *ALL_WELL), *its], ran("main", 0, 200))
    found = measure(["main"], recorded)
    assert found.measured["longest_wait_seconds"] == pytest.approx(1.1)
    assert verdict(found, {"name": "connection_wait", "limit": 66}).passed
    assert verdict(found, {"name": "connection_wait", "limit": 65}).word == "failed"


ATTEMPTS = st.lists(
    st.builds(
        attempt,
        st.integers(0, 200),
        st.sampled_from([0.01, 0.5, 2.0]),
        st.sampled_from([ADDRESS, "hang", "refused"]),
    ),
    max_size=30,
).map(lambda its: sorted(its, key=lambda o: o.due))


@given(ATTEMPTS)
def test_the_most_in_a_second_is_that_of_every_second(attempts):
    counted = [
        sum(each.due <= other.due < each.due + SECOND for other in attempts) for each in attempts
    ]
    assert most_in_a_second(Attempts.of(attempts)) == max(counted, default=0)


@given(ATTEMPTS)
def test_the_longest_wait_is_that_of_every_failure(attempts):
    """From each failure whose success before it came earlier, to the first success after it."""
    waits = []
    ended = sorted(attempts, key=lambda o: o.done)
    for place, each in enumerate(ended):
        if each.outcome == "ok":
            continue
        if place and ended[place - 1].outcome != "ok":
            continue  # one before it waits already
        after = [other.done for other in ended[place:] if other.outcome == "ok"]
        before = [other.done for other in ended[:place] if other.outcome == "ok"]
        since = max([each.due, *before])
        waits.append((after[0] - since) / SECOND if after else None)
    expected = None if None in waits else max([0.0, *waits])
    assert longest_wait(Attempts.of(attempts)) == expected
