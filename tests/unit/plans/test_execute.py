"""What becomes of an item by what its run left, and who may carry out a plan."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from chaosaws_kms_ext.plans.execute import Interruptions, PlanHeld, _verdict, only_plan
from chaosaws_kms_ext.plans.plan import Plan
from chaosaws_kms_ext.plans.state import ItemState

PLAN = Plan("night", Path("night.toml"), (), 0, False)


@pytest.fixture
def item():
    return ItemState("a", "x.json", "", "", {}, "01-a")


def left(tmp_path, **said):
    (tmp_path / "journal.json").write_text(json.dumps({"kms": said} if said else {}))
    return tmp_path


def test_the_verdict_is_that_of_the_journal(tmp_path, item):
    left(tmp_path, verdict="failed", reasons=["why"], run="r", folder="reports/x/1")
    assert _verdict(1, tmp_path, item) == ("failed", ["why"])
    assert (item.run, item.folder) == ("r", "reports/x/1")


@pytest.mark.parametrize(
    ("status", "how"), [(-9, "ended with SIGKILL"), (1, "ended with exit status 1")]
)
def test_a_run_without_a_verdict_failed(tmp_path, item, status, how):
    for _ in (None, left(tmp_path), (tmp_path / "journal.json").write_text("[" * 9999)):
        word, (why,) = _verdict(status, tmp_path, item)
        assert (word, how in why) == ("failed", True)


def test_a_verdict_that_there_is_not_is_none(tmp_path, item):
    left(tmp_path, verdict="\x1b[31mwell", reasons=["why"], run="r", folder=None)
    word, reasons = _verdict(0, tmp_path, item)
    assert (word, reasons[1:]) == ("failed", ["why"])
    assert reasons[0] == r"its verdict is none that there is: \x1b[31mwell"


def test_one_that_says_passed_and_ends_with_1_failed(tmp_path, item):
    left(tmp_path, verdict="passed", reasons=[], run="r", folder=None)
    assert _verdict(0, tmp_path, item) == ("passed", [])
    word, (why,) = _verdict(1, tmp_path, item)
    assert word == "failed"
    assert "ended with exit status 1 all the same" in why


def test_one_plan_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    said = rf"the plan night \(process {os.getpid()}\) is being carried out"
    with only_plan(PLAN), pytest.raises(PlanHeld, match=said), only_plan(PLAN):
        pass
    with only_plan(PLAN):
        pass


def test_signals_are_counted_and_cut_nothing_off():
    interruptions = Interruptions()
    before = signal.getsignal(signal.SIGTERM)
    with interruptions.counted():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert interruptions.names == ["SIGINT", "SIGTERM"]
    assert signal.getsignal(signal.SIGTERM) == before
