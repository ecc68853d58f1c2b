"""Whatever an activity is given in place of a name: one sentence, and nothing is changed."""

from __future__ import annotations

import json

import pytest
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.aurora import actions as aurora_actions
from chaosaws_kms_ext.aurora import probes as aurora_probes
from chaosaws_kms_ext.kms import actions as kms_actions
from chaosaws_kms_ext.kms import probes as kms_probes
from tests.conftest import mostly_soak

pytestmark = pytest.mark.common_lab

OF_A_CLUSTER = [
    kms_actions.disable_key,
    aurora_actions.start_cluster,
    aurora_probes.encryption_state,
    aurora_probes.cluster_is_available,
    aurora_probes.cluster_is_inaccessible,
]
OF_A_KEY = [kms_actions.disable_key, kms_probes.key_state, kms_probes.key_is_enabled]

NO_NAMES = [
    "nobody", "$(reboot)", "; rm -rf /", "..", "../../orders", "orders\n", "\0", "🔑", " ",
    "x" * 2049, "x" * 10_000_000, ["orders"], {"id": "orders"}, 7, True,
]  # fmt: skip
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


@pytest.mark.parametrize("activity", OF_A_KEY, ids=lambda a: a.__name__)
@pytest.mark.parametrize(
    "name",
    mostly_soak([*NO_NAMES, *OTHER_KEYS], lambda n: n in [*OFTEN, OTHER_KEYS[0]]),
    ids=lambda n: repr(n)[:40],
)
def test_what_names_no_key_of_ours_is_one_sentence(settings, activity, name):
    one_sentence(activity, key_id=name, configuration=settings)


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
    assert said in one_sentence(kms_actions.disable_key, configuration={**settings, **wrong})
