"""The record of the canaries: written by a run, read back, and damage is said."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosaws_kms_ext.history import Anchor
from chaosaws_kms_ext.history.canaries import CANARIES, CanaryTry, read_canaries
from chaosaws_kms_ext.history.lines import Lines
from chaosaws_kms_ext.history.operations_file import HistoryDamaged
from chaosaws_kms_ext.history.reader import read_history, read_what_is_there
from tests.support.examples import examples

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
TRIES = st.builds(
    CanaryTry, at=st.integers(0, 2**61), seconds=st.floats(0, 100), dependent=TEXT, outcome=TEXT
)
TRY = CanaryTry(5, 0.25, "arn:aws:sqs:r:1:q", "ok")


def written(folder, tries):
    lines = Lines()
    lines.open(folder / CANARIES)
    for each in tries:
        lines.write(each._asdict())
    lines.close()


@settings(max_examples=examples(25))
@given(st.lists(TRIES, max_size=5))
def test_what_is_written_is_what_is_read(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("history")
    written(folder, made)
    assert read_canaries(folder) == made
    assert read_history(folder).canary_tries == made


def test_a_run_without_canaries_has_no_file(tmp_path):
    assert read_canaries(tmp_path) == []


def test_a_line_that_is_torn_off_is_left_out(tmp_path):
    written(tmp_path, [TRY, TRY])
    whole = (tmp_path / CANARIES).read_bytes()
    (tmp_path / CANARIES).write_bytes(whole[:-3])
    assert read_canaries(tmp_path) == [TRY]


@pytest.mark.parametrize(
    "line",
    ["{}", "[]", "no JSON", '{"at": 1}']
    + [
        json.dumps({**TRY._asdict(), **wrong})
        for wrong in (
            {"at": "1"}, {"at": True}, {"at": 2**70}, {"seconds": "1"}, {"seconds": -1},
            {"seconds": float("nan")}, {"dependent": None}, {"outcome": 7}, {"more": 1},
        )
    ],
)  # fmt: skip
def test_damage_is_said_and_nothing_is_judged_of_it(tmp_path, line):
    (tmp_path / CANARIES).write_text(f"{line}\n")
    with pytest.raises(HistoryDamaged, match=f"{CANARIES} is damaged"):
        read_history(tmp_path)
    found, damage = read_what_is_there(tmp_path)
    assert found.canary_tries == []
    assert any("the canaries cannot be read" in why for why in damage)


def test_tries_that_are_missing_are_said(tmp_path):
    written(tmp_path, [TRY])
    details = {"interrupted": False, "by": "", "failures": [], "doubts": [], "canary_tries": 3}
    (tmp_path / "events.jsonl").write_text(
        json.dumps({"schema": 1, "anchor": Anchor.now()._asdict()})
        + "\n"
        + json.dumps({"at": 9, "name": "run-ended", "details": details})
        + "\n"
    )
    _, damage = read_what_is_there(tmp_path)
    assert f"{CANARIES} has 1 of the 3 tries of the canaries" in damage
