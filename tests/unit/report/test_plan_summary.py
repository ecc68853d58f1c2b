"""The figures of a plan's item: those of the trend, and none of a run that left nothing."""

from __future__ import annotations

from chaosaws_kms_ext.report.figures import FIGURES
from chaosaws_kms_ext.report.plan_summary import figures


def test_every_figure_of_the_trend_is_there_known_or_not():
    assert list(figures()) == [each.name for each in FIGURES]
    assert set(figures().values()) == {None}
    known = figures({"outage_seconds": 5.5, "writes": {"lost": 0}})
    assert (known["outage_seconds"], known["writes.lost"]) == (5.5, 0)
    assert known["time_to_recovery_seconds"] is None
