"""Whatever an activity is given in place of a name: one sentence, and nothing is changed."""

from __future__ import annotations

import json
from functools import partial, update_wrapper

import pytest
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.aurora import actions as aurora_actions
from chaosaws_kms_ext.aurora import probes as aurora_probes
from chaosaws_kms_ext.kms import actions as kms_actions
from chaosaws_kms_ext.kms import probes as kms_probes
from chaosaws_kms_ext.load import actions as load_actions
from chaosaws_kms_ext.load import probes as load_probes
from tests.support.labs import mostly_soak

pytestmark = pytest.mark.common_lab


def of(activity, **given):
    """An activity with its other arguments."""
    return update_wrapper(partial(activity, **given), activity)


TABLE = {"table": "users"}
OF_A_CLUSTER = [
    kms_actions.disable_key,
    aurora_actions.start_cluster,
    aurora_probes.encryption_state,
    aurora_probes.cluster_is_available,
    aurora_probes.cluster_is_inaccessible,
    load_actions.start_load,
    load_probes.first_answer,
    of(load_probes.rows_unchanged, **TABLE, checksum="0" * 32),
    of(load_probes.table_checksum, **TABLE),
]
OF_A_KEY = [
    kms_actions.disable_key,
    kms_probes.key_state,
    kms_probes.key_is_enabled,
    of(kms_actions.put_key_policy, policy={"Version": "2012-10-17", "Statement": []}),
    of(kms_probes.rotation_is_listed, date="2026-11-24T12:00:00+00:00"),
    aurora_actions.create_is_refused,
]

NO_NAMES = [
    "nobody",
    "$(reboot)",
    "; rm -rf /",
    "..",
    "../../orders",
    "orders\n",
    "\0",
    "🔑",
    " ",
    "x" * 2049,
    "x" * 10_000_000,
    ["orders"],
    {"id": "orders"},
    7,
    True,
]
OFTEN = ["nobody", "orders\n", "x" * 2049, {"id": "orders"}]
"""What `make test` gives every activity; `make soak` gives all."""
OTHER_CLUSTERS = [
    "arn:aws:rds:eu-west-1:999999999999:cluster:orders",
    "arn:aws:rds:us-east-1:123456789012:cluster:orders",
    "arn:aws-cn:rds:eu-west-1:123456789012:cluster:orders",
]
OTHER_KEYS = [
    "arn:aws:kms:eu-west-1:999999999999:alias/orders",
    "arn:aws:kms:us-east-1:123456789012:alias/orders",
]


@pytest.fixture
def settings(lab, monkeypatch):
    """This process is on a lab that plays AWS, by configuration alone; nothing may change it."""
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
    runs.end()
    before = changes(lab)
    yield {"target": "aws", "cluster_id": "orders"}
    assert changes(lab) == before
    runs.end()


def changes(lab):
    """Every call so far that was no look, and was not refused."""
    calls = [json.loads(line) for line in lab.requests.read_text().splitlines()]
    looks = ("Describe", "Get", "List", "Simulate")
    return [
        each["operation"]
        for each in calls
        if not each["operation"].startswith(looks) and each["status"] < 400
    ]


def one_sentence(activity, **arguments):
    with pytest.raises(ActivityFailed) as failed:
        activity(**arguments)
    said = str(failed.value)
    assert 10 < len(said) < 5000
    assert "\n" not in said
    return said


@pytest.mark.parametrize("activity", OF_A_CLUSTER, ids=lambda a: a.__name__)
@pytest.mark.parametrize(
    "name",
    mostly_soak([*NO_NAMES, *OTHER_CLUSTERS], lambda n: n in [*OFTEN, OTHER_CLUSTERS[0]]),
    ids=lambda n: repr(n)[:40],
)
def test_what_names_no_cluster_of_ours_is_one_sentence(settings, activity, name):
    one_sentence(activity, cluster_id=name, configuration=settings)


