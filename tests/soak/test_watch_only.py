"""Somebody else takes the key away while a run watches: with the AWS' own client, as anybody."""

from __future__ import annotations

import json
import re
import time

import pytest

from chaosaws_kms_ext.iam.permissions import Caller
from chaosaws_kms_ext.settings import Settings
from tests.support.chaos import ROOT, aws, chaos
from tests.support.chaos_runs import error
from tests.support.labs import until
from tests.support.least_privilege import somebody

__all__ = ["aws", "chaos"]

pytestmark = pytest.mark.soak

WATCH = ROOT / "experiments" / "watch-only.json"
TAKEN = "Probe: wait-until-somebody-takes-the-key-away"
BACK = "Probe: wait-until-the-key-is-back"

READS = ("Describe", "Get", "List", "Lookup", "Simulate", "Receive")
OWN = {"DeleteMessage"}
"""Of the queue that is there for this."""

POLL = Settings(target="aws").status_poll

PATIENT = {"CHAOS_RETURN_TIMEOUT": "60", "CHAOS_LAB_SOMEBODY": "nobody"}


def changes(folder):
    """The calls that the run itself recorded, but for looks."""
    lines = (folder / "latest" / "history" / "aws-calls.jsonl").read_text().splitlines()
    called = {json.loads(line)["operation"] for line in lines}
    assert "DescribeKey" in called
    return {each for each in called if not each.startswith(READS)} - OWN


def watching(lab_as_aws, **env):
    running = lab_as_aws.chaos.start_run(WATCH, **PATIENT, **env)
    running.until_said(TAKEN)
    return running


def test_who_may_only_read_measures_what_another_client_does(aws):
    lab_as_aws = aws(iam=True)
    who = somebody(lab_as_aws, Caller.WATCHER)
    env = {name: value for name, value in who.env.items() if name != "CHAOS_SWITCH_ROLE"}
    running = watching(lab_as_aws, **env)
    kms = lab_as_aws.client("kms")
    kms.disable_key(KeyId=lab_as_aws.key)
    running.until_said(BACK)
    until(lambda: lab_as_aws.cluster_status().startswith("inaccessible"))
    kms.enable_key(KeyId=lab_as_aws.key)
    ran = running.wait()
    assert ran.status == 0, ran.output
    summary = ran.summary
    assert summary["by_others"]["taken"]["seen_by"] == "key-state"
    assert summary["by_others"]["back"]["seen_by"] == "key-state"
    assert summary["audit"]["disabled_by"]["who"] == "arn:aws:iam::123456789012:user/lab"
    bounds = summary["bounds"]["time_to_recovery_seconds"]
    assert bounds >= summary["by_others"]["back"]["within_seconds"] > 0
    assert changes(ran.reports) == set()
    called = {operation for _, operation in lab_as_aws.called(who.access_key)}
    assert {each for each in called if not each.startswith(READS)} - OWN == set()


def test_a_key_that_a_policy_denies_is_seen_although_it_stays_enabled(aws):
    lab_as_aws = aws()
    running = watching(lab_as_aws)
    kms = lab_as_aws.client("kms")
    named = {"KeyId": lab_as_aws.key, "PolicyName": "default"}
    old = kms.get_key_policy(**named)["Policy"]
    deny = {"Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"}
    policy = json.loads(old)
    policy["Statement"].append(deny)
    kms.put_key_policy(**named, Policy=json.dumps(policy))
    running.until_said(BACK)
    until(lambda: lab_as_aws.cluster_status().startswith("inaccessible"))
    kms.put_key_policy(**named, Policy=old)
    ran = running.wait()
    assert ran.status == 0, ran.output
    assert ran.summary["by_others"]["taken"]["seen_by"] == "key-policy"
    assert ran.summary["by_others"]["back"]["seen_by"] == "key-policy"
    assert ran.summary["audit"]["enabled_by"]["who"].endswith(":user/lab")


