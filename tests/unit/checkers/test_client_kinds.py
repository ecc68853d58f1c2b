"""Open sessions and new connections, each by its own witness."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers.client_kinds import ClientKinds, failing
from chaosaws_kms_ext.history import MAIN, Operation
from tests.support.histories import ALL_WELL, at, conditions, history, load, ran, started


def a_try(kind, number, outcome="ok", took=1, detail=None, sqlstate=None):
    done = at(number) + took * 1_000_000
    return Operation(
        "main", 0, number, kind, at(number), at(number), done, outcome, sqlstate, detail
    )


def check(*tries):
    events = [*started("main"), *ran("main", 0, 200)]
    return ClientKinds().check(history([*load("main", *ALL_WELL), *tries], events), conditions())


def test_each_kind_has_its_own_times():
    found = check(
        a_try("session", 10),
        a_try("connect", 10),
        a_try("session", 20, "timeout", detail="hang"),
        a_try("session", 60, "lost", detail="reset"),
        a_try("session", 80),
        a_try("connect", 30, "lost", detail="refused"),
        a_try("connect", 40),
    )
    assert found.loads[MAIN]["by_client"] == {
        "open_sessions": [
            {
                "begin": "1970-01-01T00:00:07.501Z",
                "end": "1970-01-01T00:00:11.001Z",
                "seconds": 3.5,
                "saw": {"hang": 1, "reset": 1},
            }
        ],
        "new_connections": [
            {
                "begin": "1970-01-01T00:00:07.501Z",
                "end": "1970-01-01T00:00:09.001Z",
                "seconds": 1.5,
                "saw": {"refused": 1},
            }
        ],
    }
    assert found.rows == [
        (
            "by client",
            "open sessions failed for 3.50 s at most · new connections failed for 1.50 s at most",
        )
    ]


def test_a_time_that_did_not_end_has_no_length():
    found = check(a_try("connect", 10), a_try("connect", 20, "error", sqlstate="57P03"))
    (only,) = found.loads[MAIN]["by_client"]["new_connections"]
    assert (only["end"], only["seconds"], only["saw"]) == (None, None, {"57P03": 1})
    assert found.rows == [("by client", "new connections failed until the end")]


def test_what_the_end_of_the_load_cut_is_no_failure():
    assert check(a_try("session", 10), a_try("session", 20, "aborted")).rows == ()


def test_without_a_load_that_was_steady_nothing_is_known():
    recorded = history(load("main", *ALL_WELL), started("main"))
    assert ClientKinds().check(recorded, conditions()).loads[MAIN]["by_client"] is None


@given(st.lists(st.sampled_from(["ok", "timeout", "lost", "aborted"]), max_size=30))
def test_they_are_the_runs_of_failures(outcomes):
    tries = [a_try("session", number, outcome) for number, outcome in enumerate(outcomes)]
    found = failing(tries, at(0) - 1)
    kept = [o for o in tries if o.outcome != "aborted"]
    runs, run = [], []
    for each in kept:
        if each.outcome == "ok":
            runs += [run] if run else []
            run = []
        else:
            run.append(each)
    runs += [run] if run else []
    assert [sum(each.saw.values()) for each in found] == [len(its) for its in runs]
    for each, its in zip(found, runs, strict=True):
        before = [o.done for o in kept if o.outcome == "ok" and o.done < its[0].done]
        after = [o.done for o in kept if o.outcome == "ok" and o.done > its[-1].done]
        assert each.begin == max(before, default=at(0) - 1)
        assert each.end == min(after, default=None)
