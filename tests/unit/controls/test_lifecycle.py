"""What a run needs before its hypothesis is checked: started in order, stopped in reverse."""

from __future__ import annotations

import contextlib
import os

import pytest
from chaoslib.exceptions import InterruptExecution

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.controls import lifecycle
from chaosaws_kms_ext.controls import run as control
from chaosaws_kms_ext.controls.experiment_rules import Asked
from chaosaws_kms_ext.controls.lifecycle import Start, bring_up
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.settings import Settings

EXPERIMENT = {
    "runtime": {
        "hypothesis": {"strategy": "after-method-only"},
        "rollbacks": {"strategy": "always"},
    },
    "method": [],
    "rollbacks": [],
}


def test_what_went_up_goes_down_in_reverse_also_where_a_part_refuses(monkeypatch):
    happened = []

    def part(name, refuses=False):
        @contextlib.contextmanager
        def up(start):
            happened.append(f"{name} up")
            if refuses:
                raise Refused("no")
            yield
            happened.append(f"{name} down")

        return up

    monkeypatch.setattr(lifecycle, "PARTS", (part("a"), part("b"), part("c", True), part("d")))
    stack = contextlib.ExitStack()
    with pytest.raises(Refused):
        bring_up(Start(Run(Settings()), EXPERIMENT, Asked({}, {}), "nothing", None), stack)
    assert happened == ["a up", "b up", "c up"]
    stack.close()
    assert happened[3:] == ["b down", "a down"]


def test_rollbacks_of_a_refused_lab_run_find_the_lab_and_not_aws(monkeypatch, tmp_path):
    """Those of other extensions are played too: they must not have a real account's credentials."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "REALPERSON")
    monkeypatch.setenv("AWS_PROFILE", "prod")
    monkeypatch.setenv("CHAOS_REPORTS_DIR", str(tmp_path))
    monkeypatch.setenv("CHAOS_LAB_FAULTS", '[{"kind": "nonsense"}]')
    try:
        with pytest.raises(InterruptExecution, match="CHAOS_LAB_FAULTS: "):
            control.before_experiment_control(
                context=EXPERIMENT, experiment_name="x", on="nothing", configuration={}
            )
        assert os.environ["AWS_ACCESS_KEY_ID"] != "REALPERSON"
        assert "AWS_PROFILE" not in os.environ
        assert runs.current().lab.running
    finally:
        control.cleanup_control()
    assert os.environ["AWS_ACCESS_KEY_ID"] == "REALPERSON"
