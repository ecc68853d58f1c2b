"""A load that nothing should happen to: a run that could not see it must not pass."""

from __future__ import annotations

import json

import pytest

from tests.support.chaos import left, marked
from tests.support.labs import mostly_soak, until

pytestmark = pytest.mark.thorough

CONTROL = {
    "name": "run",
    "provider": {"type": "python", "module": "chaosaws_kms_ext.controls.run"},
}


def experiment(tmp_path, *method, objectives=("missed_arrivals",), on="cluster", **more):
    arguments = {"experiment_name": "spared", "objectives": list(objectives), "on": on}
    whole = {
        "title": "Is nobody disturbed?",
        "description": "A test.",
        "runtime": {
            "hypothesis": {"strategy": "after-method-only"},
            "rollbacks": {"strategy": "always"},
        },
        "controls": [{**CONTROL, "provider": {**CONTROL["provider"], "arguments": arguments}}],
        "steady-state-hypothesis": {
            "title": "The key is enabled",
            "probes": [{**probe("kms", "key_is_enabled"), "tolerance": True}],
        },
        "method": list(method),
        "rollbacks": [],
        **more,
    }
    path = tmp_path / "spared.json"
    path.write_text(json.dumps(whole))
    return path


def probe(package, function, **more):
    module = f"chaosaws_kms_ext.{package}.probes"
    provider = {"type": "python", "module": module, "func": function}
    return {"type": "probe", "name": function.replace("_", "-"), "provider": provider, **more}


def asleep(seconds):
    return {**probe("kms", "key_state"), "name": "look-later", "pauses": {"before": seconds}}


RUN_ON = {
    "type": "action",
    "name": "run-on",
    "provider": {"type": "python", "module": "chaosaws_kms_ext.load.actions", "func": "run_on"},
}


def test_where_nothing_happens_nothing_is_missed(chaos, tmp_path):
    ran = chaos.run(experiment(tmp_path, probe("kms", "key_state", tolerance="Enabled"), RUN_ON))
    assert ran.status == 0, ran.output
    summary = ran.summary
    assert (summary["verdict"], summary["reasons"]) == ("passed", [])
    assert summary["missed_arrivals"] == 0
    assert summary["timeline"]["fault_injected"] is None
    assert (summary["loads"], summary["replacement"], summary["contexts"]) == ({}, None, None)
    assert "load main" in ran.output
    assert left(ran.mark) == []
    # What a run leaves is for nobody else.
    folder = (ran.reports / "latest").resolve()
    found = [folder, *folder.rglob("*"), folder.parent, ran.reports]
    assert len(found) > 8
    assert [path for path in found if path.stat().st_mode & 0o077] == []


def test_a_load_that_is_killed_unseen_is_started_again_and_what_it_did_not_ask_is_no_miss(
    chaos, tmp_path
):
    running = chaos.start_run(experiment(tmp_path, asleep(5)))
    running.until_said("Pausing before next activity")
    (locust,) = [p for p in marked(running.mark) if "locust" in p.info["cmdline"]]
    locust.kill()
    ran = running.wait()
    assert ran.status == 1
    summary = ran.summary
    assert summary["verdict"] == "inconclusive"
    (reason,) = summary["reasons"]
    assert reason.startswith("the load ended by itself and was started again, so for ")
    assert reason.endswith(" s nothing was recorded: it was killed by SIGKILL")
    assert summary["missed_arrivals"] == 0
    assert summary["operations"]["ok"] > 300


@pytest.mark.soak
def test_an_objective_without_a_figure_does_not_pass(chaos, tmp_path):
    names = ["missed_arrivals", "wrong_contexts", "misattributed_calls", "replacement_rto", "rto"]
    ran = chaos.run(experiment(tmp_path, asleep(0.1), on="key", objectives=names))
    assert ran.status == 1
    assert ran.summary["verdict"] == "inconclusive"
    assert ran.summary["reasons"] == [f"objective {name} could not be judged" for name in names]


@pytest.mark.parametrize(
    "tolerance",
    mostly_soak(
        ["Disabled", {"type": "range", "range": [0, 1]}, None], lambda asked: asked == "Disabled"
    ),
)
def test_a_tolerance_of_the_method_that_is_not_met_ends_it(chaos, tmp_path, tolerance):
    step = probe("kms", "key_state", tolerance=tolerance)
    ran = chaos.run(experiment(tmp_path, step, asleep(60), on="key", objectives=()))
    assert ran.status == 1
    assert (ran.summary["verdict"], ran.summary["reasons"]) == (
        "failed",
        ["action key-state returned 'Enabled', and its tolerance is not met"],
    )


@pytest.mark.soak
def test_a_hypothesis_that_does_not_hold_afterwards_fails(chaos, tmp_path):
    hypothesis = {
        "title": "It is away",
        "probes": [{**probe("kms", "key_is_enabled"), "tolerance": False}],
    }
    path = experiment(
        tmp_path, asleep(0.1), on="key", objectives=(), **{"steady-state-hypothesis": hypothesis}
    )
    ran = chaos.run(path)
    assert ran.status == 1
    reasons = ran.summary["reasons"]
    assert reasons == [
        "the steady-state hypothesis did not hold after the method: "
        "key-is-enabled returned True, and its tolerance is not met"
    ]


@pytest.mark.parametrize(
    "hypothesis", mostly_soak([{}, {"title": "Nothing", "probes": []}], lambda asked: asked)
)
def test_a_hypothesis_that_asks_nothing_does_not_pass(chaos, tmp_path, hypothesis):
    path = experiment(
        tmp_path, asleep(0.1), on="key", objectives=(), **{"steady-state-hypothesis": hypothesis}
    )
    ran = chaos.run(path, "--no-validation")
    assert ran.status == 1
    assert ran.summary["reasons"] == ["the steady-state hypothesis was never checked"]


def test_a_rollback_that_fails_does_not_pass(chaos, tmp_path):
    step = probe("kms", "key_state")
    step["provider"]["arguments"] = {"key_id": "alias/nobody"}
    ran = chaos.run(experiment(tmp_path, asleep(0.1), on="key", objectives=(), rollbacks=[step]))
    assert ran.status == 1
    (reason,) = ran.summary["reasons"]
    assert reason.startswith("rollback key-state: kms:DescribeKey failed with NotFoundException")


def test_interrupted_it_is_aborted_and_nothing_is_left(chaos, tmp_path):
    running = chaos.start_run(experiment(tmp_path, asleep(60)))
    running.until_said("Pausing before next activity")
    running.signal(15)
    ran = running.wait()
    assert ran.status != 0
    assert ran.summary["verdict"] == "aborted"
    until(lambda: not left(ran.mark), 10)
