"""The experiments on a lab that plays AWS: by the printed policies, interrupted, killed, twice."""

from __future__ import annotations

import json
import re
import signal

import pytest

from chaosaws_kms_ext.iam.permissions import Caller
from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from tests.support.chaos import LabAsAws, marked
from tests.support.chaos_runs import TRIES, error, experiment, nothing_is_left, schedules, watchdogs
from tests.support.labs import mostly_soak, until
from tests.support.least_privilege import PATIENT, maker, table

# Nothing is compressed there but the cluster's own times.
pytestmark = [pytest.mark.timeout(400), pytest.mark.thorough]

TAG = "chaos:run"
SOMEBODY_ELSES = "20200101T000000Z-ffffff"
"""A run that is none of ours."""
OBJECTIVES = {
    "cmk-encryption": ["lost_writes", "missed_arrivals"],
    "snapshot-rekey": ["rto", "lost_writes", "missed_arrivals"],
    "backup-under-same-key": ["replacement_rto", "rto", "lost_writes", "missed_arrivals"],
    "encryption-context": ["wrong_contexts"],
    "key-rotation": ["missed_arrivals", "lost_writes"],
    "policy-deny": ["rto", "lost_writes"],
    "audit-trail": ["misattributed_calls", "rto", "lost_writes"],
}


class World:
    """What is on a lab that plays AWS: what runs have made, and all the rest."""

    def __init__(self, lab_as_aws: LabAsAws) -> None:
        self._kms, self._rds = lab_as_aws.client("kms"), lab_as_aws.client("rds")
        self._somebody_elses()
        self.rest = self.others()

    def _somebody_elses(self) -> None:
        """What another run has made, with the names that ours give."""
        tag = {"TagKey": TAG, "TagValue": SOMEBODY_ELSES}
        key = self._kms.create_key(Tags=[tag])["KeyMetadata"]["KeyId"]
        self._kms.create_alias(AliasName="alias/chaos-somebody-key", TargetKeyId=key)
        self._rds.create_db_cluster_snapshot(
            DBClusterIdentifier="orders",
            DBClusterSnapshotIdentifier="chaos-somebody-under-a",
            Tags=[{"Key": TAG, "Value": SOMEBODY_ELSES}],
        )
        waiter = self._rds.get_waiter("db_cluster_snapshot_available")
        waiter.wait(DBClusterSnapshotIdentifier="chaos-somebody-under-a", WaiterConfig={"Delay": 1})

    def keys(self):
        """Key → the run that made it, and its state."""
        found = {}
        for each in self._kms.list_keys()["Keys"]:
            tags = self._kms.list_resource_tags(KeyId=each["KeyId"])["Tags"]
            state = self._kms.describe_key(KeyId=each["KeyId"])["KeyMetadata"]["KeyState"]
            by = {tag["TagKey"]: tag["TagValue"] for tag in tags}.get(TAG, "")
            found[each["KeyArn"]] = (by, state)
        return found

    def policy(self, key):
        said = self._kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
        return json.loads(said)

    def aliases(self):
        return {each["AliasName"] for each in self._kms.list_aliases()["Aliases"]}

    def databases(self):
        """Clusters, instances and snapshots: name → status, key, tags."""
        clusters = self._rds.describe_db_clusters()["DBClusters"]
        instances = self._rds.describe_db_instances()["DBInstances"]
        snapshots = self._rds.describe_db_cluster_snapshots()["DBClusterSnapshots"]
        return {
            **{c["DBClusterIdentifier"]: _facts(c, "Status", "Endpoint") for c in clusters},
            **{i["DBInstanceIdentifier"]: _facts(i, "DBInstanceStatus") for i in instances},
            **{s["DBClusterSnapshotIdentifier"]: _facts(s, "Status") for s in snapshots},
        }

    def others(self):
        """All but keys that a run of ours made; those are never gone at once."""
        keys = {
            key: (*said, json.dumps(self.policy(key)))
            for key, said in self.keys().items()
            if said[0] in ("", SOMEBODY_ELSES)
        }
        return keys, self.aliases(), self.databases()

    def ours(self):
        """Key → state, of those that runs of ours made."""
        return {
            key: state for key, (by, state) in self.keys().items() if by not in ("", SOMEBODY_ELSES)
        }

    def is_as_before(self, keys):
        """Nothing is left but so many keys, whose deletion is scheduled, and the rest untouched."""
        assert self.others() == self.rest
        assert list(self.ours().values()) == ["PendingDeletion"] * keys
        return True


def _facts(said, *names):
    tags = sorted((tag["Key"], tag["Value"]) for tag in said["TagList"])
    return [said.get(name) for name in (*names, "KmsKeyId")], tags


