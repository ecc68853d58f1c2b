"""The list of runs, on a terminal and without one."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from chaosaws_kms_ext.report.kept import KeptRun, kept_runs
from chaosaws_kms_ext.report.listing import HEAD, list_runs, rows_of
from tests.support.kept import EVIL, keep


def listed(runs, width=100, terminal=False):
    said = io.StringIO()
    console = Console(file=said, force_terminal=terminal, width=width, highlight=False)
    list_runs(runs, console)
    return said.getvalue()


@pytest.fixture
def runs(tmp_path, summary):
    keep(tmp_path, summary, "2026-01-01T000000Z")
    keep(tmp_path, summary, "2026-01-02T000000Z", "policy-deny", time_to_recovery_seconds=None)
    keep(tmp_path, summary, "2026-01-03T000000Z", verdict=EVIL * 10_000)
    keep(tmp_path, summary, "2026-01-04T000000Z", schema=EVIL)
    return kept_runs(tmp_path)


def test_a_row_has_the_figures_of_the_summary(runs, summary):
    row = dict(zip(HEAD, rows_of(runs[0]), strict=True))
    assert (row["time"], row["experiment"]) == ("2026-01-01T000000Z", "kms-disable")
    assert (row["where"], row["verdict"]) == ("lab observed 60", summary["verdict"])
    assert float(row["recovery s"]) == summary["time_to_recovery_seconds"]
    assert float(row["outage s"]) == summary["outage_seconds"]
    lost = summary["writes"]["lost"]
    assert row["lost"] == ("-" if lost is None else str(lost))
    assert rows_of(runs[1])[4] == "-"


def test_without_a_terminal_each_is_one_plain_line_also_a_damaged_one(runs):
    lines = listed(runs).splitlines()
    assert len(lines) == 5
    assert lines[0].split() == " ".join(HEAD).split()
    assert "is damaged, or of another version: its schema" in lines[4]
    assert all(line.isprintable() for line in lines)
    assert "<script>alert(1)" in lines[3]


def test_on_a_terminal_it_is_as_wide_as_that_and_says_why_a_run_has_no_figures(runs):
    said = listed(runs, 110, terminal=True)
    assert "\x1b[31m</td>" not in said
    assert "no summary" in said
    assert "its schema is" in " ".join(said.split())


def test_a_list_of_damaged_runs_alone_is_one_too(tmp_path):
    said = listed([KeptRun(tmp_path / "x", None, "nobody knows")])
    assert said.splitlines()[1] == f"x     {tmp_path.name}  nobody knows"


def test_a_folder_of_any_name_is_not_obeyed(tmp_path):
    run = KeptRun(tmp_path / "\x1b[2Jx" / "\udcff\n", None, "nobody knows")
    for terminal in (False, True):
        said = listed([run], 200, terminal)
        assert "\x1b[2J" not in said
        assert "\\x1b[2Jx" in said
        said.encode()
