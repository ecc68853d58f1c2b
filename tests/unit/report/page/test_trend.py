"""The charts of any setup, and the data that the page fills in."""

from __future__ import annotations

import json

from chaosaws_kms_ext.report.page.trend import CHARTS, Point, charts, data_of, limit_of

NOTHING = {"objectives": []}


def names(said):
    """The names of all models in Bokeh's JSON."""
    if isinstance(said, dict):
        if isinstance(said.get("attributes"), dict) and said["attributes"].get("name"):
            yield said["attributes"]["name"]
        for each in said.values():
            yield from names(each)
    elif isinstance(said, list):
        for each in said:
            yield from names(each)


def test_every_model_that_can_be_hidden_is_there_once():
    found = list(names(json.loads(json.dumps(charts()))))
    hidden = data_of([Point("t", "passed", "./", NOTHING)])["hide"]
    for name in hidden:
        points_of_a_limit = name.startswith("points ") and ": limit" in name
        assert found.count(name) == (0 if points_of_a_limit else 1), name
    assert [f"chart {number}" in hidden for number in range(len(CHARTS))] == [True] * len(CHARTS)
    assert len(found) == len(set(found))


def test_a_point_has_the_shape_of_its_verdict():
    verdicts = ["passed", "failed", "inconclusive", "aborted", "?"]
    points = [Point("t", each, "./", NOTHING) for each in verdicts]
    assert data_of(points)["columns"]["marker"] == [
        "circle", "square_x", "triangle", "diamond", "diamond",
    ]  # fmt: skip


def test_only_what_no_run_has_is_hidden():
    first = Point("1", "passed", "./", {"objectives": [], "outage_seconds": 3.0})
    data = data_of([first, Point("2", "passed", "./", NOTHING)])
    assert data["columns"]["outage_seconds"] == [3.0, None]
    assert "line outage_seconds" not in data["hide"]
    assert "chart 0" not in data["hide"]
    assert {"line time_to_recovery_seconds", "chart 1", "chart 2"} <= set(data["hide"])


def test_a_limit_is_the_one_that_the_run_was_held_to():
    summary = {
        "objectives": [
            {"name": "rto", "limit_seconds": 60.0, "limit_aws_seconds": 3600.0},
            {"name": "rto_against_earlier", "limit_seconds": 44.5},
            {"name": "lost_writes", "limit": 0},
            {"name": "lost_service", "limit_seconds": None},
        ]
    }
    assert limit_of(summary, "rto") == 60.0
    assert limit_of(summary, "lost_writes") == 0
    assert limit_of(summary, "lost_service") is None
    assert limit_of(summary, "availability") is None
    columns = data_of([Point("t", "passed", "./", summary)])["columns"]
    assert columns["time_to_recovery_seconds: limit against earlier runs"] == [44.5]
