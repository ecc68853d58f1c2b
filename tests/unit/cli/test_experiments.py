"""The experiments that come with the package, as a user lists and copies them."""

from __future__ import annotations

import filecmp
import json
from pathlib import Path

from click.testing import CliRunner

from chaosaws_kms_ext.cli import kms

ROOT = Path(__file__).parents[3]


def call(*arguments):
    return CliRunner().invoke(kms, ["experiments", *arguments])


def test_each_experiment_is_listed_with_its_question():
    lines = call().output.splitlines()
    assert [line.split()[0] for line in lines] == sorted(
        path.stem for path in (ROOT / "experiments").glob("*.json")
    )
    assert all(line.endswith("?") for line in lines)


def test_a_copy_is_what_the_repository_has_and_names_files_that_are_there(tmp_path):
    folder = tmp_path / "a folder"
    done = call("--copy", str(folder))
    assert done.exit_code == 0
    assert f"cd '{folder}'" in done.output
    for kind in ("experiments/*.json", "experiments/plans/*.toml", "probes/*.py"):
        files = sorted(path.relative_to(ROOT) for path in ROOT.glob(kind))
        assert sorted(path.relative_to(folder) for path in folder.glob(kind)) == files
        assert filecmp.cmpfiles(ROOT, folder, files, shallow=False)[0] == files
    for path in (folder / "experiments").glob("*.json"):
        if load := json.loads(path.read_text()).get("configuration", {}).get("load_file"):
            assert (folder / load).is_file()


def test_nothing_is_overwritten_or_copied_by_half(tmp_path):
    (tmp_path / "probes").mkdir()
    mine = tmp_path / "probes" / "query_load.py"
    mine.write_text("mine")
    done = call("--copy", str(tmp_path))
    assert done.exit_code == 2
    assert done.output.startswith(f"Error: {mine} is there already")
    assert mine.read_text() == "mine"
    assert not (tmp_path / "experiments").exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "experiments").write_text("a file")
    done = call("--copy", str(tmp_path))
    assert done.exit_code == 2
    assert len(done.output.splitlines()) == 1
    assert "cannot be written" in done.output
