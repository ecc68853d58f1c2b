"""Figures are read from a summary as they stand there, and nothing else is taken for one."""

from __future__ import annotations

import json

import pytest

from chaosaws_kms_ext.report.figures import FIGURES, exact, lost_writes, number_at

AT = {
    "time_to_recovery_seconds": ("time_to_recovery_seconds",),
    "outage_seconds": ("outage_seconds",),
    "lost_service_seconds": ("lost_service_seconds",),
    "time_to_know.status": ("time_to_know", "status", "seconds"),
    "time_to_know.health_check": ("time_to_know", "health_check", "seconds"),
    "writes.lost": ("writes", "lost"),
}


def test_each_is_the_one_of_the_summary(summary):
    found = {each.name: each.read(summary) for each in FIGURES}
    for name, path in AT.items():
        said = summary
        for part in path:
            said = (said or {}).get(part)
        assert found[name] == said, name
    assert found["time_to_recovery_seconds"] is not None
    assert found["outage_seconds"] is not None


@pytest.mark.parametrize(
    "value", [None, "1", True, [], {}, float("nan"), float("inf"), 10**400, -(10**16)]
)
def test_what_is_no_number_is_none(value):
    assert number_at({"a": {"b": value}}, "a", "b") is None
    assert number_at({"a": value}, "a", "b") is None


def test_lost_writes_are_those_of_all_loads():
    loads = {"other": {"writes": {"lost": 2}}, "reader": {"writes": None}}
    assert lost_writes({"writes": {"lost": 1}, "loads": loads}) == 3
    assert lost_writes({"writes": {"lost": None}, "loads": loads}) is None
    assert lost_writes({"writes": None}) is None
    assert lost_writes({"writes": {"lost": 1}, "loads": [3]}) == 1


@pytest.mark.parametrize("value", [0, 38.073, 12345.678, 0.1, 5e-324, 1e300, 99999])
def test_a_figure_is_shown_as_it_is(value):
    assert float(exact(value)) == pytest.approx(value, rel=1e-14)
    assert json.loads(exact(38.073)) == 38.073
    assert exact(None) == "-"
