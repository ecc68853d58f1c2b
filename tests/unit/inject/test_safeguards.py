"""The safeguards of a run, looked at from inside: on a lab that plays AWS, in this process."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.aurora import probes as aurora_probes
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.inject import safeguards
from chaosaws_kms_ext.inject.safeguards import Safeguards, confined
from chaosaws_kms_ext.kms import actions
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.settings import Settings
from tests.support.chaos_runs import switch_role
from tests.support.labs import client, until

pytestmark = pytest.mark.no_servers


class Played:
    """What `switch_role` asks of a lab that plays AWS."""

    def __init__(self, lab):
        self.lab, self.key = lab, lab.clusters[0]["key"]
        self.client = lambda service: client(lab, service)


@pytest.fixture
def held(lab, on_aws, monkeypatch, request):
    """Safeguards and key of a run in this process, whose key is away and whose switch is armed."""
    monkeypatch.setenv("CHAOS_SWITCH_ROLE", switch_role(Played(lab), request.node.name[:40]))
    until(aurora_probes.cluster_is_available)
    runs.end()
    until(lambda: client(lab, "scheduler").list_schedules()["Schedules"] == [])
    actions.disable_key()
    yield runs.current().safeguards, lab.clusters[0]["key"].rpartition("/")[2]
    actions.enable_key()


def test_a_switch_that_somebody_disarms_breaks_the_safeguards(lab, held, monkeypatch):
    its, key_id = held
    monkeypatch.setattr(safeguards, "LOCK_LOOK", 0.0)
    assert its.why_broken() == ""
    client(lab, "scheduler").delete_schedule(GroupName="chaos-kms", Name=f"undo-{key_id}")
    assert its.why_broken() == ""  # one look is no proof
    assert "its switch is gone" in its.why_broken()


@pytest.mark.usefixtures("held")
def test_a_run_without_a_switch_sees_the_lock_of_one_with_it(lab, monkeypatch, tmp_path):
    first = runs.current()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    other = Run(Settings(target="aws"))
    with pytest.raises(Refused, match=f"run {first.id} holds the key"):
        Safeguards.ensure(other, Aws(), "orders", lab.clusters[0]["key"], ["kms:EnableKey"])


def test_what_a_watchdog_does_not_outlive_is_named(tmp_path):
    assert confined({}, tmp_path) == ""
    assert confined({"CI": "true"}, tmp_path) == "a CI job"
    assert confined({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path) == "a Kubernetes pod"
    assert confined({"ECS_CONTAINER_METADATA_URI_V4": "http://…"}, tmp_path) == "an ECS task"
    (tmp_path / ".dockerenv").touch()
    assert confined({"CI": "true"}, tmp_path) == "a container"


@pytest.mark.usefixtures("held")
def test_a_run_that_ends_with_its_key_away_leaves_it_to_its_watchdog(lab):
    watchdog = runs.current().safeguards._watchdog
    runs.end()
    assert watchdog.running
    key = lab.clusters[0]["key"]
    kms = client(lab, "kms")
    until(lambda: kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled", 10)
    until(lambda: not watchdog.running, 30)
    assert client(lab, "scheduler").list_schedules(GroupName="chaos-kms")["Schedules"] == []
