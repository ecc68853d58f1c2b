"""Each experiment fails on a lab that breaks its promise, and says what was wrong.

That each passes on a lab that behaves is shown by `pytest experiments/`.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.support.broken_promises import BROKEN
from tests.support.chaos import ROOT
from tests.support.chaos_runs import experiment


def test_every_experiment_has_a_misbehaviour_that_breaks_its_promise():
    assert set(BROKEN) == {path.stem for path in (ROOT / "experiments").glob("*.json")}


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", BROKEN)
def test_it_fails_when_its_promise_is_broken_and_says_so(chaos, name):
    broken = BROKEN[name]
    env = {"CHAOS_LAB_FAULTS": json.dumps([broken.order]), **broken.env}
    ran = chaos.run(experiment(name), **env)
    assert ran.status == 1, ran.output
    assert "Traceback" not in ran.output
    assert ran.summary["verdict"] == broken.verdict, ran.output
    reasons = ran.summary["reasons"]
    assert any(re.search(broken.reason, each) for each in reasons), reasons
