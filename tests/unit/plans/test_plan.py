"""A plan's file: what it says, and everything that is wrong with it at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.plans.plan import BadPlan, read

ROOT = Path(__file__).parents[3]
ITEM = '[[item]]\nexperiment = "experiments/kms-disable.json"\n'


def of(tmp_path, text):
    path = tmp_path / "night.toml"
    path.write_text(text)
    return read(path)


def refused(tmp_path, text):
    with pytest.raises(BadPlan) as caught:
        of(tmp_path, text)
    return str(caught.value)


def test_an_item_takes_what_it_does_not_say_from_the_plan(tmp_path):
    plan = of(
        tmp_path,
        """
        pause = 60
        region = "eu-west-1"
        [settings]
        hold = 300
        load_rate = 50.5
        stop_alarms = ["a", "b"]
        [[item]]
        experiment = "one.json"
        [[item]]
        experiment = "two.json"
        name = "second"
        pause = 5
        region = "us-east-1"
        settings = { hold = 600, lab_faults = [{ kind = "flap", cluster = "orders" }] }
        [[item]]
        experiment = "two.json"
        """,
    )
    first, second, third = plan.items
    assert (plan.name, plan.blast_radius, plan.go_on) == ("night", 0, False)
    assert (first.name, first.pause, first.region) == ("one", 0, "eu-west-1")
    assert first.settings == {"hold": "300", "load_rate": "50.5", "stop_alarms": "a,b"}
    assert (second.name, second.pause, second.region) == ("second", 5, "us-east-1")
    assert second.settings["hold"] == "600"
    assert second.settings["lab_faults"] == '[{"kind": "flap", "cluster": "orders"}]'
    assert (third.pause, third.name) == (60, "two")


def test_the_plan_wins_over_the_environment(tmp_path):
    (item,) = of(tmp_path, f'region = "eu-west-1"\n[settings]\ntarget = "lab"\n{ITEM}').items
    env = item.environment({"CHAOS_TARGET": "aws", "AWS_REGION": "us-east-1", "HOME": "/h"})
    assert env["CHAOS_TARGET"] == "lab"
    assert env["AWS_REGION"] == env["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert env["HOME"] == "/h"


def test_the_example_is_a_plan():
    plan = read(ROOT / "experiments" / "plans" / "game-day.toml")
    assert [item.name for item in plan.items] == [
        "encryption-context", "kms-disable", "somebody-else",
    ]  # fmt: skip
    assert all((ROOT / item.experiment).is_file() for item in plan.items)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the plan needs 1 to 100 tables [[item]]"),
        ("item = 3", "the plan needs 1 to 100 tables [[item]]"),
        ("item = [3]", "item 1 is no table"),
        ("[[itm]]\n", "the plan has no 'itm': did you mean item?"),
        (f'name = "a/b"\n{ITEM}', "the plan's name is letters, digits and hyphens, not 'a/b'"),
        (f'name = ".."\n{ITEM}', "the plan's name is"),
        (f"name = 3\n{ITEM}", "the plan's name is"),
        (f"blast_radius = -1\n{ITEM}", "blast_radius is a whole number up to 100000, not -1"),
        (f"blast_radius = true\n{ITEM}", "blast_radius is a whole number up to 100000, not True"),
        (f'go_on = "yes"\n{ITEM}', "go_on is true or false, not 'yes'"),
        (f"pause = -1\n{ITEM}", "the pause of the plan is seconds from 0 to 604800, not -1"),
        (f"pause = nan\n{ITEM}", "the pause of the plan is seconds"),
        (f'{ITEM}region = "Dublin"\n', "the region of item 1 is one as eu-west-1, not 'Dublin'"),
        ("[[item]]\n", "item 1 needs an experiment: the path of a JSON file"),
        ('[[item]]\nexperiment = "\\u001b[31m"\n', "item 1 needs an experiment: the path of a"),
        (f"{ITEM}experment = 1\n", "item 1 has no 'experment': did you mean experiment?"),
        (f'{ITEM}name = "a b"\n', "the name of item 1 is letters, digits and hyphens, not 'a b'"),
        (f"{ITEM}{ITEM}", "two items are called kms-disable: give each a name of its own"),
        (f"{ITEM}settings = 3\n", "the settings of item 1 is a table of settings, not 3"),
        (
            f"{ITEM}settings = {{ CHAOS_HOLD = 3 }}\n",
            "the settings of item 1 has no 'CHAOS_HOLD': did you mean hold?",
        ),
        (f"[settings]\nholt = 3\n{ITEM}", "[settings] has no 'holt': did you mean hold?"),
        (f"[settings]\nhold = true\n{ITEM}", "hold of [settings] is a text, a number or a list"),
        (
            f'{ITEM}settings = {{ reports_dir = "x" }}\n',
            "reports_dir is a setting of the whole plan: put it in its [settings]",
        ),
        (f'[settings]\ncluster_id = "a\\u0000"\n{ITEM}', "has a character that no setting has"),
        ("a = = 3", "night.toml is no TOML: "),
        ("a" * 300, "night.toml is no TOML: "),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, text, why):
    assert why in refused(tmp_path, text)


def test_everything_that_is_wrong_is_said_at_once(tmp_path):
    said = refused(tmp_path, f'pauze = 1\n[settings]\nhoold = 3\n{ITEM}region = "x"\n[[item]]\n')
    assert [each.split()[0] for each in said.split("; ")] == ["the", "[settings]", "the", "item"]


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path):
    with pytest.raises(BadPlan, match="is not there: name the TOML file"):
        read(tmp_path / "no.toml")
    with pytest.raises(BadPlan, match="cannot be read"):
        read(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadPlan, match="is no TOML"):
        read(tmp_path / "bytes.toml")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["name", "go_on", "blast_radius", "pause", "region", "settings", "item"]),
        VALUES,
    )
)
def test_whatever_it_says_it_is_a_plan_or_refused(said):
    from chaosaws_kms_ext.plans import plan

    with pytest.MonkeyPatch.context() as patched, pytest.raises(BadPlan):
        patched.setattr(plan, "_toml", lambda path: said)
        read(Path("x.toml"))
        raise BadPlan  # it was one
