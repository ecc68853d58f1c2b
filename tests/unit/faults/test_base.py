"""Faults by their names: one file each, and nothing else that knows them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext import faults
from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.aurora import probes as aurora_probes
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.key_material import import_new
from chaosaws_kms_ext.faults import FAULTS, fault, load, named
from chaosaws_kms_ext.faults.disable_key import DisableKey
from chaosaws_kms_ext.faults.disconnect_key_store import DisconnectKeyStore
from chaosaws_kms_ext.iam import policies
from chaosaws_kms_ext.iam.permissions import Caller
from chaosaws_kms_ext.inject.injection import _refuse_second
from chaosaws_kms_ext.kms import actions, probes
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo import switch
from chaosaws_kms_ext.undo.replay import replay, still_wrong
from chaosaws_kms_ext.undo.undo import UNDOES, Undo
from tests.support.labs import FAST, client, until
from tests.support.usual_policies import policy

pytestmark = pytest.mark.no_servers

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "adding-a-fault.md"


@pytest.fixture
def registered():
    """What a test registers is forgotten again."""
    before, folders = dict(FAULTS), list(faults.__path__)
    yield FAULTS
    FAULTS.clear()
    FAULTS.update(before)
    faults.__path__[:] = folders


def load_from(folder):
    """As if the files of this folder were in that of the faults."""
    faults.__path__.append(str(folder))
    load(faults.__path__, faults.__name__)


def test_every_file_of_the_folder_has_its_fault_under_its_own_name():
    files = {path.stem for path in Path(faults.__file__).parent.glob("*.py")}
    assert {name.replace("-", "_") for name in FAULTS} == files - {"__init__", "base"}


def test_a_name_twice_is_an_error(registered):
    with pytest.raises(ValueError, match="two faults are called disable-key"):
        fault(type("Another", (), {"name": "disable-key", "on": "target"}))


def test_a_name_that_there_is_not_is_refused_with_those_that_there_are():
    known = "delete-key-material, deny-rds, disable-key, "
    with pytest.raises(Refused, match=f"there is no fault 'disable-keys': {known}"):
        named("disable-keys")


def test_no_other_file_names_the_calls_of_a_fault():
    own = {action.partition(":")[2] for each in FAULTS.values() for action in each.needs.inject}
    own -= {operation for _, operation in UNDOES}  # PutKeyPolicy puts back as well
    own -= {"GetParametersForImport"}  # a new key gets its material so
    named = re.compile(rf'"(?:\w+:)?({"|".join(own - {"ScheduleKeyDeletion"})})"')
    of_others = {"audit/probes.py", "cli/misbehaviours.py", "inject/by_others.py"}
    for path in (ROOT / "chaosaws_kms_ext").rglob("*.py"):
        its = path.relative_to(ROOT / "chaosaws_kms_ext").as_posix()
        if path.parent.name != "faults" and its not in of_others:
            assert named.findall(path.read_text()) == [], path


@pytest.mark.parametrize("name", FAULTS)
def test_an_undo_has_the_calls_that_the_fault_says_it_needs(name, lab, on_aws):
    key, material = lab.clusters[0]["key"], bytes(32)
    if name.endswith("-key-material"):
        key = client(lab, "kms").create_key(Origin="EXTERNAL")["KeyMetadata"]["Arn"]
        import_new(Aws(), key, material)
    given = {"policy": {"Version": "2012-10-17", "Statement": []}}
    arguments = given if name == "put-key-policy" else {}
    if name == "disconnect-key-store":
        made = DisconnectKeyStore(key, "cks-1234567890abcdef0")
    else:
        made = faults.make(named(name), Aws(), key, arguments, material)
    undo = made.undo()
    assert undo.actions == made.needs.undo
    undo.check_about(key)
    looks = {f"{check.call.service}:{check.call.operation}" for check in undo.checks}
    assert looks <= {"kms:DescribeKey", *made.needs.look}


@pytest.mark.parametrize("name", FAULTS)
def test_the_printed_policies_allow_what_a_fault_needs_and_only_then(name):
    needs = FAULTS[name].needs
    caller = Caller.RUN if FAULTS[name].on == "target" else Caller.MAKER
    place = policies.Place()

    def allowed(*faults_):
        said = policy(caller, place, faults_)
        return {action for statement in said["Statement"] for action in statement["Action"]}

    assert {*needs.inject, *needs.undo, *needs.look} <= allowed(name)
    if name == "disable-key":
        assert not {*needs.inject, *needs.undo} & allowed()


def test_a_file_that_is_broken_is_left_out_and_named(registered, tmp_path, monkeypatch):
    """So that `chaos kms restore` works in spite of it."""
    assert faults.BROKEN == {}
    monkeypatch.setattr("chaosaws_kms_ext.faults.base.BROKEN", {})
    (tmp_path / "broken_one.py").write_text('raise RuntimeError("x")')
    load_from(tmp_path)
    with pytest.raises(Refused, match="broken-one cannot be used, its file is broken: RuntimeErr"):
        named("broken-one")


def test_a_fault_is_on_the_target_or_on_a_key_of_its_own(registered):
    with pytest.raises(ValueError, match="is on one of target, own, not 'targt'"):
        fault(type("Another", (), {"name": "another", "on": "targt"}))


def test_an_undo_that_is_not_what_the_fault_needs_is_not_relied_on(lab, on_aws, monkeypatch):
    until(aurora_probes.cluster_is_available)
    monkeypatch.setattr(DisableKey, "undo", lambda self: Undo())
    with pytest.raises(ActivityFailed, match="make them the same"):
        actions.disable_key()


def test_a_second_fault_on_a_key_waits_until_the_first_is_over(lab, on_aws, monkeypatch):
    """Else one switch would hold two undos, and whoever replays them the wrong one last."""
    until(aurora_probes.cluster_is_available)
    actions.disable_key()
    with pytest.raises(ActivityFailed, match=r"is Disabled already|put that back first"):
        actions.inject_fault("schedule-key-deletion")
    until(aurora_probes.cluster_is_inaccessible)
    actions.undo_faults()
    key = lab.clusters[0]["key"]
    with pytest.raises(Refused, match="call wait_for_recovery first"):
        _refuse_second(runs.current(), key)
    until(aurora_probes.cluster_is_available)
    _refuse_second(runs.current(), key)  # which is over now


def test_arguments_that_a_fault_does_not_take_are_one_sentence(lab, on_aws):
    with pytest.raises(ActivityFailed, match="the fault disable-key does not take these arguments"):
        actions.inject_fault("disable-key", arguments={"days": 7})
    with pytest.raises(ActivityFailed, match="the arguments of a fault are a JSON object"):
        actions.inject_fault("disable-key", arguments=["x"])
    with pytest.raises(ActivityFailed, match="there is no fault"):
        actions.inject_fault("nonsense")


def test_what_only_the_run_gives_is_no_argument():
    with pytest.raises(Refused, match=r"does not take these arguments: .*material"):
        faults.check_arguments(named("delete-key-material"), {"material": "mine"})


# The page's example


def test_the_example_of_the_page_is_a_fault(lab, on_aws, registered, tmp_path, monkeypatch, caplog):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(code.splitlines()) < 60
    (tmp_path / "deny_decrypt.py").write_text(code)
    load_from(tmp_path)
    kms, key = client(lab, "kms"), lab.clusters[0]["key"]
    old = kms.get_key_policy(KeyId=key)["Policy"]
    until(
        lambda: client(lab, "rds").describe_db_clusters()["DBClusters"][0]["Status"] == "available"
    )

    monkeypatch.setenv("CHAOS_SWITCH_ROLE", "arn:aws:iam::123456789012:role/switch")
    runs.end()
    with pytest.raises(ActivityFailed, match="CHAOS_WITHOUT_SWITCH=yes if that will do"):
        actions.inject_fault("deny-decrypt")
    assert kms.get_key_policy(KeyId=key)["Policy"] == old

    monkeypatch.setenv("CHAOS_WITHOUT_SWITCH", "yes")
    runs.end()
    caplog.set_level("INFO", "chaostoolkit")
    assert actions.inject_fault("deny-decrypt") == {"cluster": "orders", "key": key}
    assert '"chaos"' in kms.get_key_policy(KeyId=key)["Policy"]
    assert "no schedules on AWS, which cannot do it" in caplog.text
    assert "The switch is armed" not in caplog.text
    assert actions.undo_faults() == {"undone": [key]}
    assert kms.get_key_policy(KeyId=key)["Policy"] == old


def test_it_says_that_no_schedule_can_put_it_back(registered):
    assert switch.can(named("disable-key").needs.undo)
    assert switch.can(named("schedule-key-deletion").needs.undo)
    assert not switch.can(named("put-key-policy").needs.undo)


# The deletion of a key


@pytest.fixture
def key(lab):
    return client(lab, "kms").create_key(Tags=[{"TagKey": "chaos:allow", "TagValue": "kms"}])[
        "KeyMetadata"
    ]["Arn"]


def test_a_scheduled_deletion_is_undone_however_often(lab, on_aws, key):
    aws, kms = Aws(), client(lab, "kms")
    made = faults.make(named("schedule-key-deletion"), aws, key, {})
    made.inject(aws)
    assert made.shows(aws)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    for _ in range(2):  # CancelKeyDeletion is refused the second time
        replay(aws, made.undo())
        assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"


def test_a_primary_key_with_replicas_is_taken_away_and_put_back_too(lab, on_aws):
    aws, kms = Aws(), client(lab, "kms")
    key = kms.create_key(MultiRegion=True)["KeyMetadata"]["Arn"]
    kms.replicate_key(KeyId=key, ReplicaRegion="us-east-1")
    made = faults.make(named("schedule-key-deletion"), aws, key, {})
    made.inject(aws)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingReplicaDeletion"
    assert made.shows(aws)
    assert "PendingReplicaDeletion" in still_wrong(aws, made.undo())
    replay(aws, made.undo())
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"


def test_the_clusters_key_has_as_many_days_as_there_are(lab, on_aws, key):
    made = faults.make(named("schedule-key-deletion"), Aws(), key, {})
    made.inject(Aws())
    said = client(lab, "kms").describe_key(KeyId=key)["KeyMetadata"]
    days = (said["DeletionDate"] - datetime.now(UTC)) * FAST / timedelta(days=1)
    assert days == pytest.approx(30, abs=0.1)
    left = probes.seconds_until_deletion(key) * FAST / timedelta(days=1).total_seconds()
    assert left == pytest.approx(30, abs=0.1)
    replay(Aws(), made.undo())
    assert probes.seconds_until_deletion(key) is None
    with pytest.raises(ActivityFailed, match="always has 30 days"):
        actions.schedule_key_deletion(days=7)


def test_a_deletion_on_aws_needs_a_consent_of_its_own(lab, on_aws, monkeypatch):
    until(aurora_probes.cluster_is_available)
    monkeypatch.delenv("CHAOS_ALLOW_KEY_DELETION", raising=False)
    with pytest.raises(ActivityFailed, match="its own: set CHAOS_ALLOW_KEY_DELETION=yes"):
        actions.schedule_key_deletion()
    assert client(lab, "kms").describe_key(KeyId="alias/orders")["KeyMetadata"]["Enabled"]


def test_the_deletion_of_the_clusters_key_goes_through_the_gate_of_every_fault(
    lab, on_aws, monkeypatch
):
    monkeypatch.setenv("CHAOS_ALLOW_KEY_DELETION", "yes")
    kms, rds, key = client(lab, "kms"), client(lab, "rds"), lab.clusters[0]["key"]
    until(lambda: rds.describe_db_clusters()["DBClusters"][0]["Status"] == "available")
    kms.untag_resource(KeyId=key, TagKeys=["chaos:allow"])
    with pytest.raises(ActivityFailed, match="chaos:allow"):
        actions.schedule_key_deletion()
    kms.tag_resource(KeyId=key, Tags=[{"TagKey": "chaos:allow", "TagValue": "kms"}])
    with pytest.raises(ActivityFailed, match="this run did not make it"):
        actions.schedule_key_deletion(key)
    for nothing in ("", None):  # a variable that was not set, say
        with pytest.raises(ActivityFailed):
            actions.schedule_key_deletion(nothing)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"
    done = actions.schedule_key_deletion()
    assert done["key"] == key
    assert done["deletion_date"]
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    assert actions.undo_faults() == {"undone": [key]}
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"
