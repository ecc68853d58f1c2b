"""plan.json: what it says at every moment, whoever is killed when."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaosaws_kms_ext.plans.checks import Checked
from chaosaws_kms_ext.plans.plan import Item, Plan
from chaosaws_kms_ext.plans.state import PlanState
from chaosaws_kms_ext.settings import Settings


@pytest.fixture
def state(tmp_path):
    items = tuple(Item(name, Path("x.json"), "", 0, {"hold": "5"}) for name in ("a", "b", "c"))
    plan = Plan("night", Path("night.toml"), items, 0, False)
    return PlanState.begin(plan, [Checked(it, Settings(), "x") for it in items], tmp_path)


def said(state):
    return json.loads((state.folder / "plan.json").read_text())


def states(state):
    return [each["state"] for each in said(state)["items"]]


def test_every_step_is_on_disk_before_the_next(state):
    first, second, _ = state.items
    assert (said(state)["state"], states(state)) == ("running", ["waiting"] * 3)
    assert state.begins(first).is_dir()
    assert states(state) == ["running", "waiting", "waiting"]
    state.ends(first, "passed", [])
    state.begins(second)
    state.ends(second, "failed", ["why"])
    assert states(state) == ["passed", "failed", "waiting"]
    state.end("")
    assert states(state) == ["passed", "failed", "not-run"]
    assert said(state)["state"] == "failed"
    assert said(state)["reasons"] == ["b: failed", "c: not-run"]


def test_an_interrupted_plan_is_aborted_and_one_that_passed_has_no_reasons(state):
    for each in state.items:
        state.ends(each, "passed", [])
    state.end("")
    assert (said(state)["state"], said(state)["reasons"]) == ("passed", [])
    state.end("SIGINT")
    assert (said(state)["state"], said(state)["reasons"]) == (
        "aborted",
        ["the plan was interrupted: SIGINT"],
    )


def test_two_plans_of_one_second_have_a_folder_each(state, tmp_path):
    plan = Plan("night", Path("night.toml"), (), 0, False)
    folders = {PlanState.begin(plan, [], tmp_path).folder for _ in range(3)}
    assert len(folders) == 3
    assert all(each.stat().st_mode & 0o077 == 0 for each in folders)
