"""A key that encrypts two clusters: both go, both are measured, and both are brought back."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.iam.permissions import Caller
from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from tests.support.chaos_runs import experiment, killed_in, nothing_is_left, schedules, switch_role
from tests.support.labs import until
from tests.support.least_privilege import PATIENT, somebody, table

pytestmark = pytest.mark.thorough

SHARED = experiment("kms-shared-key")
BOTH = ("orders", "carts")
GONE = "inaccessible-encryption-credentials-recoverable"
SLOW = 60.0
"""Speed of a lab whose outages are long beside what a busy machine can be off."""


def statuses(lab_as_aws):
    return {lab_as_aws.cluster_status(each) for each in BOTH}


def both_are_back(lab_as_aws, within=60.0):
    until(lambda: lab_as_aws.key_state() == "Enabled", within, every=0.2)
    until(lambda: statuses(lab_as_aws) == {"available"}, within, every=0.2)
    return True


def killed(lab_as_aws, **more):
    """A run that was killed in the hold, with both clusters gone."""
    running = killed_in(lab_as_aws, path=SHARED, **more)
    assert statuses(lab_as_aws) == {GONE}
    return running


def started(lab_as_aws):
    return lab_as_aws.mutating_calls().count("StartDBCluster")


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_both_go_and_both_are_measured_side_by_side(chaos):
    ran = chaos.run(SHARED, CHAOS_LAB_SPEED=str(SLOW), CHAOS_RECOVERY_STRATEGY="start")
    assert ran.status == 0, ran.output
    summary = ran.summary
    second = summary["loads"]["second"]
    for each in (summary, second):
        assert each["hang"] == {"open_sessions": True, "new_connections": True}
        assert each["time_to_inaccessible_seconds"] > 5
        assert each["outage_seconds"] > each["time_to_recovery_seconds"] > 1
        assert each["recovery_path"] == "start-db-cluster"
        assert each["writes"]["acknowledged"] > 50
        assert each["writes"]["lost"] == 0
        assert each["recovery_curve"]["all"] == each["time_to_recovery_seconds"]
    assert second["missed_arrivals"] is None
    (rto,) = [each for each in summary["objectives"] if each["name"] == "rto"]
    worst = max(each["time_to_recovery_seconds"] for each in (summary, second))
    assert rto["measured_seconds"] == worst
    assert ("loads" in rto) == (worst != summary["time_to_recovery_seconds"])
    assert "time to recovery (second)" in ran.output


def test_the_watchdog_of_a_killed_run_brings_both_back(aws):
    lab_as_aws = aws(profile="documented", clusters=2)
    running = killed(lab_as_aws)
    assert both_are_back(lab_as_aws)
    until(lambda: not running.left(), every=0.2)
    (log,) = (lab_as_aws.chaos.folder / "state" / "chaosaws-kms").glob("*.watchdog.log")
    for each in BOTH:
        assert f"the cluster {each} was started" in log.read_text()
    assert started(lab_as_aws) == 2
    restored = lab_as_aws.chaos.kms("restore")
    assert "EnableKey" not in restored.output
    for each in BOTH:
        assert f"schema chaos_kms of the load in the cluster {each}: dropped" in restored.output
    assert nothing_is_left(lab_as_aws)


@pytest.mark.soak
def test_restore_brings_both_back(aws):
    lab_as_aws = aws(profile="documented", clusters=2)
    running = killed(lab_as_aws, watchdog=False)
    until(lambda: not running.left(), every=0.2)
    shown = lab_as_aws.chaos.kms("restore", "--dry-run")
    for each in BOTH:
        assert f"would start the cluster {each} if it is without its key" in shown.output
    restored = lab_as_aws.chaos.kms("restore")
    assert restored.status == 0, restored.output
    assert both_are_back(lab_as_aws)
    assert nothing_is_left(lab_as_aws)


@pytest.mark.soak
def test_restore_brings_both_back_from_the_schedules_alone(aws, tmp_path):
    lab_as_aws = aws(profile="documented", clusters=2)
    running = killed(lab_as_aws, watchdog=False, CHAOS_SWITCH_ROLE=switch_role(lab_as_aws))
    until(lambda: not running.left(), every=0.2)
    key_id = lab_as_aws.key.rpartition("/")[2]
    assert schedules(lab_as_aws) == [f"start-2-{key_id}", f"start-{key_id}", f"undo-{key_id}"]
    elsewhere = {"XDG_STATE_HOME": str(tmp_path / "elsewhere")}
    restored = lab_as_aws.chaos.kms("restore", **elsewhere)
    assert restored.status == 0, restored.output
    assert both_are_back(lab_as_aws)
    assert schedules(lab_as_aws) == []


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_the_switch_alone_brings_both_back(aws):
    """Nothing of the run is left: AWS itself calls EnableKey, and StartDBCluster of each."""
    lab_as_aws = aws(profile="documented", clusters=2, CHAOS_MAX_KEY_UNUSABLE="15")
    running = killed(lab_as_aws, watchdog=False, CHAOS_SWITCH_ROLE=switch_role(lab_as_aws))
    until(lambda: not running.left(), every=0.2)
    assert lab_as_aws.key_state() == "Disabled"
    until(lambda: lab_as_aws.key_state() == "Enabled", 150, every=0.5)
    until(lambda: statuses(lab_as_aws) == {"available"}, 330, every=0.5)
    assert lab_as_aws.chaos.kms("restore").status == 0
    assert schedules(lab_as_aws) == []
    assert nothing_is_left(lab_as_aws)


@pytest.mark.soak
def test_a_cluster_that_cannot_be_started_does_not_keep_the_other(aws):
    lab_as_aws = aws(profile="documented", clusters=2)
    running = killed(lab_as_aws, watchdog=False)
    until(lambda: not running.left(), every=0.2)
    misbehaviours = Misbehaviours.of(lab_as_aws.lab)
    misbehaviours.order(kind="expired-token", service="rds", operation="StartDBCluster", count=1)
    restored = lab_as_aws.chaos.kms("restore")
    assert restored.status == 1
    assert "NOT put back: orders, carts: " in restored.output
    assert lab_as_aws.cluster_status("orders") == GONE
    assert lab_as_aws.cluster_status("carts") == "available"
    assert lab_as_aws.chaos.kms("restore").status == 0
    assert both_are_back(lab_as_aws)
    assert nothing_is_left(lab_as_aws)


@pytest.mark.soak
def test_a_run_that_waits_in_vain_for_the_second_alone_fails_and_its_watchdog_goes_on(aws):
    lab_as_aws = aws(profile="documented", clusters=2, CHAOS_RECOVERY_TIMEOUT="25")
    role = switch_role(lab_as_aws)
    Misbehaviours.of(lab_as_aws.lab).order(kind="slow-recovery", cluster="carts", seconds=15_000)
    running = lab_as_aws.chaos.start_run(
        SHARED, CHAOS_SWITCH_ROLE=role, CHAOS_RECOVERY_STRATEGY="start"
    )
    ran = running.wait()
    assert ran.status == 1
    said = " ".join(ran.summary["reasons"])
    assert "orders, carts to recover" in said
    assert "carts: it is starting" in said
    assert "orders: " not in said
    assert "the cluster carts is starting: `chaos kms restore` starts it, and the switch" in said
    assert both_are_back(lab_as_aws, 90)
    until(lambda: not running.left(), every=0.2)
    assert schedules(lab_as_aws) == []


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_write_that_only_the_second_loses_fails_the_run_and_names_its_load(aws):
    lab_as_aws = aws(clusters=2, CHAOS_RECOVERY_STRATEGY="start")
    order = {"kind": "lose-writes", "cluster": "carts", "writes": 40, "seed": 5}
    Misbehaviours.of(lab_as_aws.lab).order(**order)
    ran = lab_as_aws.chaos.run(SHARED)
    assert ran.status == 1
    lost = ran.summary["loads"]["second"]["lost_writes"]
    assert len(lost) > 5
    assert ran.summary["lost_writes"] == []
    missed = f"lost_writes of the load second was {len(lost)}, and its limit is 0"
    assert f"objective missed: {missed}" in ran.summary["reasons"]


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_it_passes_under_the_printed_policy_that_names_both(aws):
    lab_as_aws = aws(iam=True, speed=SLOW, clusters=2, **PATIENT)
    who = somebody(lab_as_aws, Caller.RUN)
    ran = lab_as_aws.chaos.run(SHARED, **who.env, CHAOS_RTO="120")
    assert ran.status == 0, ran.output
    assert lab_as_aws.called(who.access_key) <= table(Caller.RUN)
    assert started(lab_as_aws) == 2
    assert nothing_is_left(lab_as_aws)


@pytest.mark.soak
def test_who_may_start_only_the_first_is_refused_by_name(aws):
    lab_as_aws = aws(iam=True, clusters=2)
    who = somebody(lab_as_aws, Caller.RUN)
    rds = lab_as_aws.client("rds")
    iam = lab_as_aws.client("iam")
    carts = rds.describe_db_clusters(DBClusterIdentifier="carts")["DBClusters"][0]["DBClusterArn"]
    deny = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", '
        f'"Action": "rds:StartDBCluster", "Resource": "{carts}"}}]}}'
    )
    role = who.arn.rsplit("/", 1)[1]
    iam.put_role_policy(RoleName=role, PolicyName="not-carts", PolicyDocument=deny)
    ran = lab_as_aws.chaos.run(SHARED, **who.env)
    assert ran.status == 1
    assert f"may not rds:StartDBCluster on {carts}" in ran.said
    assert lab_as_aws.key_state() == "Enabled"
    assert "DisableKey" not in lab_as_aws.mutating_calls()


@pytest.mark.soak
def test_a_count_that_is_not_exact_is_refused_and_both_are_named(aws):
    lab_as_aws = aws(clusters=2)
    ran = lab_as_aws.chaos.run(SHARED, CHAOS_BLAST_RADIUS="1")
    assert ran.status == 1
    assert "2 other things use the key of orders" in ran.said
    assert "(cluster carts, instance carts-1)" in ran.said
