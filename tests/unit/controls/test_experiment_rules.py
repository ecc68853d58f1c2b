"""Which experiments may begin at all: on values, nothing is started."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import click
import pytest

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.controls.experiment_rules import (
    MAKERS,
    OPTIONS,
    expects_outage,
    injected,
    injects,
    losses,
)
from chaosaws_kms_ext.controls.lifecycle import begin
from chaosaws_kms_ext.kms.faces import FACES
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.settings import BadSetting

EXPERIMENTS = sorted((Path(__file__).parents[3] / "experiments").glob("*.json"))


@pytest.fixture(autouse=True)
def _no_run_stays():
    yield
    runs.end()


GIVEN = {"inject_fault": {"name": "disable-key"}}
"""Arguments without which an action injects nothing."""


def step(function, **more):
    module = "chaosaws_kms_ext.kms.actions"
    given = GIVEN.get(function, {})
    provider = {"type": "python", "module": module, "func": function, "arguments": given}
    return {"type": "action", "name": function.replace("_", "-"), "provider": provider, **more}


def experiment(method=(), rollbacks=(), hypothesis="after-method-only", rollback="always"):
    return {
        "runtime": {
            "hypothesis": {"strategy": hypothesis},
            "rollbacks": {"strategy": rollback},
        },
        "method": list(method),
        "rollbacks": list(rollbacks),
    }


def begun(its, on="nothing", objectives=(), configuration=None, **options):
    """`options`: of the command line."""
    command = click.Context(click.Command("run"))
    command.params = {OPTIONS[part]: strategy for part, strategy in options.items()}
    with command:
        return begin(its, "x", list(objectives), on, configuration)


def refused(*arguments, **more):
    with pytest.raises(Refused) as caught:
        begun(*arguments, **more)
    said = str(caught.value)
    assert "\n" not in said
    return said


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_of_the_house_may_begin(path):
    its = json.loads(path.read_text())
    (control,) = its["controls"]
    arguments = control["provider"]["arguments"]
    begun(its, arguments.get("on", "cluster"), arguments["objectives"], its.get("configuration"))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_and_none_with_another_strategy_from_the_command_line(path):
    its = json.loads(path.read_text())
    on = its["controls"][0]["provider"]["arguments"].get("on", "cluster")
    own = its["runtime"]["hypothesis"]["strategy"]
    for strategy in ("default", "continuously", "before-method-only", "after-method-only"):
        if strategy != own:
            said = refused(its, on, hypothesis=strategy)
            assert f"the hypothesis strategy is {strategy}, and must be {own}: " in said
    for strategy in ("default", "never", "deviated"):
        said = refused(its, on, rollbacks=strategy)
        assert f"the rollbacks strategy is {strategy}, and must be always: " in said
    begun(its, on, hypothesis=own, rollbacks="always")


@pytest.mark.parametrize("strategy", ["before-method-only", "after-method-only"])
def test_without_a_fault_the_hypothesis_may_come_before_or_after(strategy):
    begun(experiment(hypothesis=strategy), "cluster")
    begun(experiment(hypothesis=strategy), "nothing")


@pytest.mark.parametrize("strategy", ["", "default", "continuously", "during-method-only", "skip"])
def test_every_other_strategy_is_refused(strategy):
    said = refused(experiment(hypothesis=strategy))
    assert f"is {strategy or 'not set'}, and must be before-method-only or after" in said


def test_a_clusters_key_is_taken_away_after_the_gate_only():
    method, rollbacks = [step("disable_key")], [step("enable_key")]
    said = refused(experiment(method, rollbacks), "cluster")
    assert "is after-method-only, and must be before-method-only: " in said
    begun(experiment(method, rollbacks, "before-method-only"), "cluster")


@pytest.mark.parametrize("on", ["key", "nothing"])
def test_a_clusters_key_is_taken_away_only_in_an_experiment_about_it(on):
    """Else there would be no load, no check of the hypothesis and no safeguards."""
    its = experiment([step("disable_key")], [step("enable_key")], "before-method-only")
    assert "its control's argument `on` must be cluster" in refused(its, on)


def test_the_policy_of_a_key_of_ones_own_is_changed_with_a_hypothesis_afterwards():
    its = experiment([step("put_key_policy")], [step("restore_key_policy")])
    assert injects(its)
    begun(its, "nothing")


@pytest.mark.parametrize(("fault", "undo"), [(name, face.undo) for name, face in FACES.items()])
@pytest.mark.parametrize(
    "rollbacks",
    [
        lambda undo: [],
        lambda undo: [step("clean_up")],
        lambda undo: [step(undo, background=True)],
        lambda undo: [{**step(undo), "provider": {"type": "process", "path": undo}}],
        lambda undo: [
            {**step(undo), "provider": {"type": "python", "module": "theirs", "func": undo}}
        ],
    ],
)
def test_a_fault_without_its_undo_among_the_rollbacks_is_refused(fault, undo, rollbacks):
    its = experiment([step(fault)], rollbacks(undo), "before-method-only")
    assert refused(its, "cluster").endswith(f"its rollbacks must call {undo}")


@pytest.mark.parametrize("maker", sorted(MAKERS))
def test_what_makes_something_has_to_be_cleaned_up(maker):
    said = refused(experiment([step(maker)]))
    assert said == f"the experiment calls {maker}: its rollbacks must call clean_up"
    begun(experiment([step(maker)], [step("clean_up")]))


def test_every_action_that_writes_something_down_is_known_as_a_maker():
    """By its document, which says so."""
    from chaosaws_kms_ext.aurora import actions as aurora
    from chaosaws_kms_ext.aurora import point_in_time
    from chaosaws_kms_ext.kms import actions as kms

    makes = {
        name
        for module in (aurora, point_in_time, kms)
        for name in module.__all__
        if name.startswith(("create_", "copy_", "restore_")) and name != "restore_key_policy"
    }
    assert makes == MAKERS


@pytest.mark.parametrize("part", ["method", "rollbacks", "hypothesis"])
def test_what_is_dry_does_not_run_and_is_refused(part):
    its = experiment([step("disable_key")], [step("enable_key")], "before-method-only")
    its["steady-state-hypothesis"] = {"probes": [step("key_is_enabled")]}
    place = {"hypothesis": its["steady-state-hypothesis"]["probes"]}.get(part) or its[part]
    name = place[0]["name"]
    place[0]["dry"] = "activities"
    assert refused(its, "cluster").startswith(f"{name} is dry: ")


@pytest.mark.parametrize(
    "on", ["", "clusters", None, ["cluster"], {"a": 1}, 7, "; ls", "x" * 10_000]
)
def test_what_an_experiment_is_about_is_one_of_three(on):
    said = refused(experiment(), on)
    assert said.startswith("the control's argument `on` must be one of cluster, key, nothing, not ")
    assert len(said) < 200


def test_an_objective_that_there_is_not_is_refused():
    said = refused(experiment(), objectives=["rto", "speed"])
    assert said.startswith("no objective is called speed: there are rto, ")


def test_only_a_run_about_nothing_of_others_needs_no_cluster():
    on_aws = {"target": "aws"}
    begun(experiment(), "nothing", configuration=on_aws)
    for on in ("cluster", "key"):
        with pytest.raises(BadSetting, match="CHAOS_CLUSTER_ID must name the cluster"):
            begun(experiment(), on, configuration=on_aws)


def test_an_experiment_is_not_changed_by_the_question():
    its = experiment([step("create_key")], [step("clean_up")])
    before = copy.deepcopy(its)
    begun(its)
    assert its == before


def test_a_fault_in_the_background_is_refused():
    its = experiment([step("put_key_policy", background=True)], [step("restore_key_policy")])
    assert "in the background" in refused(its)


def test_a_control_that_would_not_be_asked_at_the_end_is_refused():
    its = experiment()
    provider = {"type": "python", "module": "chaosaws_kms_ext.controls.run"}
    its["controls"] = [{"name": "run", "scope": "before", "provider": provider}]
    assert "nobody would judge the run" in refused(its)


def several(*faults, **more):
    its = step("inject_fault", **more)
    its["provider"]["arguments"] = {"faults": list(faults)}
    return its


def test_each_fault_of_a_list_counts_for_the_rules():
    both = several({"name": "disable-key"}, {"name": "deny-rds"})
    its = experiment([both], [step("undo_faults")], "before-method-only")
    assert [each.name for each in injected(its["method"])] == ["disable-key", "deny-rds"]
    begun(its, "cluster")
    assert "`on` must be cluster" in refused(its, "nothing")
    without = experiment([both], [], "before-method-only")
    assert "its rollbacks must call undo_faults" in refused(without, "cluster")
    behind = experiment([{**both, "background": True}], [step("undo_faults")], "before-method-only")
    assert "in the background" in refused(behind, "cluster")


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ([{"name": "disable-key"}, {"name": "disable-key"}], "is twice in one step"),
        ([{"name": "schedule-key-deletion"}, {"name": "disable-key"}], "cannot follow"),
        ([{"name": "disable-key", "arguments": {"days": 7}}], "does not take these arguments"),
        (["disable-key"], "a fault in a list is an object"),
        ([], "`faults` is a list of"),
    ],
)
def test_what_cannot_be_composed_is_refused_before_anything_is_started(faults, said):
    its = experiment([several(*faults)], [step("undo_faults")], "before-method-only")
    assert said in refused(its, "cluster")


@pytest.mark.parametrize("action", ["flap_key", "find_longest_blink"])
def test_a_blink_is_a_fault_of_the_cluster(action):
    its = experiment([step(action)], [step("undo_faults")], "before-method-only")
    assert [each.name for each in injected(its["method"])] == ["disable-key"]
    assert "`on` must be cluster" in refused(its, "nothing")
    its["method"][0]["provider"]["arguments"] = {"fault": "put-key-policy"}
    assert "is one of the run's cluster, not put-key-policy" in refused(its, "cluster")
    its["method"][0]["provider"]["arguments"] = {"fault": "disconnect-key-store"}
    assert "cannot be disconnect-key-store: a key store takes minutes" in refused(its, "cluster")


def test_an_outage_is_expected_of_a_fault_unless_the_control_says_no():
    its = experiment([step("disable_key")], [step("enable_key")], "before-method-only")
    assert begun(its, "cluster").expects_outage
    assert not expects_outage(its, False)
    assert not expects_outage(experiment(), True)
    for wrong in ("false", 0, None, [], "x" * 10_000):
        with pytest.raises(Refused) as caught:
            expects_outage(its, wrong)
        assert "`expects_outage` is true or false, not " in str(caught.value)
        assert len(str(caught.value)) < 150


def watching(*more):
    module = "chaosaws_kms_ext.aurora.probes"
    provider = {"type": "python", "module": module, "func": "wait_until_key_is_taken"}
    wait = {"type": "probe", "name": "wait", "provider": provider}
    return experiment([wait, *more], hypothesis="before-method-only")


def test_an_experiment_that_watches_changes_nothing_itself():
    begun(watching(), on="cluster")
    assert "changes nothing of AWS, and rotate-key may" in refused(
        watching(step("rotate_key")), on="cluster"
    )
    for action in ("flap_key", "lose_secondary_key"):
        its = step(action)
        its["provider"]["module"] = "chaosaws_kms_ext.kms.others"
        assert f"may: leave {action} out" in refused(watching(its), on="cluster")
    undone = watching()
    undone["rollbacks"] = [step("enable_key")]
    assert "enable-key may: leave enable_key out" in refused(undone, on="cluster")
    assert "`on` must be cluster" in refused(watching(), on="key")


def test_an_experiment_that_watches_is_told_by_its_settings_whether_to_expect_a_loss():
    assert not expects_outage(watching(), True)
    with pytest.raises(Refused, match="leave it out, and set CHAOS_EXPECT_LOSS=no"):
        expects_outage(watching(), False)


def test_the_hypothesis_of_one_that_watches_is_checked_before_the_loss():
    its = watching()
    its["runtime"]["hypothesis"]["strategy"] = "after-method-only"
    assert "must be before-method-only" in refused(its, on="cluster")


@pytest.mark.parametrize("func", ["wait_until_terminal", "stays_terminal"])
@pytest.mark.parametrize("part", ["method", "hypothesis", "rollbacks"])
def test_an_experiment_that_loses_its_cluster_for_good_is_refused_on_aws(func, part):
    on_aws = {"target": "aws", "cluster_id": "orders"}
    its = experiment()
    if part == "hypothesis":
        its["steady-state-hypothesis"] = {"title": "x", "probes": [step(func)]}
    else:
        its[part] = [step(func)]
    with pytest.raises(Refused, match="so it runs on the lab only: leave CHAOS_TARGET out"):
        begun(its, configuration=on_aws)
    begun(its)
    begun(experiment(), configuration=on_aws)


def without(of, **more):
    its = step("lose_secondary_key")
    its["provider"]["arguments"] = {"key_of": of, **more}
    return its


def test_the_loss_of_a_secondary_key_takes_a_key_away_and_is_no_outage():
    its = experiment([without("master-secret")], [step("undo_faults")], "before-method-only")
    assert injects(its)
    assert not expects_outage(its)
    begun(its, "cluster")
    its["method"].append(step("disable_key"))
    assert expects_outage(its)


def test_each_loss_names_its_fault_and_its_key():
    steps = [
        several({"name": "deny-rds"}, {"name": "disable-key"}),
        without("master-secret", if_there=True),
        without("activity-stream", fault="deny-rds"),
        step("disable_key"),
        step("read"),
    ]
    assert [(each.fault.name, each.key_of, each.if_there) for each in losses(steps)] == [
        ("deny-rds", "", False),
        ("disable-key", "", False),
        ("disable-key", "master-secret", True),
        ("deny-rds", "activity-stream", False),
        ("disable-key", "", False),
    ]


def test_a_secondary_key_has_to_be_put_back_too():
    its = experiment([without("master-secret")], hypothesis="before-method-only")
    assert "its rollbacks must call undo_faults" in refused(its, "cluster")
    its = experiment(
        [without("master-secret", fault="nothing")], [step("undo_faults")], "before-method-only"
    )
    assert refused(its, "cluster").startswith("there is no fault 'nothing'")
    for arguments, said in (({"days": 7}, "does not take these arguments"), ([], "JSON object")):
        its["method"] = [without("master-secret", arguments=arguments)]
        assert said in refused(its, "cluster")
