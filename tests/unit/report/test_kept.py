"""The runs that a folder keeps, whatever state they are in."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import psutil
import pytest

from chaosaws_kms_ext.history import Process
from chaosaws_kms_ext.report import kept as kept_module
from chaosaws_kms_ext.report.kept import CannotBeRead, find, kept_runs, read_summary
from tests.support.kept import EVIL, keep
from tests.support.synthetic_run import begun

TIMES = ("2026-01-01T000000Z", "2026-01-02T000000Z", "2026-01-03T000000Z")


def test_all_are_listed_the_oldest_first_with_their_summaries(tmp_path, summary):
    keep(tmp_path, summary, TIMES[2])
    keep(tmp_path, summary, TIMES[0], "policy-deny")
    last = keep(tmp_path, summary, TIMES[1])
    (tmp_path / "latest").symlink_to(last)
    (tmp_path / "README.md").write_text("no run")
    (tmp_path / "test" / "kms-disable").mkdir(parents=True)  # another folder of reports
    found = kept_runs(tmp_path)
    assert [(run.experiment, run.time) for run in found] == [
        ("policy-deny", TIMES[0]), ("kms-disable", TIMES[1]), ("kms-disable", TIMES[2]),
    ]  # fmt: skip
    said = json.loads((last / "summary.json").read_text())
    assert found[1].summary == {
        name: its for name, its in said.items() if name not in ("slices", "latency_slices")
    }
    assert read_summary(last) == said


def damaged(path, change):
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


DAMAGES = [
    {"schema": 2}, {"verdict": None}, {"experiment": 3}, {"target": []}, {"started": {}},
    {"lab": {"speed": "60", "profile": "observed"}}, {"lab": {"speed": 60, "profile": 3}},
    {"lab": "x"}, {"lab": {"speed": 10**400, "profile": "x"}}, {"lab": None}, {"target": "aws"},
    {"lab": {"speed": True, "profile": "x"}}, {"target": "moon"},
    {"lab": {"speed": 60, "profile": "x", "faults": 3}},
    {"objectives": {}}, {"objectives": [3]}, {"objectives": [{"name": 3}]},
    {"objectives": [{"name": "rto", "met": "yes"}]}, {"reasons": "none"}, {"reasons": [1]},
    {"cluster": 5}, {"region": {}},
]  # fmt: skip


@pytest.mark.parametrize("change", DAMAGES)
def test_a_summary_that_is_damaged_is_listed_with_the_reason(tmp_path, summary, change):
    folder = keep(tmp_path, summary, TIMES[0])
    damaged(folder / "summary.json", change)
    (run,) = kept_runs(tmp_path)
    assert run.summary is None
    assert "is damaged, or of another version" in run.why_not
    with pytest.raises(CannotBeRead):
        read_summary(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "[" * 100_000, '"\\ud800', "NaN"])
def test_a_summary_that_is_no_json_object_is_listed_with_the_reason(tmp_path, summary, content):
    folder = keep(tmp_path, summary, TIMES[0])
    (folder / "summary.json").write_text(content)
    (run,) = kept_runs(tmp_path)
    assert "summary.json is damaged" in run.why_not


def test_what_is_no_file_is_not_waited_for(tmp_path, summary):
    folder = keep(tmp_path, summary, TIMES[0])
    (folder / "summary.json").unlink()
    os.mkfifo(folder / "summary.json")
    keep(tmp_path, summary, TIMES[1]).joinpath("summary.json").unlink()
    (tmp_path / "kms-disable" / TIMES[1] / "summary.json").mkdir()
    one, other = kept_runs(tmp_path)
    assert "no plain file" in one.why_not
    assert "cannot be read: Is a directory" in other.why_not


def test_one_that_is_larger_than_any_is_not_read(tmp_path, summary, monkeypatch):
    keep(tmp_path, summary, TIMES[0])
    monkeypatch.setattr("chaosaws_kms_ext.files.LARGEST", 1000)
    (run,) = kept_runs(tmp_path)
    assert "larger than 1000 bytes" in run.why_not


def test_a_run_that_was_killed_says_so_and_one_that_goes_on_too(tmp_path):
    _, killed = begun(tmp_path, 20.0)
    (run,) = kept_runs(tmp_path)
    assert run.why_not.startswith("it was killed, and has no summary.json")
    assert f"chaos kms report {killed}" in run.why_not
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        since = psutil.Process(process.pid).create_time() - psutil.boot_time()
        begun(tmp_path, 20.0, process=Process(process.pid, since))
        assert kept_runs(tmp_path)[1].why_not == f"it goes on: its process {process.pid} runs"
        process.kill()


def test_a_folder_that_may_not_be_entered_is_listed_and_hides_no_other(
    tmp_path, summary, monkeypatch
):
    keep(tmp_path, summary, TIMES[0])
    keep(tmp_path, summary, TIMES[1], "theirs")
    inside = kept_module.folders_in

    def refuses(folder):
        if folder.name == "theirs":
            raise PermissionError(13, "Permission denied")
        return inside(folder)

    monkeypatch.setattr(kept_module, "folders_in", refuses)
    monkeypatch.setattr(kept_module.os, "access", lambda path, _: path.name != "theirs")
    one, other = kept_runs(tmp_path)
    assert one.summary is not None
    assert other.why_not.endswith("theirs cannot be read: this user may not enter it")


def test_reasons_are_printable_and_short(tmp_path, summary):
    damaged(keep(tmp_path, summary, TIMES[0]) / "summary.json", {"schema": EVIL * 100_000})
    (run,) = kept_runs(tmp_path)
    assert run.why_not.isprintable()
    assert len(run.why_not) <= 300


def test_a_folder_without_any_run_and_none_at_all(tmp_path):
    assert kept_runs(tmp_path) == []
    with pytest.raises(CannotBeRead, match="is not there: CHAOS_REPORTS_DIR"):
        kept_runs(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotBeRead, match="cannot be read: Not a directory"):
        kept_runs(tmp_path / "file")


# Which run is meant


def test_a_run_is_found_by_its_time_its_experiment_or_its_folder(tmp_path, summary):
    first = keep(tmp_path, summary, TIMES[0])
    newest = keep(tmp_path, summary, TIMES[1])
    other = keep(tmp_path, summary, TIMES[2], "policy-deny")
    for name, folder in [
        (TIMES[0], first), ("kms-disable", newest), (f"kms-disable/{TIMES[0]}", first),
        (str(other), other), ("policy-deny", other),
    ]:  # fmt: skip
        assert find(tmp_path, name) == folder


def test_latest_leads_to_the_folder_itself(tmp_path, summary):
    folder = keep(tmp_path, summary, TIMES[0])
    with pytest.raises(CannotBeRead, match="no run has ended"):
        find(tmp_path, "latest")
    (tmp_path / "latest").symlink_to(folder.relative_to(tmp_path))
    assert find(tmp_path, "latest") == folder


def test_a_time_of_two_runs_is_asked_about(tmp_path, summary):
    keep(tmp_path, summary, TIMES[0])
    keep(tmp_path, summary, TIMES[0], "policy-deny")
    with pytest.raises(CannotBeRead, match=f"name one of kms-disable/{TIMES[0]}, policy-deny/"):
        find(tmp_path, TIMES[0])


@pytest.mark.parametrize("name", ["none", "", "..", "\x00", EVIL, "x" * 5000])
def test_what_is_no_run_is_one_sentence(tmp_path, summary, name):
    keep(tmp_path, summary, TIMES[0])
    with pytest.raises(CannotBeRead, match="lists those that there are") as caught:
        find(tmp_path, name)
    assert str(caught.value).replace(str(tmp_path), "").isprintable()
