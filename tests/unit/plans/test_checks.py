"""Whether a plan may be begun, as far as nothing of AWS is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaosaws_kms_ext.plans.checks import Checked, Refusals, _limit, check
from chaosaws_kms_ext.plans.plan import Item, Plan
from chaosaws_kms_ext.settings import Settings

ROOT = Path(__file__).parents[3]
DISABLE = ROOT / "experiments" / "kms-disable.json"


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def plan(*items, blast_radius=0):
    return Plan("p", Path("p.toml"), tuple(items), blast_radius, False)


def item(path=DISABLE, name="a", **settings):
    return Item(name, Path(path), "", 0.0, settings)


def refused(*items):
    with pytest.raises(Refusals) as caught:
        check(plan(*items), {})
    return caught.value.sentences


def test_items_on_the_lab_may_be_run_and_lose_nothing_of_anybody():
    one, other = check(plan(item(), item(name="b", hold="5")), {})
    assert (one.experiment, one.losing, one.settings.target) == ("kms-disable", {}, "lab")
    assert other.settings.hold == 5


def test_each_item_that_would_be_refused_is_named_and_none_is_forgotten(tmp_path):
    other = tmp_path / "other.json"
    other.write_text('{"title": "no control"}')
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    said = refused(
        item(tmp_path / "no.json"), item(name="b", hold="soon"), item(other, "c"),
        item(broken, "d"), item(name="e", cluster_id="orders"), item(name="f", report_files="pdf"),
    )  # fmt: skip
    assert [each.partition(":")[0] for each in said] == ["a", "b", "c", "d", "e", "f"]
    assert said[0].startswith("a: there is no experiment ")
    assert said[1].startswith("b: CHAOS_HOLD must be a number of seconds")
    assert "is no experiment with the control" in said[2]
    assert "is no JSON" in said[3]
    assert "CHAOS_TARGET is lab" in said[4]
    assert "pdf" in said[5]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda its: its.pop("rollbacks"), "its rollbacks must call enable_key"),
        (lambda its: its["runtime"].pop("rollbacks"), "the rollbacks strategy is not set"),
        (lambda its: its["method"][0]["provider"].update(func="no_such"), "is no valid experiment"),
    ],
)
def test_an_experiment_that_its_run_would_refuse_refuses_the_plan(tmp_path, change, why):
    content = json.loads(DISABLE.read_text())
    change(content)
    path = tmp_path / "x.json"
    path.write_text(json.dumps(content))
    (said,) = refused(item(path))
    assert why in said


def test_one_on_aws_without_a_cluster_is_refused_before_aws_is_asked():
    (said,) = refused(item(target="aws"))
    assert "CHAOS_CLUSTER_ID must name the cluster" in said


@pytest.mark.parametrize(
    ("limit", "losing", "together"),
    [
        (0, [{}], None),
        (0, [{"k": 1}], 1),
        (1, [{"k": 1}, {"k": 1}], None),  # the same key twice is one thing
        (2, [{"k": 1}, {"k": 3}], 3),
        (3, [{"k": 1}, {"l": 2}], None),
        (2, [{"k": 1}, {"l": 2}], 3),
    ],
)
def test_one_limit_holds_for_all_that_lose_their_key(limit, losing, together):
    checked = [Checked(item(), Settings(), "x", "c", each) for each in losing]
    said = _limit(plan(item(), blast_radius=limit), checked)
    assert bool(said) is (together is not None)
    if together:
        assert said[0].startswith(f"{together} things would lose their key over the whole plan, ")
        assert f"set it to {together} if that is wanted" in said[0]