def started(lab_as_aws, name, *options, **env):
    return lab_as_aws.chaos.start_run(experiment(name), *options, **env)


def run(lab_as_aws, name, **env):
    return started(lab_as_aws, name, **env).wait(300)


# Each of them passes


def _of_loads(summary, *names):
    assert sorted(summary["loads"]) == sorted(names)
    for load in summary["loads"].values():
        assert load["missed_arrivals"] == 0
        assert load["writes"]["lost"] == 0
        assert load["operations"]["ok"] > 100


def _cmk_encryption(summary, world):
    (key,) = world.ours()
    assert summary["key"] == key
    assert re.fullmatch(r"chaos-.*-cluster", summary["cluster"])
    assert summary["missed_arrivals"] == 0
    assert summary["operations"]["ok"] > 100
    _of_loads(summary)


def _snapshot_rekey(summary, world):
    assert summary["cluster"] == "orders"
    assert summary["recovery_path"] == "start-db-cluster"
    assert summary["replacement"] is None
    _of_loads(summary, "restored")


def _backup(summary, world):
    replaced = summary["replacement"]
    assert re.fullmatch(r"chaos-.*-replacement", replaced["cluster"])
    took = replaced["time_to_first_answer_seconds"]
    assert 0 < replaced["time_to_available_seconds"] < took
    (objective,) = [o for o in summary["objectives"] if o["name"] == "replacement_rto"]
    assert objective["measured_seconds"] == took
    _of_loads(summary, "replacement")


def _contexts(summary, world):
    assert len(summary["contexts"]) == 6
    assert [each["decrypted"] for each in summary["contexts"]] == [True, *[False] * 5]
    assert all(each["same"] == each["decrypted"] for each in summary["contexts"])
    assert not any(summary["operations"].values())


def _rotation(summary, world):
    assert summary["missed_arrivals"] == 0
    assert summary["timeline"]["fault_injected"] is None


def _policy_deny(summary, world):
    (key,) = world.ours()
    assert summary["key"] == key
    # As KMS gave it, when it was not asked for any: that of somebody else's.
    (other,) = [arn for arn, (by, _) in world.keys().items() if by == SOMEBODY_ELSES]
    assert world.policy(key) == world.policy(other)
    assert summary["recovery_path"] == "start-db-cluster"
    assert summary["hang"] == {"open_sessions": True, "new_connections": True}


def _audit(summary, world):
    told = summary["audit"]
    assert told["complete"]
    assert told["unknown"] == []
    assert told["failed_decrypts"] > 0
    for by in (told["disabled_by"], told["enabled_by"]):
        assert ":assumed-role/" in by["who"]
        assert by["who"].endswith("/game-day")
    assert told["disabled_by"]["when"] < told["enabled_by"]["when"]


SHOWS = {
    "cmk-encryption": (_cmk_encryption, 1),
    "snapshot-rekey": (_snapshot_rekey, 1),
    "backup-under-same-key": (_backup, 1),
    "encryption-context": (_contexts, 0),
    "key-rotation": (_rotation, 0),
    "policy-deny": (_policy_deny, 1),
    "audit-trail": (_audit, 0),
}
"""What a good run's summary tells, and how many keys it makes."""


@pytest.mark.parametrize("name", mostly_soak(list(SHOWS), lambda name: name == "cmk-encryption"))
def test_each_passes_on_aws_under_exactly_the_printed_policies(aws, name):
    lab_as_aws = aws(iam=True, **PATIENT)
    world, who = World(lab_as_aws), maker(lab_as_aws)
    ran = run(lab_as_aws, name, **who.env)
    assert ran.status == 0, ran.output
    summary = ran.summary
    assert (summary["experiment"], summary["target"], summary["lab"]) == (name, "aws", None)
    assert (summary["verdict"], summary["reasons"]) == ("passed", [])
    assert [each["name"] for each in summary["objectives"]] == OBJECTIVES[name]
    assert all(each["met"] for each in summary["objectives"])
    shows, keys = SHOWS[name]
    shows(summary, world)
    may = table(Caller.RUN, but=frozenset()) | table(Caller.MAKER, but=frozenset())
    assert lab_as_aws.called(who.access_key) <= may
    assert world.is_as_before(keys)
    assert schedules(lab_as_aws) == []
    assert nothing_is_left(lab_as_aws)