@pytest.mark.parametrize(
    "activity",
    [
        load_probes.first_answer,
        aurora_actions.delete_cluster,
        of(aurora_probes.encrypted_under, key_id="alias/orders"),
    ],
    ids=lambda a: a.__name__,
)
def test_an_empty_name_is_not_whatever_cluster_there_is(settings, activity):
    said = one_sentence(activity, cluster_id="", configuration=settings)
    assert said == "RDS was not asked: the name is empty"


@pytest.mark.parametrize("name", ["", "orders"])
def test_a_table_is_not_compared_with_itself(settings, name):
    said = one_sentence(load_probes.rows_equal, **TABLE, cluster_id=name, configuration=settings)
    assert said == "two clusters must be named: a table always equals itself"


@pytest.mark.parametrize("activity", OF_A_KEY, ids=lambda a: a.__name__)
@pytest.mark.parametrize(
    "name",
    mostly_soak([*NO_NAMES, *OTHER_KEYS], lambda n: n in [*OFTEN, OTHER_KEYS[0]]),
    ids=lambda n: repr(n)[:40],
)
def test_what_names_no_key_of_ours_is_one_sentence(settings, activity, name):
    one_sentence(activity, key_id=name, configuration=settings)


WRONG = {
    "name": (
        [
            load_actions.start_load,
            load_actions.stop_load,
            load_probes.answered_share,
            load_probes.latency_p99,
        ],
        [*NO_NAMES[1:], "", "Main", "a-b", "main ", "1st", None, "a" * 31],
        "a load's name has at most 30",
    ),
    "file": (
        [load_actions.start_load],
        [*NO_NAMES, "/", "/etc", "nowhere.py", "\0.py", "x" * 300],
        "the Locust file that was named does not exist",
    ),
    "seconds": (
        [load_probes.answered_share, load_probes.latency_p99],
        [
            0,
            -1,
            61,
            "two",
            "",
            None,
            True,
            [2],
            {"s": 2},
            float("nan"),
            float("inf"),
            10**400,
            "9" * 10_000_000,
            "$(id)",
            "..",
        ],
        "the seconds must be a number above 0, and at most 60",
    ),
    "timeout": (
        [
            of(load_probes.rows_unchanged, **TABLE, checksum=""),
            of(load_probes.table_checksum, **TABLE),
            of(load_probes.rows_equal, **TABLE, cluster_id="ORDERS"),
        ],
        [0, -1, 86401, "long", None, True, [600], float("nan"), "9" * 10_000_000, "; ls"],
        "the seconds must be a number above 0, and at most 86400",
    ),
    "table": (
        [
            load_probes.table_checksum,
            of(load_probes.rows_unchanged, checksum=""),
            of(load_probes.rows_equal, cluster_id="ORDERS"),
        ],
        ["x" * 1001, "x" * 10_000_000, "users\n", "\0", None, 7, True, ["users"], {"users": 1}],
        "the table must be named by at most 1000 printable letters",
    ),
    "database": (
        [of(load_probes.table_checksum, **TABLE)],
        ["x" * 1001, "x" * 10_000_000, "shop\n", "\0", None, 7, ["shop"]],
        "the database must be named by at most 1000 printable letters",
    ),
    "date": (
        [kms_probes.rotation_is_listed],
        [*NO_NAMES, "", None, "2026-11-24", "2026-11-24T12:00:00", "${rotate_key_rotation_date}"],
        "the date must be an instant with its offset: what `rotate_key` returned",
    ),
    "policy": (
        [of(kms_actions.put_key_policy, key_id="alias/orders")],
        ["", "{}", "$(reboot)", "x" * 10_000_000, [], [{}], None, 7, True],
        "a key policy is a JSON object with Version and Statement",
    ),
}
"""Argument → who has it, what it must not be, and what is said of that."""


@pytest.mark.parametrize("argument", WRONG)
def test_what_no_argument_may_be_is_one_sentence(settings, argument):
    activities, values, said = WRONG[argument]
    for activity in activities:
        for value in values:
            answer = one_sentence(activity, **{argument: value}, configuration=settings)
            assert answer.startswith(said), (activity, value)


