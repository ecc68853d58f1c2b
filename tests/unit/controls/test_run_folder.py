"""The folder of a run: room for it, and the earlier runs that it is held against."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest

from chaosaws_kms_ext.controls.run_folder import MB, earlier_runs, open_folder
from chaosaws_kms_ext.history.earlier import NotWorse
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.settings import Settings
from tests.support.kept import a_summary, keep


@pytest.mark.parametrize(("on", "enough"), [("cluster", False), ("key", True)])
def test_a_run_whose_records_have_no_room_is_refused_before_its_folder_is_made(
    tmp_path, monkeypatch, on, enough
):
    """200 arrivals a second for as long as the limits allow: 5 h 20 min."""
    run = Run(Settings(target="aws", reports_dir=str(tmp_path / "a" / "b")), "full")
    asked = []

    def usage(path):
        asked.append(path)
        return shutil._ntuple_diskusage(2**33, 2**33 - 300 * MB, 300 * MB)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    if enough:
        open_folder(run, on)
        run.close()
    else:
        with pytest.raises(Refused, match=r"room for 300 MB at CHAOS_REPORTS_DIR=.* 455 MB: make"):
            open_folder(run, on)
    assert asked == [tmp_path]
    assert (tmp_path / "a").exists() == enough


def test_a_run_is_held_against_those_whose_summaries_say_that_they_were_alike(tmp_path):
    summary = a_summary(tmp_path / "made")
    reports = tmp_path / "kept"
    changed = {"verdict": "passed", "cluster": "orders", "region": "eu-west-1"}
    folder = keep(reports, summary, "2026-01-01T000000Z", **changed)
    run = Run(Settings(lab_speed=60, reports_dir=str(reports)), "kms-disable")
    run.target = SimpleNamespace(cluster=SimpleNamespace(id="orders"))
    asked = {"rto": NotWorse(1, 20)}
    found = earlier_runs(run, "eu-west-1", asked)["rto"]
    said = json.loads((folder / "summary.json").read_text())
    assert [each.run for each in found.runs] == ["kms-disable/2026-01-01T000000Z"]
    assert found.median == said["objectives"][0]["measured_seconds"]
    assert earlier_runs(run, "eu-west-2", asked)["rto"].runs == []
    assert earlier_runs(run, "eu-west-1", {}) == {}
