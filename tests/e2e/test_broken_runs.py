"""A run whose files are damaged or missing: what is left is shown, and what is not is said; nothing
passes, and there is no traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from chaosaws_kms_ext.history import EventName
from tests.support.damages import DAMAGES, NOT_SEEN, inputs_of
from tests.support.small_run import stored
from tests.support.synthetic_run import note
from tests.support.told import ask_for, check, made_files, report

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that passes."""
    folder = stored(tmp_path_factory.mktemp("reports"))
    (path,) = (folder / "history").glob("operations-*")
    path.rename(path.with_name("operations-main-1.arrows"))
    ran = report(folder)
    assert (ran.exit_code, json.loads((folder / "summary.json").read_text())["reasons"]) == (0, [])
    for name in made_files():
        (folder / name).unlink()
    return folder


WITH_A_PAGE = ("removed",)
"""A page takes longer than all else together."""


NAMES = (
    "run.json", "events.jsonl", "aws-calls.jsonl", "operations-main-1.arrows", "rows-main.arrows",
    "journal.json",
)  # fmt: skip


def test_each_file_that_a_run_is_judged_from_is_damaged_here(whole):
    assert sorted(NAMES) == sorted(path.name for path in inputs_of(whole))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_damaged_is_said_and_nothing_passes(whole, tmp_path, name, damage):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (path,) = [each for each in inputs_of(folder) if each.name == name]
    if damage not in WITH_A_PAGE:
        ask_for(folder, "md", "junit", "metrics")
    DAMAGES[damage](path)
    ran = report(folder)
    if (name, damage) in NOT_SEEN:
        assert ran.exit_code == 0
        return
    if name == "run.json":  # without the conditions nothing can be judged
        assert ran.exit_code == 2
        assert len(ran.output.splitlines()) == 1
        assert "run.json" in ran.output
        assert not (folder / "summary.json").exists()
        return
    reasons = check(folder, ran)
    gone = "the run did not record its end: it was killed, or its last records are gone"
    about = {
        "events.jsonl": ("events.jsonl", "happened", gone),
        "aws-calls.jsonl": ("aws-calls.jsonl",),
        "operations-main-1.arrows": ("operations-main-1.arrows", "of the load main"),
        "rows-main.arrows": ("rows-main.arrows", "the rows could not be read back"),
        "journal.json": ("journal.json",),
    }
    assert any(each in reason for each in about[name] for reason in reasons), reasons


def test_a_load_that_is_damaged_leaves_the_figures_of_the_others(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    history = folder / "history"
    other = history / "operations-copy-1.arrows"
    note(folder, 1, EventName.LOAD_STEADY, load="copy")
    other.write_bytes(b"\xff" * 100)
    reasons = check(folder, report(folder))
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["outage_seconds"] > 1
    assert any("of the load copy cannot be read: operations-copy-1" in each for each in reasons)
    other.unlink()
    reasons = check(folder, report(folder))
    assert "no file has anything that was recorded of the load copy" in reasons


def test_a_record_under_the_name_of_another_load_is_said(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    main = folder / "history" / "operations-main-1.arrows"
    shutil.copy(main, main.with_name("operations-copy-1.arrows"))
    reasons = check(folder, report(folder))
    assert any("operations-copy-1.arrows is of another load" in each for each in reasons)


def test_events_before_the_damage_are_shown(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    path = folder / "history" / "events.jsonl"
    lines = path.read_text().splitlines()
    (at,) = [n for n, line in enumerate(lines) if EventName.PUT_BACK in line]
    lines[at] = '{"at": "x"'
    path.write_text("\n".join(lines) + "\n")
    reasons = check(folder, report(folder))
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["timeline"]["fault_injected"]
    assert summary["timeline"]["put_back"] is None
    assert any(f"from its line {at + 1} of {len(lines)} on" in each for each in reasons)


@pytest.mark.parametrize(
    "journal",
    [
        [],
        {"run": 7},
        {"run": [7]},
        {"run": [{"activity": "x"}]},
        {"run": [{"activity": {"name": 7}, "duration": "long"}]},
        {"rollbacks": [{"activity": {}, "exception": "x"}]},
        {"run": {"a": 1}},
    ],
)
def test_a_journal_that_is_none_is_said(whole, tmp_path, journal):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    ask_for(folder, "md", "junit", "metrics")
    (folder / "journal.json").write_text(json.dumps(journal))
    assert "journal.json is damaged: what became of each step is not known" in check(
        folder, report(folder)
    )


@pytest.mark.parametrize("what", ["empty", "file", "gone"])
def test_where_there_is_no_run_is_one_sentence(tmp_path, what):
    folder = tmp_path / "run"
    if what == "empty":
        (folder / "history").mkdir(parents=True)
    elif what == "file":
        folder.write_text("x")
    ran = report(folder)
    assert ran.exit_code == 2
    assert len(ran.output.splitlines()) == 1


def test_a_report_is_not_written_where_nobody_may_and_that_is_said(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / "summary.new").mkdir()  # where it is written at first
    ran = report(folder)
    assert ran.exit_code == 2
    assert "the summary could not be written" in ran.output
    assert isinstance(ran.exception, SystemExit)


def test_the_list_of_damages_damages(tmp_path):
    for name, damage in DAMAGES.items():
        path = Path(tmp_path / name)
        path.write_bytes(bytes(range(256)) * 40)
        before = path.read_bytes()
        damage(path)
        assert not path.is_file() or path.read_bytes() != before, name
