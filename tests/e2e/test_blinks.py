"""Keys that are away for a short time: what is found agrees with the lab, and all comes back."""

from __future__ import annotations

import json
import signal

import pytest

from tests.support.alarms import put_alarm
from tests.support.chaos_runs import at_most_its_schema_is_left, experiment, schedules, switch_role
from tests.support.labs import until

pytestmark = pytest.mark.soak

SPEED = 100.0
FASTER = {
    "CHAOS_LAB_SPEED": str(SPEED),
    "CHAOS_RECOVERY_STRATEGY": "start",
    "CHAOS_NORMAL_LATENCY_WITHIN": "0",
}


def lag_of(seconds):
    order = {"kind": "detection-lag", "cluster": "orders", "seconds": seconds}
    return {"CHAOS_LAB_FAULTS": json.dumps([order])}


def altered(tmp_path, name, **arguments):
    content = json.loads(experiment(name).read_text())
    content["method"][0]["provider"]["arguments"] |= arguments
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("lag", [200, 450, 700])
def test_the_longest_blink_that_is_found_agrees_with_the_labs_truth(chaos, tmp_path, lag):
    path = altered(tmp_path, "kms-longest-blink", outages=4, resolution=30, steps=8, watch_for=300)
    ran = chaos.run(path, **FASTER, **lag_of(lag))
    assert ran.status == 0, ran.output
    found = ran.summary
    longest = found["longest_blink_without_outage_seconds"] * SPEED
    shortest = found["shortest_blink_with_outage_seconds"] * SPEED
    off = max(each["error_bound_seconds"] for each in found["blinks"]) * SPEED
    assert longest <= lag + off
    assert shortest >= lag - off
    assert shortest - longest <= found["longest_blink_known_within_seconds"] * SPEED
    assert found["blink_steps"] == len(found["blinks"]) <= 8


def test_it_stops_at_the_first_outage_where_it_may_cause_one(chaos, tmp_path):
    path = altered(tmp_path, "kms-longest-blink", outages=1)
    ran = chaos.run(path, **FASTER, **lag_of(200))
    assert ran.status == 0, ran.output
    outages = [each["outage"] for each in ran.summary["blinks"]]
    assert outages == [False, True]


def test_an_alarm_between_two_blinks_ends_the_run_before_the_second(aws, tmp_path):
    lab_as_aws = aws(speed=10, CHAOS_STOP_ALARMS="orders-errors", CHAOS_STATUS_POLL_EVERY="5")
    put_alarm(lab_as_aws.client("cloudwatch"), "orders-errors")
    path = altered(tmp_path, "kms-flap", seconds=3, watch_for=16, times=2)
    running = lab_as_aws.chaos.start_run(path)
    until(lambda: "EnableKey" in lab_as_aws.mutating_calls(), timeout=60)
    set_state = lab_as_aws.client("cloudwatch").set_alarm_state
    set_state(AlarmName="orders-errors", StateValue="ALARM", StateReason="a test")
    ran = running.wait(120)
    assert ran.status == 1
    assert ran.summary["verdict"] == "aborted", ran.output
    assert "the CloudWatch alarm orders-errors went off" in ran.output
    assert lab_as_aws.mutating_calls().count("DisableKey") == 1
    assert lab_as_aws.key_state() == "Enabled"


def test_a_blink_that_shows_is_put_back_at_once_and_no_other_follows(chaos):
    ran = chaos.run(experiment("kms-flap"), **FASTER, **lag_of(60))
    assert ran.status == 1
    assert ran.summary["verdict"] == "failed"
    assert ran.summary["blink_steps"] == 1
    assert ran.summary["reasons"][0].startswith("objective missed: missed_arrivals was ")
    assert ran.summary["writes"]["lost"] == 0


@pytest.mark.parametrize("moment", ["BLINK", "between"])
def test_a_run_that_is_killed_between_and_in_its_blinks_leaves_the_key(aws, tmp_path, moment):
    lab_as_aws = aws(profile="documented", CHAOS_BLAST_RADIUS="0")
    path = altered(tmp_path, "kms-flap", seconds=1, watch_for=3)
    running = lab_as_aws.chaos.start_run(path, CHAOS_SWITCH_ROLE=switch_role(lab_as_aws))
    if moment == "BLINK":
        until(lambda: lab_as_aws.key_state() == "Disabled", timeout=60)
    else:
        running.until_said("AWS seconds: no outage", 60)
    running.signal(signal.SIGKILL)
    running.wait(60)
    until(lambda: not running.left(), every=0.2)
    assert lab_as_aws.key_state() == "Enabled"
    until(lambda: lab_as_aws.cluster_status() == "available", timeout=60, every=0.2)
    assert at_most_its_schema_is_left(lab_as_aws)
    assert schedules(lab_as_aws) == []


def test_every_blink_has_its_own_entry_switch_and_guard(aws, tmp_path):
    lab_as_aws = aws()
    path = altered(tmp_path, "kms-flap", seconds=0.5, watch_for=1, times=2)
    ran = lab_as_aws.chaos.run(path, CHAOS_SWITCH_ROLE=switch_role(lab_as_aws))
    assert ran.status == 0, ran.output
    text = (ran.reports / "latest" / "history" / "events.jsonl").read_text()
    names = [json.loads(line).get("name") for line in text.splitlines()]
    for name in ("journal-opened", "switch-armed", "fault-injected", "journal-closed"):
        assert names.count(name) == 2, name
    assert names.count("guard") == 3  # the run's own before them
    assert schedules(lab_as_aws) == []
    assert at_most_its_schema_is_left(lab_as_aws)