# With one action taken away


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """One lab that holds its callers to IAM, for all who may not."""
    lab_as_aws = LabAsAws.start(tmp_path_factory.mktemp("makers"), iam=True, **PATIENT)
    yield lab_as_aws, World(lab_as_aws)
    stayed = [(process.kill(), process.pid)[1] for process in marked(*lab_as_aws.chaos.marks)]
    lab_as_aws.lab.stop()
    assert not stayed


MISSING = [
    ("cmk-encryption", "kms:CreateKey", "make-key", "*"),
    ("cmk-encryption", "kms:CreateGrant", "make-cluster", "resource: arn:aws:kms:"),
    ("cmk-encryption", "rds:CreateDBInstance", "make-cluster", "arn:aws:rds:"),
    ("snapshot-rekey", "rds:CreateDBClusterSnapshot", "snapshot", "arn:aws:rds:"),
    ("snapshot-rekey", "rds:CopyDBClusterSnapshot", "copy-under-b", "arn:aws:rds:"),
    ("snapshot-rekey", "rds:RestoreDBClusterFromSnapshot", "restore-under-b", "arn:aws:rds:"),
    ("backup-under-same-key", "rds:AddTagsToResource", "snapshot", "arn:aws:rds:"),
    ("backup-under-same-key", "rds:CopyDBClusterSnapshot", "copy-under-b", "arn:aws:rds:"),
    ("encryption-context", "kms:Encrypt", "seal", "arn:aws:kms:"),
    ("key-rotation", "kms:RotateKeyOnDemand", "rotate-the-key", "arn:aws:kms:"),
    ("key-rotation", "kms:ListKeyRotations", "rotate-the-key", "arn:aws:kms:"),
    ("policy-deny", "kms:TagResource", "make-key", "arn:aws:kms:"),
    ("policy-deny", "kms:GetKeyPolicy", "deny-everybody-but-us", "arn:aws:kms:"),
]
OFTEN = {"rds:CreateDBInstance"}


@pytest.mark.parametrize(
    ("name", "action", "step", "resource"), mostly_soak(MISSING, lambda case: case[1] in OFTEN)
)
def test_without_an_action_the_step_names_it_and_nothing_stays(
    strict, tmp_path, name, action, step, resource
):
    lab_as_aws, world = strict
    lab_as_aws.chaos.folder, before = tmp_path, len(world.ours())
    ran = run(lab_as_aws, name, **maker(lab_as_aws, but=action).env)
    assert ran.status == 1
    assert "Traceback" not in ran.output
    why = ran.summary["reasons"][0]
    assert why.startswith(f"action {step}: ")
    assert f"{action} on {resource}" in why
    assert ran.summary["timeline"]["fault_injected"] is None
    made = len(world.ours()) - before
    assert made == (name != "encryption-context" and name != "key-rotation" and step != "make-key")
    assert world.is_as_before(before + made)
    assert nothing_is_left(lab_as_aws)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("name", "action", "why"),
    [
        (
            "encryption-context",
            "kms:Decrypt",
            "did not hold after the method: the-same-context-decrypts: ",
        ),
        (
            "cmk-encryption",
            "kms:ListGrants",
            "did not hold after the method: aurora-has-its-grant-for-",
        ),
        ("audit-trail", "cloudtrail:LookupEvents", "action what-cloudtrail-tells: "),
    ],
)
def test_without_the_action_of_a_probe_it_names_it(strict, tmp_path, name, action, why):
    lab_as_aws, world = strict
    lab_as_aws.chaos.folder, before = tmp_path, len(world.ours())
    ran = run(lab_as_aws, name, **maker(lab_as_aws, but=action).env)
    assert ran.status == 1
    (said,) = [each for each in ran.summary["reasons"] if why in each]
    assert f"not allowed: {action} on " in said
    assert world.is_as_before(before + (name == "cmk-encryption"))
    assert nothing_is_left(lab_as_aws)


@pytest.mark.soak
@pytest.mark.parametrize("name", ["snapshot-rekey", "audit-trail"])
@pytest.mark.parametrize("action", ["kms:DisableKey", "kms:EnableKey", "rds:StartDBCluster"])
def test_who_could_not_put_back_does_not_even_begin(strict, tmp_path, name, action):
    lab_as_aws, world = strict
    lab_as_aws.chaos.folder, before = tmp_path, len(world.ours())
    ran = run(lab_as_aws, name, **maker(lab_as_aws, but=action).env)
    assert ran.status == 1
    assert f"may not {action} on " in ran.said
    assert world.is_as_before(before)
    assert nothing_is_left(lab_as_aws)


