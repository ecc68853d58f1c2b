"""What a watching run is judged by depends on whether a loss is expected."""

from __future__ import annotations

import json
from pathlib import Path

from chaosaws_kms_ext.controls.watching import expected
from chaosaws_kms_ext.settings import Settings

EXPERIMENTS = Path(__file__).parents[3] / "experiments"
ASKED = {"rto": None, "lost_writes": None, "time_to_alarm": 60.0}


def of(name):
    return json.loads((EXPERIMENTS / f"{name}.json").read_text())


def test_where_a_loss_is_expected_everything_is_asked():
    assert expected(of("watch-only"), Settings(), ASKED) == (True, True, ASKED)


def test_where_none_is_expected_every_arrival_has_to_be_answered_instead():
    found = expected(of("watch-only"), Settings(expect_loss="no"), ASKED)
    assert found == (False, True, {"missed_arrivals": None, "lost_writes": None})


def test_a_run_that_injects_a_fault_is_not_affected():
    no = Settings(expect_loss="no")
    assert expected(of("kms-disable"), no, ASKED) == (True, False, ASKED)
    assert expected(of("key-rotation"), no, ASKED) == (False, False, ASKED)
