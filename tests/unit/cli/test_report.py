"""A stored run is judged again from its folder: the same; and what a killed run has left."""

from __future__ import annotations

import json
import subprocess
import sys

import psutil
import pytest
from click.testing import CliRunner

from chaosaws_kms_ext.cli import kms
from chaosaws_kms_ext.history import (
    Anchor,
    CannotBeJudged,
    Event,
    EventName,
    Process,
)
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.report.files import FILES
from chaosaws_kms_ext.report.summary import judge_again
from chaosaws_kms_ext.report.verdict import Course
from tests.support.histories import at
from tests.support.small_run import stored
from tests.support.synthetic_run import KEY
from tests.support.told import ask_for


def test_it_is_the_same_every_time(tmp_path):
    folder = stored(tmp_path)
    once = judge_again(folder)
    assert once.verdict.passed, once.verdict.reasons
    assert once.summary["time_to_recovery_seconds"] is not None
    assert once.as_text() == judge_again(folder).as_text()


def test_what_the_run_said_of_its_course_counts(tmp_path):
    course = Course(failures=("rollback x: no",), doubts=("nobody knows",))
    judgement = judge_again(stored(tmp_path, ended=course))
    assert (judgement.verdict.word, judgement.verdict.reasons) == (
        "failed",
        ("rollback x: no", "nobody knows"),
    )
    course = Course(interrupted=True, by="SIGTERM")
    judgement = judge_again(stored(tmp_path, ended=course))
    assert judgement.verdict.reasons == ("the run was interrupted: SIGTERM",)


def test_a_run_that_was_killed_with_the_key_away_is_aborted_and_says_what_is_missing(tmp_path):
    judgement = judge_again(stored(tmp_path, until=EventName.STATUS))
    assert judgement.verdict.word == "aborted"
    reasons = judgement.verdict.reasons
    assert reasons[:2] == (
        "the run did not record its end: it was killed, or its last records are gone",
        f"the records do not show that the key {KEY} was put back: `chaos kms restore` does it, if "
        "nobody has",
    )
    assert "the outage could not be measured: the database did not answer again" in reasons
    assert "lost writes could not be counted: the rows could not be read back" in reasons
    assert judgement.summary["ended"] is None
    assert judgement.summary["time_to_inaccessible_seconds"] is not None
    assert judgement.summary["time_to_recovery_seconds"] is None


def test_a_run_that_was_killed_after_it_put_the_key_back_does_not_call_for_that(tmp_path):
    judgement = judge_again(stored(tmp_path, until=EventName.PUT_BACK))
    assert judgement.verdict.word == "aborted"
    assert not [why for why in judgement.verdict.reasons if "do not show that the key" in why]


def test_a_run_that_goes_on_is_not_judged(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        runs = Process(process.pid, psutil.Process(process.pid).create_time() - psutil.boot_time())
        folder = stored(tmp_path, until=EventName.STATUS, process=runs)
        with pytest.raises(CannotBeJudged, match=f"has not ended: its process {process.pid} runs"):
            judge_again(folder)
        process.kill()
    assert judge_again(folder).verdict.word == "aborted"


def test_damaged_records_are_a_reason_and_no_figures(tmp_path):
    folder = stored(tmp_path)
    (path,) = (folder / "history").glob("operations-main-*.arrows")
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4] ^= 255  # in the rows
    path.write_bytes(content)
    judgement = judge_again(folder)
    assert judgement.verdict.word == "inconclusive"
    said = [why for why in judgement.verdict.reasons if "cannot be read: operations-main-" in why]
    assert len(said) == 1
    assert judgement.summary["outage_seconds"] is None


def test_an_objective_that_there_is_no_more_is_one_sentence(tmp_path):
    with pytest.raises(CannotBeJudged, match="the objective speed, which is not here"):
        judge_again(stored(tmp_path, objectives=("rto", "speed")))


# The command


def report(*arguments):
    return CliRunner().invoke(kms, ["report", *map(str, arguments)])


def test_the_command_writes_the_summary_and_exits_as_the_verdict_says(tmp_path):
    folder = stored(tmp_path)
    ran = report(folder)
    assert ran.exit_code == 0, ran.output
    assert "verdict" in ran.output
    assert "passed" in ran.output
    assert (folder / "summary.json").read_text() == judge_again(folder).as_text()
    assert (folder / "summary.json").stat().st_mode & 0o077 == 0
    killed = report(stored(tmp_path, until=EventName.STATUS))
    assert killed.exit_code == 1
    assert "aborted" in killed.output


def without_a_page(folder):
    """The same run, whose report has no page: a page takes longer than all else together."""
    ask_for(folder, "md")
    return folder


def test_a_verdict_that_is_another_now_is_said(tmp_path):
    folder = without_a_page(stored(tmp_path))
    assert "The verdict was" not in report(folder).output
    (folder / "summary.json").write_text('{"verdict": "failed"}')
    assert "The verdict was failed, and is passed." in report(folder).output
    assert "The verdict was" not in report(folder).output


