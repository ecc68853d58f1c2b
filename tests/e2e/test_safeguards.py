"""Who puts the key back when the run cannot: the watchdog, the switch on AWS, the journal."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess

import psycopg
import pytest

from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from tests.support.chaos_runs import (
    MOMENTS,
    at_most_its_schema_is_left,
    killed_in,
    nothing_is_left,
    schedules,
    switch_role,
    watchdogs,
)
from tests.support.labs import program, until


def only_its_schema_is_left(lab_as_aws):
    """Of a run that was killed; and `restore` drops that."""
    where = "schema chaos_kms of the load in the cluster orders"
    planned = lab_as_aws.chaos.kms("restore", "--dry-run")
    assert f"would remove the {where}" in planned.output
    assert schemas(lab_as_aws) == 1
    restored = lab_as_aws.chaos.kms("restore")
    assert restored.status == 0, restored.output
    assert f"{where}: dropped" in restored.output
    assert "EnableKey" not in restored.output
    return schemas(lab_as_aws) == 0 and nothing_is_left(lab_as_aws)


def schemas(lab_as_aws):
    with psycopg.connect(lab_as_aws.database) as connection:
        found = connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'chaos_kms'")
        return found.fetchone()[0]


def elsewhere(lab_as_aws, tmp_path):
    """The same AWS, from a machine that knows nothing of any run."""
    state = tmp_path / "elsewhere"
    return {"XDG_STATE_HOME": str(state)}


def test_a_killed_runs_watchdog_puts_everything_back_and_restore_drops_its_schema(aws):
    lab_as_aws = aws(profile="documented")
    running = killed_in(lab_as_aws)
    until(lambda: lab_as_aws.key_state() == "Enabled")
    until(lambda: lab_as_aws.cluster_status() == "available")
    until(lambda: not running.left(), every=0.2)
    assert only_its_schema_is_left(lab_as_aws)
    (log,) = (lab_as_aws.chaos.folder / "state" / "chaosaws-kms").glob("*.watchdog.log")
    assert "the key is back" in log.read_text()
    assert "the cluster orders was started" in log.read_text()


@pytest.mark.soak  # a run has 30 s to keep its own deadline first
def test_a_run_that_hangs_is_not_waited_for(aws):
    lab_as_aws = aws(CHAOS_MAX_KEY_UNUSABLE="1", CHAOS_HOLD="1")
    running = lab_as_aws.chaos.start_run()
    running.until_said(MOMENTS["impact"])
    until(lambda: lab_as_aws.key_state() == "Disabled")
    running.signal(signal.SIGSTOP)
    try:
        until(lambda: lab_as_aws.key_state() == "Enabled")
        until(lambda: "Nothing to put back: " in lab_as_aws.chaos.kms("restore").output)
    finally:
        running.signal(signal.SIGCONT)
    ran = running.wait()
    assert ran.status == 1
    assert ran.summary["verdict"] != "passed"
    assert lab_as_aws.key_state() == "Enabled"


@pytest.mark.soak
def test_a_good_run_arms_its_switch_and_disarms_it(aws):
    lab_as_aws = aws()
    running = lab_as_aws.chaos.start_run(CHAOS_SWITCH_ROLE=switch_role(lab_as_aws))
    running.until_said(MOMENTS["impact"])
    until(lambda: lab_as_aws.key_state() == "Disabled")
    key_id = lab_as_aws.key.rpartition("/")[2]
    assert schedules(lab_as_aws) == [f"start-{key_id}", f"undo-{key_id}"]
    said = lab_as_aws.client("scheduler").get_schedule(GroupName="chaos-kms", Name=f"undo-{key_id}")
    assert said["ScheduleExpression"] == "rate(5 minutes)"
    assert json.loads(said["Target"]["Input"]) == {"KeyId": lab_as_aws.key}
    assert (said["EndDate"] - said["StartDate"]).total_seconds() == 86400
    ran = running.wait()
    assert ran.status == 0, ran.output
    assert "If this run dies the key is put back by: a watchdog (pid " in ran.output
    assert schedules(lab_as_aws) == []


@pytest.mark.soak
def test_the_switch_is_a_lock_for_runs_on_other_machines(aws, tmp_path):
    lab_as_aws = aws(CHAOS_HOLD="20")
    env = {"CHAOS_SWITCH_ROLE": switch_role(lab_as_aws)}
    first = lab_as_aws.chaos.start_run(**env)
    first.until_said("The switch is armed")
    # The second passes its guard before the first has disabled the key, at best; so it is let in
    # by a DescribeKey that is behind.
    second = lab_as_aws.chaos.run(**env, **elsewhere(lab_as_aws, tmp_path))
    assert second.status == 1
    assert "is Disabled already" in second.output or "holds this key" in second.output
    first.signal(signal.SIGINT)
    assert first.wait().status == 1
    assert schedules(lab_as_aws) == []
    assert lab_as_aws.key_state() == "Enabled"


@pytest.mark.soak
def test_a_second_run_on_this_machine_is_refused(aws):
    lab_as_aws = aws(CHAOS_HOLD="20")
    first = lab_as_aws.chaos.start_run()
    first.until_said(MOMENTS["gate"])
    second = lab_as_aws.chaos.run()
    assert second.status == 1
    assert "holds the key" in second.said or "open entry" in second.said
    first.signal(signal.SIGTERM)
    first.wait()
    assert lab_as_aws.key_state() == "Enabled"


def test_restore_works_from_the_schedules_alone(aws, tmp_path):
    lab_as_aws = aws(profile="documented")
    running = killed_in(lab_as_aws, watchdog=False, CHAOS_SWITCH_ROLE=switch_role(lab_as_aws))
    until(lambda: not running.left(), every=0.2)
    assert lab_as_aws.key_state() == "Disabled"
    there = elsewhere(lab_as_aws, tmp_path)
    shown = lab_as_aws.chaos.kms("restore", "--dry-run", **there)
    assert shown.status == 1
    assert "would call kms:EnableKey" in shown.output
    assert lab_as_aws.key_state() == "Disabled"
    restored = lab_as_aws.chaos.kms("restore", **there)
    assert restored.status == 0, restored.output
    assert lab_as_aws.key_state() == "Enabled"
    until(lambda: lab_as_aws.cluster_status() == "available")
    assert schedules(lab_as_aws) == []
    assert "Nothing to put back: " in lab_as_aws.chaos.kms("restore", **there).output


@pytest.mark.soak
def test_restore_works_from_a_file_that_was_copied(aws, tmp_path):
    lab_as_aws = aws()
    running = killed_in(lab_as_aws, watchdog=False)
    until(lambda: not running.left(), every=0.2)
    (entry,) = (lab_as_aws.chaos.folder / "state" / "chaosaws-kms").glob("*.json")
    copied = tmp_path / "copied.json"
    shutil.copy(entry, copied)
    was = copied.read_bytes()
    restored = lab_as_aws.chaos.kms("restore", str(copied), **elsewhere(lab_as_aws, tmp_path))
    assert restored.status == 0, restored.output
    assert lab_as_aws.key_state() == "Enabled"
    assert copied.read_bytes() == was  # whose it is, is not known here


@pytest.mark.soak
def test_a_cluster_that_is_not_back_leaves_switch_and_watchdog_and_says_so(aws):
    lab_as_aws = aws(
        profile="documented", CHAOS_RECOVERY_STRATEGY="self-only", CHAOS_RECOVERY_TIMEOUT="2"
    )
    running = lab_as_aws.chaos.start_run(CHAOS_SWITCH_ROLE=switch_role(lab_as_aws))
    ran = running.wait()
    assert ran.status == 1
    assert "and the switch stays armed" in " ".join(ran.summary["reasons"])
    assert "the watchdog sees to the cluster's return" in ran.output
    until(lambda: not running.left(), every=0.2)
    assert lab_as_aws.cluster_status() == "available"
    assert schedules(lab_as_aws) == []
    assert at_most_its_schema_is_left(lab_as_aws)


def test_without_its_switch_no_key_is_taken_away(aws):
    lab_as_aws = aws()
    ran = lab_as_aws.chaos.run(CHAOS_SWITCH_ROLE="arn:aws:iam::123456789012:role/switch?")
    assert "CHAOS_SWITCH_ROLE must be the ARN of an IAM role" in ran.said
    misbehaviours = Misbehaviours.of(lab_as_aws.lab)
    misbehaviours.order(kind="expired-token", service="scheduler", operation="CreateSchedule")
    ran = lab_as_aws.chaos.run(CHAOS_SWITCH_ROLE=switch_role(lab_as_aws))
    assert ran.status == 1
    assert lab_as_aws.key_state() == "Enabled"
    assert "DisableKey" not in lab_as_aws.mutating_calls()
    misbehaviours.clear()
    assert nothing_is_left(lab_as_aws)


@pytest.mark.soak
def test_what_the_run_could_not_put_back_its_watchdog_does(aws):
    """AWS refuses the run's EnableKey for good; the watchdog finds it open again later."""
    lab_as_aws = aws()
    misbehaviours = Misbehaviours.of(lab_as_aws.lab)
    misbehaviours.order(kind="expired-token", service="kms", operation="EnableKey")
    running = lab_as_aws.chaos.start_run()
    ran = running.wait()
    assert ran.status == 1
    assert "the watchdog goes on putting the key back" in ran.output
    assert lab_as_aws.key_state() == "Disabled"
    misbehaviours.clear()
    until(lambda: lab_as_aws.key_state() == "Enabled")
    until(lambda: not running.left(), every=0.2)
    assert at_most_its_schema_is_left(lab_as_aws)


