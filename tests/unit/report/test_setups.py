"""Which runs are held against each other, and which never are."""

from __future__ import annotations

import copy

import pytest

from chaosaws_kms_ext.report.setups import lab_of, place_of, setup_of
from chaosaws_kms_ext.settings import Settings

ON_AWS = {"target": "aws", "lab": None, "region": "eu-west-1", "cluster": "orders"}


@pytest.mark.parametrize(
    "changed",
    [
        {"experiment": "policy-deny"}, {"cluster": "billing"}, {"region": "eu-west-2"}, ON_AWS,
        {"lab": {"speed": 300.0, "profile": "observed"}},
        {"lab": {"speed": 60.0, "profile": "documented"}},
        {"lab": {"speed": 60.0, "profile": "observed", "tls": True}},
        {"lab": {"speed": 60.0, "profile": "observed", "faults": [{"kind": "slow"}]}},
        {"lab": {"speed": 60.0, "profile": "observed", "recoverable_for": 1200.0}},
    ],
)  # fmt: skip
def test_another_experiment_place_or_lab_is_another_setup(summary, changed):
    assert setup_of({**summary, **changed}) != setup_of(summary)


def test_figures_and_the_order_of_fields_make_no_other(summary):
    other = copy.deepcopy(summary)
    other["outage_seconds"], other["verdict"] = 1, "failed"
    other["lab"] = {**dict(reversed(other["lab"].items())), "speed": 60}
    assert setup_of(other) == setup_of(summary)


def test_a_place_is_said_in_few_words(summary):
    assert place_of(summary) == "lab observed 60"
    assert place_of({**summary, **ON_AWS}) == "aws orders"
    lab = {"speed": 300.0, "profile": "documented", "tls": True, "faults": [{}, {}]}
    assert place_of({**summary, "lab": lab}) == "lab documented 300 tls 2 misbehaviours"


def test_the_lab_is_what_its_settings_say():
    order = {"kind": "slow"}
    settings = Settings(lab_speed=10.0, lab_tls="yes", lab_faults=(order,))
    assert lab_of(settings) == {
        "speed": 10.0, "profile": "observed", "tls": True, "faults": [order],
    }  # fmt: skip
    assert lab_of(Settings(target="aws")) is None
    assert lab_of(Settings(lab_recoverable_for=1200.0))["recoverable_for"] == 1200.0