@pytest.mark.parametrize(
    "name", ["", "two words", "a--b", "..", "$(id)", "a" * 31, "a" * 10_000_000, None, ["a"], 7]
)
def test_what_is_no_name_makes_nothing(settings, name):
    said = one_sentence(
        aurora_actions.create_is_refused, key_id="alias/orders", name=name, configuration=settings
    )
    assert said.startswith("a name is at most 30 letters")


def test_a_key_that_this_run_did_not_make_keeps_its_policy(settings):
    said = one_sentence(
        kms_actions.put_key_policy,
        key_id="alias/orders",
        configuration=settings,
        policy={"Version": "2012-10-17", "Statement": []},
    )
    assert "does not carry the tag chaos:run=" in said
    assert said.endswith(": this run did not make it")


@pytest.mark.parametrize("table", ["nobody", "users; DROP TABLE users", "$(id)", "..", '"', "a.b"])
def test_what_names_no_table_is_one_sentence(settings, table):
    one_sentence(load_probes.table_checksum, table=table, configuration=settings)
    one_sentence(load_probes.rows_unchanged, table=table, checksum="", configuration=settings)


@pytest.mark.parametrize("checksum", ["", "${rows_before_checksum}", None, 7, ["0"], "0" * 10**7])
def test_what_is_no_checksum_is_not_unchanged(settings, checksum):
    found = load_probes.rows_unchanged("users", checksum, configuration=settings)
    assert found is False


def test_without_a_load_nothing_is_waited_for(settings):
    assert one_sentence(load_actions.run_on, configuration=settings) == "no load runs"
    for activity in (load_probes.answered_share, load_probes.latency_p99):
        said = one_sentence(activity, name="copy", configuration=settings)
        assert said.startswith("no load runs that is called copy: the experiment must name the")
    assert load_actions.stop_load("copy", configuration=settings)["why"] == "it was not started"


def test_without_the_control_no_load_starts(settings):
    said = one_sentence(load_actions.start_load, cluster_id="orders", configuration=settings)
    assert said == "a load needs the folder of the control chaosaws_kms_ext.controls.run"


def test_without_a_fault_no_policy_is_put_back(settings):
    answer = kms_actions.restore_key_policy(configuration=settings)
    assert answer == {"undone": [], "why": "nothing to undo"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"target": "lab", "cluster_id": ""}, "no cluster was named: set CHAOS_CLUSTER_ID"),
        ({"target": "prod"}, "CHAOS_TARGET must be one of lab, aws"),
        ({"target": ["aws"]}, "CHAOS_TARGET must be text or a number"),
        ({"cluster_id": ""}, "CHAOS_CLUSTER_ID must name the cluster"),
        ({"cluster_id": {"a": 1}}, "CHAOS_CLUSTER_ID must be text or a number"),
        ({"blast_radius": -1}, "CHAOS_BLAST_RADIUS must be a whole number"),
        ({"without_backup": True}, "CHAOS_WITHOUT_BACKUP must be text or a number"),
        ({"allowed_accounts": ["123456789012"]}, "CHAOS_ALLOWED_ACCOUNTS must be text"),
        ({"allowed_accounts": "999999999999"}, "is none of CHAOS_ALLOWED_ACCOUNTS"),
        ({"backup_within": "a week"}, "CHAOS_BACKUP_WITHIN must be a number of seconds"),
        ({"stop_alarms": ","}, "CHAOS_STOP_ALARMS must be at most 100 names"),
        ({"blast_radius": 4}, "CHAOS_BLAST_RADIUS says 4"),
        ({"key_id": "alias/nobody"}, "there is no KMS key alias/nobody"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_a_wrong_setting_takes_no_key_away(settings, wrong, said):
    name = next(iter(wrong))
    sentence = one_sentence(kms_actions.disable_key, configuration={**settings, **wrong})
    assert said in sentence.replace(f" (the experiment's {name})", "")