@pytest.mark.soak
def test_a_switch_that_cannot_be_disarmed_is_no_pass(aws):
    lab_as_aws = aws()
    misbehaviours = Misbehaviours.of(lab_as_aws.lab)
    misbehaviours.order(kind="expired-token", service="scheduler", operation="DeleteSchedule")
    ran = lab_as_aws.chaos.run(
        CHAOS_SWITCH_ROLE=switch_role(lab_as_aws), CHAOS_RECOVERY_STRATEGY="start"
    )
    assert ran.status == 1
    said = " ".join(ran.summary["reasons"])
    assert "is still armed" in said
    assert "`chaos kms restore` disarms it" in said
    misbehaviours.clear()
    assert lab_as_aws.chaos.kms("restore").status == 0
    assert schedules(lab_as_aws) == []
    assert nothing_is_left(lab_as_aws)


@pytest.mark.soak
def test_restore_lets_nothing_keep_it_from_the_key(aws, tmp_path):
    """A damaged entry beside, settings that are wrong, and nobody who hears what it says."""
    lab_as_aws = aws(profile="documented")
    running = killed_in(lab_as_aws, watchdog=False)
    until(lambda: not running.left(), every=0.2)
    state = lab_as_aws.chaos.folder / "state" / "chaosaws-kms"
    (state / "damaged-1.json").write_text("{")
    env = {**os.environ, **lab_as_aws.chaos.env, "CHAOS_CLUSTER_ID": "", "CHAOS_RTO": "soon"}
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            [program("chaos"), "--no-version-check", "kms", "restore"],
            env=env, stdout=full, stderr=full, timeout=60, check=False,
        )  # fmt: skip
    assert ran.returncode != 0  # of the damaged one
    assert lab_as_aws.key_state() == "Enabled"
    assert lab_as_aws.cluster_status() == "available"
    assert [path.name for path in state.glob("*.json")] == ["damaged-1.json"]


