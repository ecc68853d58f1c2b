"""Earlier runs, as run.json keeps them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.history import read_conditions
from chaosaws_kms_ext.history.conditions import CannotBeJudged
from chaosaws_kms_ext.history.earlier import Earlier, EarlierRun, NotWorse
from tests.support.synthetic_run import begun

FIGURES = st.lists(st.floats(0, 1e6), max_size=9)


def earlier(*figures, last=3, percent=20.0):
    runs = [EarlierRun(f"x/{number}", value) for number, value in enumerate(figures)]
    return Earlier(NotWorse(last, percent), runs)


@given(FIGURES, st.integers(1, 9))
def test_the_median_has_as_many_at_either_side_and_needs_as_many_runs_as_were_asked_for(
    figures, last
):
    found = earlier(*figures[:last], last=last).median
    if len(figures) < last:
        assert found is None
    else:
        its = figures[:last]
        assert sum(each <= found for each in its) * 2 >= last
        assert sum(each >= found for each in its) * 2 >= last


@given(FIGURES)
def test_what_is_written_down_is_read_again(figures):
    its = earlier(*figures, last=9)
    assert Earlier.of_json(json.loads(json.dumps(its.as_json()))) == its


def test_conditions_keep_them(tmp_path):
    _, folder = begun(tmp_path, 20.0)
    path = folder / "history" / "run.json"
    assert read_conditions(folder / "history").earlier == {}
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "earlier": {"rto": earlier(1, 2, 3).as_json()}}))
    assert read_conditions(folder / "history").earlier == {"rto": earlier(1, 2, 3)}
    del said["earlier"]  # a run of before
    path.write_text(json.dumps(said))
    assert read_conditions(folder / "history").earlier == {}


@pytest.mark.parametrize(
    "change",
    [
        {"last": 0}, {"last": True}, {"last": "3"}, {"percent": "20"}, {"percent": float("nan")},
        {"median": 9}, {"median": None}, {"runs": [{"run": "x"}]}, {"runs": 3}, {"runs": [3]},
        {"runs": [{"run": "x", "measured": "1"}]}, {"last": 2}, {"runs": []},
    ],
)  # fmt: skip
def test_what_somebody_changed_is_not_judged(tmp_path, change):
    _, folder = begun(tmp_path, 20.0)
    path = folder / "history" / "run.json"
    said = json.loads(path.read_text())
    its = {**earlier(1, 2, 3).as_json(), **change}
    path.write_text(json.dumps({**said, "earlier": {"rto": its}}))
    with pytest.raises(CannotBeJudged, match="is damaged, or was recorded by another version"):
        read_conditions(folder / "history")
