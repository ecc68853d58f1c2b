"""Whether the load itself was too slow, told apart from a database that is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers.load_generator import LoadGenerator, own_lateness
from chaosaws_kms_ext.history import SECOND, Operation
from tests.support.histories import (
    RATE,
    at,
    conditions,
    history,
    load,
    outage_of_main,
    ran,
    started,
)
from tests.support.processes import history_of

MS = 1_000_000
EVENTS = [*started("main"), *ran("main", 20, 600)]
OPERATIONS = load("main", *["ok"] * 600)


def lag(second, late_ms=0.0, core=0.1, worker=0):
    """What a process says of a second of its own."""
    begin = at(0) + second * SECOND
    late = begin + round(late_ms * MS)
    return Operation(
        "main", worker, round(core * 1000), "lag", begin, begin + SECOND, late, "ok", None
    )


def check(lags, operations=OPERATIONS, events=EVENTS, outage=False):
    return LoadGenerator().check(history([*operations, *lags], events), conditions(outage=outage))


def test_a_load_that_has_time_is_no_bottleneck():
    found = check([lag(n, late_ms=n % 5, core=0.3) for n in range(30)])
    assert found.loads["main"]["load_generator"] == {
        "lateness_ms": {"p50": 2.0, "p99": 4.0, "max": 4.0},
        "core_share": 0.3,
        "bottleneck_share": 0.0,
    }
    assert (list(found.doubts), list(found.rows)) == ([], [])


@pytest.mark.parametrize("how", [{"late_ms": 150}, {"core": 0.97}])
def test_one_that_is_late_or_uses_its_core_up_is(how):
    found = check([lag(n, **how) for n in range(30)])
    (doubt,) = found.doubts
    assert "the load itself was the bottleneck in 100% of the seconds" in doubt
    assert "CHAOS_LOAD_PROCESSES" in doubt
    assert found.rows == [("load", doubt)]


def test_a_third_of_the_seconds_is_not_yet_a_doubt():
    def late_in(some):
        return check([lag(n, late_ms=150 if n < 2 + some else 1) for n in range(2, 29)])

    assert list(late_in(9).doubts) == []
    assert len(late_in(10).doubts) == 1


def test_a_database_that_is_slow_is_not_the_load():
    slow = [o._replace(done=o.due + SECOND) for o in OPERATIONS]
    found = check([lag(n, late_ms=2) for n in range(30)], slow)
    assert found.loads["main"]["load_generator"]["bottleneck_share"] == 0
    assert list(found.doubts) == []


def test_seconds_of_the_outage_do_not_count():
    """Everybody comes back at once then."""
    operations, events = outage_of_main()
    lags = [lag(n, late_ms=500 if 5 <= n < 10 else 1) for n in range(15)]
    found = check(lags, operations, [*started("main"), *events], outage=True)
    assert found.loads["main"]["load_generator"]["bottleneck_share"] == 0
    lags = [lag(n, late_ms=500 if n < 4 or n > 10 else 1) for n in range(15)]
    found = check(lags, operations, [*started("main"), *events], outage=True)
    assert len(found.doubts) == 1


def test_nothing_is_known_where_nothing_was_recorded():
    assert check([]).loads["main"]["load_generator"] is None
    assert own_lateness([]) is None


def test_of_another_load_it_is_said_which():
    lags = [lag(n, core=1.0)._replace(load="copy") for n in range(30)]
    copies = [o._replace(load="copy") for o in OPERATIONS]
    found = check(lags, copies, [*started("copy"), *ran("copy", 20, 600)])
    assert found.doubts[0].startswith("of the load copy: ")
    assert found.rows[0][0] == "load copy"


def test_where_nothing_was_injected_there_is_no_other_doubt():
    assert list(check([lag(n, core=1.0) for n in range(30)], outage=True).doubts) == []


def test_one_process_of_several_is_enough():
    """A quarter of the arrivals is late then, and so is the 99th percentile of all."""
    lags = [(k, lag(n, core=0.99 if k == 2 else 0.2)) for n in range(30) for k in range(4)]
    run = history_of(OPERATIONS, 4, EVENTS, more=lags)
    (doubt,) = LoadGenerator().check(run, conditions()).doubts
    assert "in 100% of the seconds" in doubt
    turns = [(k, lag(n, core=0.99 if n % 4 == k else 0.2)) for n in range(30) for k in range(4)]
    run = history_of(OPERATIONS, 4, EVENTS, more=turns)
    assert list(LoadGenerator().check(run, conditions()).doubts) == []


@given(
    st.lists(
        st.tuples(st.floats(0, 300), st.floats(0, 1), st.integers(0, 3)), min_size=1, max_size=40
    )
)
def test_it_is_what_counting_second_by_second_gives(seconds):
    lags = [lag(n, late, core, worker) for n, (late, core, worker) in enumerate(seconds)]
    found = own_lateness(lags).figures
    shares = []
    for worker in {worker for _, _, worker in seconds}:
        its = [o for o in lags if o.writer == worker]
        bound = [o for o in its if o.done - o.due > 100 * MS or o.sequence > 900]
        shares.append(len(bound) / len(its))
    assert found["bottleneck_share"] == pytest.approx(max(shares), abs=0.001)
    assert found["lateness_ms"]["max"] == pytest.approx(max(s[0] for s in seconds), abs=0.06)


def test_the_time_until_the_load_was_steady_does_not_count():
    late = [lag(n, late_ms=500 if n < 1 else 1) for n in range(2)]
    found = check(late, events=[*started("main"), *ran("main", round(RATE), 600)])
    assert found.loads["main"]["load_generator"]["bottleneck_share"] == 0