@pytest.mark.soak
def test_an_old_entry_does_not_enable_the_key_of_the_run_that_holds_it_now(aws, tmp_path):
    lab_as_aws = aws()
    role = switch_role(lab_as_aws)
    old = killed_in(lab_as_aws, watchdog=False, CHAOS_SWITCH_ROLE=role)
    until(lambda: not old.left(), every=0.2)
    (entry,) = (lab_as_aws.chaos.folder / "state" / "chaosaws-kms").glob("*.json")
    kept = tmp_path / "kept.json"
    shutil.copy(entry, kept)
    assert lab_as_aws.chaos.kms("restore").status == 0
    now = lab_as_aws.chaos.start_run(CHAOS_SWITCH_ROLE=role, CHAOS_HOLD="20")
    now.until_said(MOMENTS["hold"])
    restored = lab_as_aws.chaos.kms("restore", str(kept))
    assert restored.status == 0
    assert "holds this key now" in restored.output
    assert lab_as_aws.key_state() == "Disabled"
    now.signal(signal.SIGKILL)
    until(lambda: lab_as_aws.key_state() == "Enabled")


BARE = {
    "title": "A key is disabled", "description": "-",
    "method": [{
        "type": "action", "name": "disable-the-key", "pauses": {"after": 60},
        "provider": {
            "type": "python", "module": "chaosaws_kms_ext.kms.actions", "func": "disable_key",
        },
    }],
    "rollbacks": [],
}  # fmt: skip


