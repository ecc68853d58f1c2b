"""Two runs compared, as a user calls the command: what it says, and its exit status."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from chaosaws_kms_ext.cli import kms
from tests.support.kept import EVIL, a_summary, keep
from tests.support.synthetic_run import begun

TIMES = ("2026-01-01T000000Z", "2026-01-02T000000Z")


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    return a_summary(tmp_path_factory.mktemp("reports"))


def compare(reports, *names):
    return CliRunner().invoke(kms, ["compare", *names], env={"CHAOS_REPORTS_DIR": str(reports)})


def test_runs_that_are_the_same_exit_with_0(tmp_path, summary):
    for time in TIMES:
        keep(tmp_path, summary, time)
    done = compare(tmp_path, *TIMES)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "They do not differ by more than the bounds."


def test_runs_that_differ_exit_with_1_and_say_by_how_much(tmp_path, summary):
    keep(tmp_path, summary, TIMES[0])
    keep(tmp_path, summary, TIMES[1], outage_seconds=summary["outage_seconds"] + 9)
    done = compare(tmp_path, *TIMES)
    assert done.exit_code == 1
    assert "9 s longer: more than the bounds (" in done.output
    assert done.output.splitlines()[-1] == "They differ."
    assert "9 s shorter" in compare(tmp_path, *reversed(TIMES)).output


def test_runs_that_are_not_alike_exit_with_3_and_say_why(tmp_path, summary):
    keep(tmp_path, summary, TIMES[0])
    keep(tmp_path, summary, TIMES[1], lab__speed=300.0)
    done = compare(tmp_path, *TIMES)
    assert done.exit_code == 3
    assert "cannot be compared in figures: not the same lab speed (60 and 300)." in done.output
    assert "outage" not in done.output


@pytest.mark.parametrize("damage", ["{", "", '{"schema": 1}'])
def test_a_run_that_cannot_be_read_exits_with_2(tmp_path, summary, damage):
    keep(tmp_path, summary, TIMES[0])
    (keep(tmp_path, summary, TIMES[1]) / "summary.json").write_text(damage)
    for names in (TIMES, reversed(TIMES), (TIMES[0], "none")):
        done = compare(tmp_path, *names)
        assert done.exit_code == 2
        assert done.output.startswith("Error: ")
        assert len(done.output.splitlines()) == 1


def test_settings_that_are_not_the_same_are_said(tmp_path, summary):
    folders = [begun(tmp_path, rate)[1] for rate in (20.0, 40.0)]
    for folder, time in zip(folders, TIMES, strict=True):
        target = keep(tmp_path / "kept", summary, time)
        target.joinpath("history").rmdir()
        folder.joinpath("history").rename(target / "history")
    done = compare(tmp_path / "kept", *TIMES)
    assert "Not the same: CHAOS_LOAD_RATE: 20 and 40" in done.output


def test_hostile_text_is_not_obeyed(tmp_path, summary):
    keep(tmp_path, summary, TIMES[0])
    keep(tmp_path, summary, TIMES[1], verdict=EVIL * 100_000, cluster=EVIL, recovery_path=EVIL)
    done = compare(tmp_path, *TIMES)
    assert all(line.isprintable() for line in done.output.splitlines())
    assert len(done.output) < 10_000
