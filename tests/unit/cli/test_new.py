"""An experiment that `chaos kms new` writes."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from chaoslib.experiment import ensure_experiment_is_valid
from click.testing import CliRunner

from chaosaws_kms_ext.cli import kms
from chaosaws_kms_ext.controls.experiment_rules import check
from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.settings import Settings, parse

ON_TARGET = sorted(name for name, each in FAULTS.items() if each.on == "target")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments, answers=""):
    return CliRunner().invoke(kms, ["new", *arguments], input=answers)


def written(here, name="our-game-day"):
    return json.loads((here / "experiments" / f"{name}.json").read_text())


@pytest.mark.parametrize("fault", ON_TARGET)
def test_an_experiment_for_every_fault_is_valid_and_keeps_our_rules(here, fault):
    assert call("--fault", fault, answers="\n\n\n").exit_code == 0
    made = written(here)
    ensure_experiment_is_valid(made)
    check(made, made["controls"][0]["provider"]["arguments"]["objectives"], on="cluster")
    settings = parse(made["configuration"], environ={})
    assert settings.rto == 3600
    assert set(made["configuration"]) <= {each.name for each in fields(Settings)}
    assert made["method"][0]["provider"]["arguments"] == {"name": fault}
    assert json.dumps(made).count("deny-rds") == json.dumps(fault).count("deny-rds") * 3


def test_four_questions_are_asked_and_their_answers_are_in_it(here):
    (here / "ours.py").write_text("")
    done = call(answers="mine\nschedule-key-deletion\n7.5\nours.py\n")
    assert done.exit_code == 0
    assert done.output.splitlines()[-1].endswith("# on the lab, unless CHAOS_TARGET=aws")
    made = written(here, "mine")
    assert made["configuration"] == {"load_file": "ours.py", "rto": "450"}
    arguments = made["controls"][0]["provider"]["arguments"]
    assert arguments["experiment_name"] == "mine"


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("--name", "../up", "small letters"),
        ("--name", "", "small letters"),
        ("--name", "A b", "small letters"),
        ("--fault", "put-key-policy", "is not one of"),
        ("--rto", "0", "is not in the range"),
        ("--rto", "nan", "is no number of minutes"),
        ("--rto", "soon", "is not a valid float"),
        ("--load", "none.py", "there is no file none.py"),
    ],
)
def test_an_answer_that_is_wrong_is_said_and_nothing_written(here, option, value, why):
    given = {"--name": "a", "--fault": "disable-key", "--rto": "1", "--load": "", option: value}
    done = call(*(part for each in given.items() for part in each))
    assert done.exit_code == 2
    assert why in done.output
    assert not list(here.iterdir())


def test_a_file_that_is_there_is_left_as_it_is(here):
    (here / "experiments").mkdir()
    (here / "experiments" / "our-game-day.json").write_text("mine")
    done = call(answers="\n\n\n\n")
    assert done.exit_code == 2
    assert "is there already" in done.output
    assert (here / "experiments" / "our-game-day.json").read_text() == "mine"
