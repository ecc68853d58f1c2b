"""The main job: `chaos run experiments/kms-disable.json`, and what its figures are worth."""

from __future__ import annotations

import json
import threading

import psutil
import psycopg
import pytest

from tests.support.alarms import put_alarm
from tests.support.chaos import Chaos, left, marked
from tests.support.labs import until

POISON = {
    "AWS_PROFILE": "production",
    "AWS_ACCESS_KEY_ID": "AKIAREAL",
    "AWS_SESSION_TOKEN": "real",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_KMS": "http://127.0.0.1:9",
    "AWS_REGION": "us-east-1",
    "AWS_CA_BUNDLE": "/nowhere",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "PGHOSTADDR": "127.0.0.9",
    "PGSSLMODE": "verify-full",
    "PGPASSWORD": "hunter2",
    "LOCUST_RUN_TIME": "1s",
}
"""Anything of it that were used on the lab would end the run."""


@pytest.fixture
def chaos(tmp_path):
    """The program itself, with its own lab and watchdog."""
    return Chaos(tmp_path, forks=False)


@pytest.mark.soak
def test_on_the_lab_it_passes_and_says_everything(chaos):
    ran = chaos.run(**POISON)
    assert ran.status == 0, ran.output
    summary = ran.summary
    assert (summary["verdict"], summary["reasons"]) == ("passed", [])
    assert summary["recovery_path"] == "self-restart"
    assert summary["lab"] == {"speed": 300.0, "profile": "observed"}
    assert summary["hang"] == {"open_sessions": True, "new_connections": True}
    assert summary["seed_rows"] == {"expected": 4, "present": 4}
    known = summary["time_to_know"]
    assert all(known[each]["seconds"] > 0 for each in ("status", "rds_event", "health_check"))
    assert known["alarm"] is None
    assert summary["writes"]["lost"] == 0
    assert summary["writes"]["acknowledged"] > 20
    assert summary["writes"]["present"] >= summary["writes"]["acknowledged"]
    assert summary["operations"]["unsent"] > 100
    assert {o["name"]: o["met"] for o in summary["objectives"]} == {
        "rto": True,
        "lost_writes": True,
        "changed_writes": True,
        "duplicated_writes": True,
        "reordered_writes": True,
        "stale_reads": True,
    }
    assert summary["integrity"] == {"changed": 0, "duplicated": 0, "reordered": 0}
    assert summary["register_reads"]["seen"] > 20
    assert summary["outage_seconds"] > summary["time_to_recovery_seconds"] > 1
    missing = [name for name, value in summary.items() if value is None]
    # What this experiment is not about, or has none of.
    assert missing == ["missed_arrivals", "replacement", "contexts", "audit"]
    assert summary["loads"] == {}

    folder = ran.reports / "latest"
    assert folder.resolve().parent == (ran.reports / "kms-disable").resolve()
    journal = json.loads((folder / "journal.json").read_text())
    assert journal["status"] == "completed"
    assert journal["steady_states"]["before"]["steady_state_met"]
    assert any((folder / "history").glob("operations-main-*.arrows"))
    assert left(ran.mark) == []
    for shown in (
        "time to impact",
        "outage",
        "time to recovery",
        "by itself",
        "acknowledged",
        "objective rto",
        "verdict",
        "its times are the lab's, not AWS'",
    ):
        assert shown in ran.output


@pytest.mark.soak
def test_where_aurora_does_not_come_back_by_itself_it_is_started(chaos):
    ran = chaos.run(CHAOS_LAB_PROFILE="documented")
    assert ran.status == 0, ran.output
    assert ran.summary["recovery_path"] == "start-db-cluster"
    recovery = ran.summary["recovery"]
    assert recovery["start_called_after_seconds"] == pytest.approx(2700 / 300, abs=1)
    assert recovery["start_to_available_seconds"] > 0


@pytest.mark.soak
def test_a_recovery_over_the_objective_fails(chaos):
    ran = chaos.run(CHAOS_RTO="300")
    assert ran.status == 1
    assert ran.summary["verdict"] == "failed"
    (reason,) = ran.summary["reasons"]
    assert reason.startswith("objective missed: rto ")
    assert reason.endswith(", and its limit is 1 s")


