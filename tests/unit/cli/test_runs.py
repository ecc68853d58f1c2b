"""The kept runs as a list and as a page: as a user calls the command."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from chaosaws_kms_ext.cli import kms
from tests.support.kept import EVIL, a_summary, keep


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    return a_summary(tmp_path_factory.mktemp("reports"))


def runs(reports, *options):
    return CliRunner().invoke(kms, ["runs", *options], env={"CHAOS_REPORTS_DIR": str(reports)})


def test_it_lists_the_runs_of_the_folder_also_where_no_other_setting_is_right(tmp_path, summary):
    keep(tmp_path, summary, "2026-01-01T000000Z")
    done = CliRunner().invoke(
        kms, ["runs"], env={"CHAOS_REPORTS_DIR": str(tmp_path), "CHAOS_LOAD_RATE": "x"}
    )
    assert done.exit_code == 0
    assert "2026-01-01T000000Z  kms-disable" in done.output
    assert sorted(each.name for each in tmp_path.iterdir()) == ["kms-disable"]


def test_no_run_and_no_folder(tmp_path):
    assert runs(tmp_path).output == f"No run is kept in {tmp_path}.\n"
    done = runs(tmp_path / "none")
    assert done.exit_code == 2
    assert done.output.startswith("Error: ")
    assert len(done.output.splitlines()) == 1


def test_the_page_is_written_for_its_owner_only(tmp_path, summary):
    keep(tmp_path, summary, "2026-01-01T000000Z")
    done = runs(tmp_path, "--html")
    assert done.exit_code == 0, done.output
    assert done.output == f"{tmp_path / 'index.html'}: 1 runs\n"
    assert (tmp_path / "index.html").stat().st_mode & 0o077 == 0
    assert not (tmp_path / "index.new").exists()
    assert runs(tmp_path).output.count("2026-") == 1  # the page is no run


def test_a_page_of_no_run_is_one_too(tmp_path):
    assert runs(tmp_path, "--html").exit_code == 0
    assert "No run is kept here." in (tmp_path / "index.html").read_text()


def test_a_page_that_cannot_be_written_is_one_sentence(tmp_path, summary):
    keep(tmp_path, summary, "2026-01-01T000000Z")
    (tmp_path / "index.html").mkdir()
    done = runs(tmp_path, "--html")
    assert done.exit_code == 2
    assert "index.html cannot be written" in done.output
    assert len(done.output.splitlines()) == 1


def test_hostile_text_reaches_no_terminal(tmp_path, summary):
    keep(tmp_path, summary, "2026-01-01T000000Z", verdict=EVIL, cluster=EVIL, lab__profile=EVIL)
    keep(tmp_path, summary, "2026-01-02T000000Z", schema=EVIL * 10_000)
    done = runs(tmp_path)
    assert done.exit_code == 0
    assert all(line.isprintable() for line in done.output.splitlines())
    assert len(done.output) < 3000