def test_of_a_cause_that_nothing_shows_the_outage_is_measured_and_the_rest_is_not_known(aws):
    lab_as_aws = aws()
    running = watching(lab_as_aws)
    kms = lab_as_aws.client("kms")
    grants = kms.list_grants(KeyId=lab_as_aws.key)["Grants"]
    (its,) = [each for each in grants if "rds" in each["GranteePrincipal"]]
    kms.revoke_grant(KeyId=lab_as_aws.key, GrantId=its["GrantId"])
    running.until_said(BACK)
    time.sleep(2 * POLL + 2)  # else it is known as exactly as by two looks
    kms.create_grant(
        KeyId=lab_as_aws.key,
        GranteePrincipal=its["GranteePrincipal"],
        Operations=its["Operations"],
        Constraints=its["Constraints"],
    )
    ran = running.wait()
    summary = ran.summary
    assert (ran.status, summary["verdict"]) == (1, "inconclusive"), ran.output
    assert summary["by_others"]["taken"]["seen_by"] == "cluster-status"
    assert summary["outage_seconds"] > 0
    assert summary["time_to_recovery_seconds"] is None
    assert any("neither the key's state nor its policy showed" in why for why in summary["reasons"])


def test_who_gives_the_key_back_too_late_fails_the_run_and_it_changes_nothing(aws):
    lab_as_aws = aws(CHAOS_RETURN_TIMEOUT="3")
    running = lab_as_aws.chaos.start_run(WATCH, CHAOS_LAB_SOMEBODY="nobody")
    running.until_said(TAKEN)
    lab_as_aws.client("kms").disable_key(KeyId=lab_as_aws.key)
    ran = running.wait()
    assert ran.status == 1
    assert ran.summary["verdict"] == "failed"
    assert re.match(
        r"action wait-until-the-key-is-back: whoever took the key away to give it back: not within",
        ran.summary["reasons"][0],
    ), ran.summary["reasons"]
    assert lab_as_aws.key_state() == "Disabled"
    assert changes(ran.reports) == set()


def test_without_a_loss_it_is_inconclusive_or_passes_where_none_was_expected(chaos):
    quiet = {"CHAOS_LAB_SOMEBODY": "nobody", "CHAOS_IMPACT_TIMEOUT": "600"}
    ran = chaos.run(WATCH, **quiet)
    assert (ran.status, ran.summary["verdict"]) == (1, "inconclusive"), ran.output
    assert ran.summary["reasons"][0] == (
        "nobody was seen to take the key away within 2 s (CHAOS_IMPACT_TIMEOUT): nothing was "
        "measured"
    )
    longer = {**quiet, "CHAOS_IMPACT_TIMEOUT": "3000"}
    ran = chaos.run(WATCH, **longer, CHAOS_EXPECT_LOSS="no")
    assert (ran.status, ran.summary["verdict"]) == (0, "passed"), ran.output
    assert ran.summary["missed_arrivals"] == 0
    ran = chaos.run(WATCH, CHAOS_EXPECT_LOSS="no")
    assert (ran.status, ran.summary["verdict"]) == (1, "failed"), ran.output
    assert ran.summary["reasons"][0] == (
        "somebody took the key away, and CHAOS_EXPECT_LOSS says that nobody would"
    )


def test_a_trail_that_refuses_to_tell_costs_the_names_alone(chaos):
    silent = error("cloudtrail", "LookupEvents")
    ran = chaos.run(WATCH, CHAOS_LAB_FAULTS=json.dumps([silent]))
    assert ran.status == 0, ran.output
    assert ran.summary["audit"]["disabled_by"] is None
    assert ran.summary["time_to_recovery_seconds"] is not None


def test_a_watching_run_that_is_killed_says_nothing_of_a_key_to_put_back(aws):
    lab_as_aws = aws()
    running = watching(lab_as_aws, CHAOS_LOAD_WRITES="none")  # so it leaves nothing at all
    lab_as_aws.client("kms").disable_key(KeyId=lab_as_aws.key)
    running.until_said(BACK)
    running.signal(9)
    running.wait(5)
    until(lambda: not running.left())
    (folder,) = (lab_as_aws.chaos.folder / "reports" / "watch-only").iterdir()
    said = lab_as_aws.chaos.kms("report", str(folder))
    assert (said.status, "verdict                      aborted" in said.output) == (1, True)
    assert "was put back" not in said.output
    assert "Nothing to put back" in lab_as_aws.chaos.kms("restore").output
    assert lab_as_aws.key_state() == "Disabled"
