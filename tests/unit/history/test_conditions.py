"""What a judgement depends on, as it is kept with the records."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from chaosaws_kms_ext.history import CannotBeJudged, Conditions, Process, read_conditions
from chaosaws_kms_ext.settings import Settings

SETTINGS = Settings(
    target="aws", cluster_id="orders", stop_alarms=("a", "b"), lab_faults=({"kind": "x"},), rto=7.5
)


def conditions(**more):
    return Conditions("r", "kms-disable", "2026-11-23T10:00:00.000Z", SETTINGS, "eu-west-1", **more)


def test_they_are_read_as_they_were_written(tmp_path):
    written = conditions(expects_outage=True, objectives={"rto": None, "lost_writes": 2})
    written.write(tmp_path)
    assert asdict(read_conditions(tmp_path)) == asdict(written)
    assert (tmp_path / "run.json").stat().st_mode & 0o077 == 0
    assert {"python", "chaostoolkit", "locust", "psycopg"} <= set(written.versions)


def change(**fields):
    def changed(text):
        return json.dumps({**json.loads(text), **fields})

    return changed


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda text: text[:-20], "cannot be read"),
        (lambda text: "[]", "has the schema None"),
        (change(schema=0), "has the schema 0, and this version reads 2: judge it with the version"),
        (change(schema="1" * 99), "has the schema"),
        (change(settings={"no_setting": 1}), "no setting is called no_setting"),
        (change(more=1), "is damaged"),
        (change(process=None), "is damaged"),
        (change(settings=7), "is damaged"),
    ],
)
def test_what_they_cannot_be_read_from_is_one_sentence(tmp_path, broken, said):
    conditions().write(tmp_path)
    path = tmp_path / "run.json"
    path.write_text(broken(path.read_text()))
    with pytest.raises(CannotBeJudged, match=said) as caught:
        read_conditions(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_them_is_none_of_a_run(tmp_path):
    with pytest.raises(CannotBeJudged, match="is not there: this is no folder of a run"):
        read_conditions(tmp_path)


def test_a_setting_that_is_newer_than_the_run_has_its_default(tmp_path):
    conditions().write(tmp_path)
    path = tmp_path / "run.json"
    said = json.loads(path.read_text())
    del said["settings"]["hold"]
    path.write_text(json.dumps(said))
    assert read_conditions(tmp_path).settings.hold == 600


def test_a_process_is_known_by_its_start_as_well():
    this = Process.this()
    assert this.is_running
    assert Process(this.pid, this.started + 1).is_running  # a clock that is set moves both a little
    assert not Process(this.pid, this.started - 10).is_running
    for wrong in ("x", -1, 1.5, 2**80):
        assert not Process(wrong, 0).is_running
    assert not Process(2**22 + 1, 0).is_running