def test_without_a_folder_it_is_the_newest_of_the_reports(tmp_path, monkeypatch):
    folder = without_a_page(stored(tmp_path))
    (tmp_path / "latest").symlink_to(folder)
    monkeypatch.setenv("CHAOS_REPORTS_DIR", str(tmp_path))
    assert report().exit_code == 0


def test_the_second_fault_that_was_not_put_back_is_said_too(tmp_path):
    folder = stored(tmp_path, until=EventName.PUT_BACK)
    path = folder / "history" / "events.jsonl"
    again = {"at": at(170), "name": "fault-injected", "details": {"key": KEY, "fault": "x"}}
    path.write_text(path.read_text() + json.dumps(again) + "\n")
    reasons = judge_again(folder).verdict.reasons
    assert reasons[1].startswith(f"the records do not show that the key {KEY} was put back")


def test_what_is_no_run_is_one_sentence(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        ran = report(folder)
        assert ran.exit_code == 2
        assert ran.output.startswith("Error: ")
        assert len(ran.output.splitlines()) == 1


def test_an_older_run_is_refused_in_one_sentence(tmp_path):
    folder = stored(tmp_path)
    path = folder / "history" / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 0}))
    ran = report(folder)
    assert ran.exit_code == 2
    assert "has the schema 0, and this version reads 2" in ran.output
    assert not (folder / "summary.json").exists()


DAMAGES = {
    "run.json": [
        lambda said: {**said, "settings": []},
        lambda said: {**said, "objectives": [[1]]},
        lambda said: {**said, "expects_outage": "yes"},
        lambda said: {**said, "experiment": "\ud800"},
        *(
            lambda said, name=name, value=value: {
                **said, "settings": {**said["settings"], name: value}
            }
            for name, value in [
                ("lab_speed", 0), ("lab_speed", "60"), ("rto", "x"), ("rto", True),
                ("lab_faults", 3), ("load_users", 1.5), ("rto", float("inf")), ("target", None),
            ]
        ),
    ],
    "ended": [
        lambda said: {**said, "details": {}},
        lambda said: {**said, "details": {**said["details"], "failures": None}},
        lambda said: {**said, "details": 7},
        lambda said: {**said, "at": "x"},
        lambda said: {**said, "at": 2**70},
        lambda said: {**said, "name": None},
    ],
}  # fmt: skip


@pytest.mark.parametrize("change", DAMAGES["run.json"])
def test_conditions_that_are_damaged_are_one_sentence(tmp_path, change):
    folder = stored(tmp_path)
    path = folder / "history" / "run.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    ran = report(folder)
    assert ran.exit_code == 2, ran.output
    assert len(ran.output.splitlines()) == 1


@pytest.mark.parametrize("change", DAMAGES["ended"])
def test_events_that_are_damaged_never_pass_and_are_no_traceback(tmp_path, change):
    folder = without_a_page(stored(tmp_path))
    path = folder / "history" / "events.jsonl"
    *before, last = path.read_text().splitlines()
    path.write_text("\n".join([*before, json.dumps(change(json.loads(last)))]) + "\n")
    ran = report(folder)
    assert ran.exit_code in (1, 2)
    assert isinstance(ran.exception, SystemExit)


@pytest.mark.parametrize("name", ["run.json", "events.jsonl"])
def test_json_that_is_too_deep_is_no_traceback(tmp_path, name):
    folder = without_a_page(stored(tmp_path))
    (path,) = (folder / "history").glob(f"{name}*")
    path.write_text(path.read_text() + "[" * 100_000 + "\n")
    ran = report(folder)
    assert ran.exit_code in (1, 2)
    assert isinstance(ran.exception, SystemExit)


def test_a_run_that_was_killed_before_aws_had_answered_says_that_the_key_may_be_away(tmp_path):
    folder = stored(tmp_path, until=EventName.LOAD_STEADY)
    path = folder / "history" / "events.jsonl"
    opened = {"at": at(80), "name": "journal-opened", "details": {"key": KEY, "entry": "x"}}
    path.write_text(path.read_text() + json.dumps(opened) + "\n")
    assert judge_again(folder).verdict.reasons[1].startswith("the records do not show that the key")


def test_judging_changes_no_record(tmp_path):
    folder = stored(tmp_path)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    report(folder)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for name in ("summary.json", *(name for name, _ in FILES.values())):
        del after[folder / name]
    assert after == before


def test_a_course_is_told_whole():
    course = Course(interrupted=True, by="x", failures=("a", "b"), doubts=("c",))
    ended = Event(1, EventName.ENDED, json.loads(json.dumps(course.details())))
    assert Course.of(History({}, [ended], {}, Anchor(0, 0))) == course