def test_an_experiment_without_our_control_has_the_safeguards_too(aws, tmp_path):
    lab_as_aws = aws(profile="documented")
    bare = tmp_path / "bare.json"
    bare.write_text(json.dumps(BARE))
    running = lab_as_aws.chaos.start_run(bare)
    running.until_said("If this run dies the key is put back by: a watchdog")
    until(lambda: lab_as_aws.key_state() == "Disabled")
    running.signal(signal.SIGKILL)
    running.wait(60)
    until(lambda: lab_as_aws.key_state() == "Enabled")
    until(lambda: not running.left(), every=0.2)
    assert nothing_is_left(lab_as_aws)


def test_a_run_whose_watchdog_ends_puts_its_key_back_and_stops(aws):
    lab_as_aws = aws(CHAOS_HOLD="60", CHAOS_RECOVERY_STRATEGY="start")
    running = lab_as_aws.chaos.start_run()
    running.until_said(MOMENTS["hold"])
    running.run_id = re.search(r"Run (\S+) on aws", running.output)[1]
    (its,) = watchdogs(running)
    its.kill()
    ran = running.wait()
    assert ran.status == 1
    assert "its watchdog has ended" in ran.summary["reasons"][0]
    assert lab_as_aws.key_state() == "Enabled"


@pytest.mark.soak
def test_a_watchdog_needs_no_journal_that_it_has_once_read(aws):
    lab_as_aws = aws()
    running = lab_as_aws.chaos.start_run()
    running.until_said(MOMENTS["hold"])
    shutil.rmtree(lab_as_aws.chaos.folder / "state")
    running.signal(signal.SIGKILL)
    running.wait(60)
    until(lambda: lab_as_aws.key_state() == "Enabled")
    until(lambda: not running.left(), every=0.2)
    assert lab_as_aws.cluster_status() == "available"


@pytest.mark.soak
def test_a_key_that_was_put_back_before_is_left_to_whoever_disabled_it_since(aws, tmp_path):
    lab_as_aws = aws()
    killed_in(lab_as_aws, watchdog=False, CHAOS_SWITCH_ROLE=switch_role(lab_as_aws))
    assert lab_as_aws.chaos.kms("restore", **elsewhere(lab_as_aws, tmp_path)).status == 0
    lab_as_aws.client("kms").disable_key(KeyId=lab_as_aws.key)
    old = lab_as_aws.chaos.kms("restore")
    assert old.status == 1
    assert "somebody took it away again" in old.output
    assert lab_as_aws.key_state() == "Disabled"
    assert lab_as_aws.chaos.kms("restore", "--force").status == 0
    assert lab_as_aws.key_state() == "Enabled"
    assert nothing_is_left(lab_as_aws)


def entry_left_in(lab_as_aws, **changed):
    """The journal entry of a run that was killed there, changed."""
    killed_in(lab_as_aws, watchdog=False)
    (path,) = (lab_as_aws.chaos.folder / "state" / "chaosaws-kms").glob("*.json")
    entry = json.loads(path.read_text()) | changed
    for call in entry["undo"]["calls"]:
        call["params"]["KeyId"] = entry["key"]
    path.write_text(json.dumps(entry))


@pytest.mark.soak
def test_a_cluster_that_was_deleted_does_not_keep_its_entry_open(aws):
    lab_as_aws = aws()
    entry_left_in(lab_as_aws, cluster="another")
    restored = lab_as_aws.chaos.kms("restore")
    assert "another is not there any more" in restored.output
    assert lab_as_aws.key_state() == "Enabled"
    until(lambda: lab_as_aws.cluster_status() == "available")  # by itself
    assert at_most_its_schema_is_left(lab_as_aws)


@pytest.mark.soak
def test_the_credentials_of_another_account_close_no_entry(aws):
    lab_as_aws = aws()
    entry_left_in(lab_as_aws, key=lab_as_aws.key.replace("123456789012", "999999999999"))
    restored = lab_as_aws.chaos.kms("restore")
    assert restored.status == 1
    assert "is of account 999999999999, these credentials of 123456789012" in restored.output
    assert lab_as_aws.key_state() == "Disabled"