@pytest.mark.soak
@pytest.mark.parametrize(
    "action", ["rds:DeleteDBInstance", "rds:DeleteDBCluster", "kms:ScheduleKeyDeletion"]
)
def test_what_may_not_be_removed_is_named_and_restore_removes_it(aws, action):
    lab_as_aws = aws(iam=True)
    world = World(lab_as_aws)
    ran = run(lab_as_aws, "cmk-encryption", **maker(lab_as_aws, but=action).env)
    assert ran.status == 1
    said = ran.summary["reasons"]
    (rollback,) = [each for each in said if each.startswith("rollback remove-what-was-made: ")]
    assert f"not allowed: {action} on " in rollback
    assert "`chaos kms restore` removes what this run made" in rollback
    assert any(each.startswith("left behind: ") for each in said)
    restored = lab_as_aws.chaos.kms("restore", **maker(lab_as_aws).env)
    assert restored.status == 0, restored.output
    assert world.is_as_before(1)
    assert nothing_is_left(lab_as_aws)


@pytest.mark.soak
def test_a_policy_that_may_not_be_changed_stays_in_the_journal_until_somebody_may(aws):
    """A refusal is no proof: an earlier try may have been carried out, whose answer was lost."""
    lab_as_aws = aws(iam=True)
    world = World(lab_as_aws)
    running = started(lab_as_aws, "policy-deny", **maker(lab_as_aws, but="kms:PutKeyPolicy").env)
    ran = running.wait(300)
    assert ran.status == 1
    said = ran.summary["reasons"]
    assert said[0].startswith("action deny-everybody-but-us: not allowed: kms:PutKeyPolicy on arn:")
    assert any("was NOT put back: run `chaos kms restore`" in each for each in said)
    restored = lab_as_aws.chaos.kms("restore", **maker(lab_as_aws).env)
    assert restored.status == 0, restored.output
    assert world.is_as_before(1)
    until(lambda: not running.left(), every=0.2)
    assert nothing_is_left(lab_as_aws)


# Something fails in the middle


@pytest.mark.soak
def test_a_step_that_fails_in_the_middle_leaves_nothing(aws):
    lab_as_aws = aws()
    world = World(lab_as_aws)
    Misbehaviours.of(lab_as_aws.lab).order(**error("rds", "CreateDBInstance", TRIES))
    ran = run(lab_as_aws, "cmk-encryption")
    assert ran.status == 1
    assert ran.summary["reasons"] == [
        "action make-cluster: rds:CreateDBInstance failed with InternalFailure: An internal error "
        "occurred"
    ]
    assert world.is_as_before(1)
    assert nothing_is_left(lab_as_aws)


@pytest.mark.soak
def test_a_restored_cluster_that_misses_arrivals_misses_the_objective(aws):
    """Somebody takes key B, too."""
    lab_as_aws = aws(**PATIENT, CHAOS_HOLD="20")
    world = World(lab_as_aws)
    running = started(lab_as_aws, "snapshot-rekey")
    running.until_said("Action: hold-the-outage", 120)
    (key,) = world.ours()
    lab_as_aws.client("kms").disable_key(KeyId=key)
    ran = running.wait(300)
    assert ran.status == 1
    said = ran.summary["reasons"]
    assert any(each.startswith("objective missed: missed_arrivals ") for each in said), said
    assert ran.summary["loads"]["restored"]["missed_arrivals"] > 100
    assert (
        "action the-restored-cluster-still-answers returned 0.0, and its tolerance is not met"
        in said
    )
    assert world.is_as_before(1)
    assert nothing_is_left(lab_as_aws)


# Killed, and interrupted


MOMENTS = {
    "copying": ("Action: copy-under-b", "-under-b"),
    "restoring": ("Action: restore-under-b", "-restored"),
    "instance": ("Action: restore-under-b", "-restored-1"),
    "hold": ("Action: hold-the-outage", "-restored-1"),
}
"""What is said, and what is there by then."""


def until_moment(running, world, moment):
    said, ending = MOMENTS[moment]
    running.until_said(said, 120)
    until(lambda: any(name.endswith(ending) for name in world.databases()), every=0.1)


def is_restored(lab_as_aws, world, keys):
    """`chaos kms restore` puts back and removes; and then the target may be attacked again."""
    restored = lab_as_aws.chaos.kms("restore")
    assert restored.status == 0, restored.output
    assert world.is_as_before(keys)
    assert nothing_is_left(lab_as_aws)
    fit = lab_as_aws.chaos.kms("doctor")
    assert fit.status == 0, fit.output
    return True


