"""A stored run is printed again, and nothing is written."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from chaosaws_kms_ext.cli import kms
from tests.support.synthetic_run import stored


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = stored(tmp_path_factory.mktemp("reports"), 4000, 200.0, 40)
    CliRunner().invoke(kms, ["report", str(folder)])
    (folder.parents[1] / "latest").symlink_to(f"kms-disable/{folder.name}")
    return folder


def show(folder, *arguments):
    env = {"CHAOS_REPORTS_DIR": str(folder.parents[1])}
    return CliRunner().invoke(kms, ["show", *arguments], env=env)


def files(folder):
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.parents[1].rglob("*")
        if path.is_file()
    }


def test_it_prints_the_table_and_the_timeline_as_report_does(folder):
    done = show(folder)
    assert done.exit_code == 1  # its rows were never read back, so it is no pass
    reported = CliRunner().invoke(kms, ["report", str(folder)])
    assert done.output == reported.output
    assert "verdict  " in done.output
    assert "\nanswered    █" in done.output


def test_nothing_is_written(folder):
    before = files(folder)
    show(folder, folder.name)
    assert files(folder) == before


@pytest.mark.parametrize("name", ["latest", "kms-disable"])
def test_a_run_is_named_in_several_ways(folder, name):
    whole = show(folder, str(folder)).output
    assert show(folder, name).output == whole
    assert show(folder, folder.name).output == whole


def test_what_is_no_run_is_one_sentence(folder):
    done = show(folder, "none")
    assert done.exit_code == 2
    assert done.output.startswith("Error: none is no folder of a run")
    assert len(done.output.splitlines()) == 1


def test_a_verdict_that_is_another_now_is_said_and_hostile_words_are_not_obeyed(folder):
    path = folder / "summary.json"
    kept = path.read_text()
    path.write_text(json.dumps({**json.loads(kept), "verdict": "\x1b[31mpassed"}))
    try:
        said = show(folder).output
    finally:
        path.write_text(kept)
    assert "The verdict was \\x1b[31mpassed, and is inconclusive." in said
    assert "\x1b" not in said
