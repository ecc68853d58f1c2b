"""CHAOS_NOT_DURING, as the guard finds it."""

from __future__ import annotations

from datetime import UTC, datetime

from chaosaws_kms_ext.guard.not_during import not_during

SUNDAY = datetime(2026, 11, 29, 4, 0, tzinfo=UTC)
WINDOW = "sun:05:00-sun:05:30"


def found(*periods, window=WINDOW, longest=7200.0):
    return not_during(periods, window, longest, SUNDAY)


def test_without_a_period_nothing_is_found():
    assert found() == []


def test_a_run_that_may_reach_into_the_clusters_maintenance_window_is_refused():
    (finding,) = found("maintenance")
    assert finding.state == "refused"
    assert "could take until 2026-11-29 06:00 UTC" in finding.why
    assert "2026-11-29 05:00 to 2026-11-29 05:30 UTC free (maintenance)" in finding.why


def test_a_run_that_is_over_before_is_not():
    (finding,) = found("maintenance", "2026-11-30/2026-12-24", longest=3600)
    assert (finding.about, finding.state) == ("calendar", "ok")


def test_a_freeze_refuses_whatever_else_is_named():
    (finding,) = found("mon:01:00-mon:02:00", "2026-11-01/2026-11-29")
    assert finding.state == "refused"


def test_a_window_that_is_not_known_refuses():
    (finding,) = found("maintenance", window="")
    assert finding.state == "refused"
    assert "is not known" in finding.why