@pytest.mark.soak
@pytest.mark.parametrize("moment", list(MOMENTS))
def test_what_a_killed_run_made_is_removed_by_restore(aws, moment):
    lab_as_aws = aws(profile="documented", CHAOS_HOLD="20")
    world = World(lab_as_aws)
    running = started(lab_as_aws, "snapshot-rekey")
    until_moment(running, world, moment)
    running.signal(signal.SIGKILL)
    running.wait(60)
    until(lambda: lab_as_aws.key_state() == "Enabled")
    until(lambda: not running.left(), every=0.2)
    until(lambda: lab_as_aws.cluster_status() == "available")
    assert is_restored(lab_as_aws, world, keys=1)


@pytest.mark.soak
def test_without_its_watchdog_restore_puts_the_key_back_as_well(aws):
    lab_as_aws = aws(profile="documented", CHAOS_HOLD="20")
    world = World(lab_as_aws)
    running = started(lab_as_aws, "snapshot-rekey")
    until_moment(running, world, "hold")
    running.run_id = re.search(r"Run (\S+) on aws", running.output)[1]
    (watchdog,) = watchdogs(running)
    watchdog.kill()
    running.signal(signal.SIGKILL)
    running.wait(60)
    assert lab_as_aws.key_state() == "Disabled"
    assert is_restored(lab_as_aws, world, keys=1)


@pytest.mark.soak
def test_the_watchdog_of_a_killed_run_puts_the_policy_back(aws):
    lab_as_aws = aws(profile="documented", CHAOS_HOLD="20")
    world = World(lab_as_aws)
    running = started(lab_as_aws, "policy-deny")
    running.until_said("Probe: wait-until-the-cluster-is-inaccessible", 120)
    (key,) = world.ours()
    assert "Deny" in json.dumps(world.policy(key))
    (cluster,) = [name for name in world.databases() if name.endswith("-cluster")]
    until(lambda: world.databases()[cluster][0][0].startswith("inaccessible"))
    running.signal(signal.SIGKILL)
    running.wait(60)
    (other,) = [arn for arn, (by, _) in world.keys().items() if by == SOMEBODY_ELSES]
    until(lambda: world.policy(key) == world.policy(other))
    until(lambda: not running.left(), every=0.2)
    assert world.databases()[cluster][0][0] == "available"
    assert is_restored(lab_as_aws, world, keys=1)


CTRL_C = [
    ("cmk-encryption", "Action: make-cluster", "-cluster"),
    ("cmk-encryption", "Action: query-it", "-cluster-1"),
    ("snapshot-rekey", *MOMENTS["copying"]),
    ("snapshot-rekey", *MOMENTS["restoring"]),
    ("snapshot-rekey", *MOMENTS["hold"]),
    ("policy-deny", "Action: hold-the-outage", "-cluster-1"),
]


@pytest.mark.soak
@pytest.mark.parametrize(("name", "said", "there"), CTRL_C)
def test_an_interrupted_run_removes_everything_itself(aws, name, said, there):
    lab_as_aws = aws(**PATIENT, CHAOS_HOLD="20")
    world = World(lab_as_aws)
    running = started(lab_as_aws, name)
    running.until_said(said, 120)
    until(lambda: any(each.endswith(there) for each in world.databases()), every=0.1)
    running.signal(signal.SIGINT)
    ran = running.wait(200)
    assert ran.status == 1
    assert ran.summary["verdict"] == "aborted"
    said = ran.summary["reasons"]
    assert said[0] == "the run was interrupted: SIGINT"
    assert not [each for each in said if each.startswith(("left behind", "rollback"))]
    assert world.is_as_before(1)
    assert nothing_is_left(lab_as_aws)


# Side by side


@pytest.mark.soak
def test_two_runs_side_by_side_touch_nothing_of_each_other(aws, tmp_path):
    lab_as_aws = aws()
    world = World(lab_as_aws)
    both = [
        started(lab_as_aws, "cmk-encryption", "--journal-path", str(tmp_path / f"{number}.json"))
        for number in range(2)
    ]
    for ran in [running.wait(200) for running in both]:
        assert ran.status == 0, ran.output
    ids = {re.search(r"Run (\S+) on aws", running.output)[1] for running in both}
    assert len(ids) == 2
    summaries = [
        json.loads(path.read_text())
        for path in (lab_as_aws.chaos.folder / "reports" / "cmk-encryption").glob("*/summary.json")
    ]
    assert {each["verdict"] for each in summaries} == {"passed"}
    assert {each["cluster"] for each in summaries} == {f"chaos-{i.lower()}-cluster" for i in ids}
    assert {each["key"] for each in summaries} == set(world.ours())
    assert {by for by, _ in world.keys().values()} == {"", SOMEBODY_ELSES, *ids}
    assert world.is_as_before(2)
    assert nothing_is_left(lab_as_aws)