def test_unchanged_on_aws_its_figures_are_the_truth(aws):
    lab_as_aws = aws(CHAOS_ALARMS="checkout-errors, orders-connections")
    password = lab_as_aws.lab.clusters[0]["password"]
    cloudwatch = lab_as_aws.client("cloudwatch")
    for alarm in ("checkout-errors", "orders-connections"):
        put_alarm(cloudwatch, alarm)
    running = lab_as_aws.chaos.start_run(PGPASSWORD=password, PGPASSFILE="/nowhere")
    until(lambda: lab_as_aws.key_state() == "Disabled", 40)
    cloudwatch.set_alarm_state(
        AlarmName="orders-connections", StateValue="ALARM", StateReason="a test"
    )
    ran = running.wait()
    assert ran.status == 0, ran.output
    summary = ran.summary
    assert (summary["target"], summary["lab"], summary["seed_rows"]) == ("aws", None, None)

    told = {t["what"]: t["at"] for t in lab_as_aws.truth()}
    outage = (told["ready"] - told["freezing"]) / 1e9
    # On a busy machine it takes a while from a server that is ready to the first answer.
    assert summary["outage_seconds"] == pytest.approx(
        outage, abs=summary["error_bound_seconds"] + 0.2
    )
    assert lab_as_aws.key_state() == "Enabled"
    mine = ["PutMetricAlarm", "PutMetricAlarm", "DisableKey", "SetAlarmState", "EnableKey"]
    assert lab_as_aws.mutating_calls() == mine
    known = summary["time_to_know"]
    # The alarm counts if it may have gone off before the key was back; looks are 5 s apart.
    assert known["status"]["seconds"] == summary["time_to_inaccessible_seconds"]
    assert known["rds_event"]["event"] == "RDS-EVENT-0418"
    assert known["alarm"]["name"] == "orders-connections"
    assert 0 < known["alarm"]["seconds"] < summary["key_unusable_seconds"] + 5
    assert known["rds_event"]["seconds"] > 0
    assert known["health_check"]["seconds"] > 2  # a hung try ends at its deadline
    assert "time to know" in ran.output
    with psycopg.connect(lab_as_aws.database) as connection:
        found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'chaos_kms'")
        assert found.fetchone() is None
    written = [path for path in lab_as_aws.chaos.folder.rglob("*") if path.is_file()]
    assert len(written) > 5
    assert not [path for path in written if password.encode() in path.read_bytes()]


SWALLOW = """
CREATE FUNCTION chaos_kms.swallow() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN IF NEW.sequence % 2 = 0 THEN RETURN NULL; END IF; RETURN NEW; END';
CREATE TRIGGER swallow BEFORE INSERT ON chaos_kms.writes
    FOR EACH ROW EXECUTE FUNCTION chaos_kms.swallow();
"""


@pytest.mark.soak
def test_a_database_that_loses_acknowledged_writes_fails(aws):
    lab_as_aws = aws()

    def swallow():
        with psycopg.connect(lab_as_aws.database, autocommit=True) as connection:
            query = "SELECT to_regclass('chaos_kms.writes')"
            until(lambda: connection.execute(query).fetchone()[0], 30)
            connection.execute(SWALLOW)

    thief = threading.Thread(target=swallow)
    thief.start()
    ran = lab_as_aws.chaos.run()
    thief.join()
    assert ran.status == 1
    summary = ran.summary
    assert summary["verdict"] == "failed"
    lost, acknowledged = summary["writes"]["lost"], summary["writes"]["acknowledged"]
    assert 0.2 * acknowledged < lost < 0.8 * acknowledged
    assert f"objective missed: lost_writes was {lost}, and its limit is 0" in summary["reasons"]
    assert len(summary["lost_writes"]) == lost
    assert all(sequence % 2 == 0 for _, sequence in summary["lost_writes"])


def test_a_fault_that_never_shows_is_no_pass(aws):
    lab_as_aws = aws(speed=1.0, CHAOS_IMPACT_TIMEOUT="2", CHAOS_HOLD="1")
    ran = lab_as_aws.chaos.run()
    assert ran.status == 1
    assert ran.summary["verdict"] == "failed"
    reasons = " ".join(ran.summary["reasons"])
    assert "orders to become inaccessible: not within 2 s" in reasons
    assert ran.summary["time_to_impact_seconds"] is None
    assert lab_as_aws.key_state() == "Enabled"


@pytest.mark.soak
def test_a_key_that_somebody_else_puts_back_is_no_pass(aws):
    lab_as_aws = aws(CHAOS_HOLD="20")
    running = lab_as_aws.chaos.start_run()
    running.until_said("Action: hold-the-outage")
    lab_as_aws.client("kms").enable_key(KeyId=lab_as_aws.key)
    ran = running.wait()
    assert ran.status == 1
    assert ran.summary["verdict"] == "failed"
    assert ran.summary["time_to_recovery_seconds"] is None
    assert any("somebody put it back" in reason for reason in ran.summary["reasons"])


def children(ran, word):
    return [
        process
        for process in psutil.Process(ran.process.pid).children(recursive=True)
        if word in " ".join(process.cmdline())
    ]


@pytest.mark.soak
def test_a_load_that_dies_is_no_pass(chaos):
    running = chaos.start_run()
    running.until_said("Action: hold-the-outage")
    (locust,) = children(running, "locust")
    locust.kill()
    ran = running.wait()
    assert ran.status == 1
    assert ran.summary["verdict"] in ("inconclusive", "failed")
    assert any("it was killed by SIGKILL" in reason for reason in ran.summary["reasons"])


def test_a_lab_that_dies_ends_the_run(tmp_path):
    running = Chaos(tmp_path).start_run()
    running.until_said("Probe: wait-until-the-cluster-is-inaccessible")
    labs = [p for p in marked(running.mark) if "-m chaosaws_kms_lab " in " ".join(p.cmdline())]
    assert labs
    for process in labs:
        process.kill()
    ran = running.wait(60)
    assert ran.status == 1
    assert ran.summary["verdict"] == "failed"
    until(lambda: not running.left(), every=0.2)


@pytest.mark.soak
def test_over_tls_it_passes_too(chaos):
    ran = chaos.run(CHAOS_LAB_TLS="yes", CHAOS_RECOVERY_STRATEGY="start")
    assert ran.status == 0, ran.output
    assert ran.summary["lab"] == {"speed": 300.0, "profile": "observed", "tls": True}
    assert ran.summary["hang"] == {"open_sessions": True, "new_connections": True}
    assert ran.summary["writes"]["lost"] == 0
