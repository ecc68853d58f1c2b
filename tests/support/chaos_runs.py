"""What tests of whole runs share: experiments, moments, what is left."""

from __future__ import annotations

import json
import re
import signal

import psutil

from chaosaws_kms_ext.aws import rds
from tests.support.chaos import ROOT


def experiment(name):
    return ROOT / "experiments" / f"{name}.json"


TRIES = 5
"""What a call that fails costs: boto3 tries so often."""


def error(service, operation, count=None):
    return {"kind": "error", "service": service, "operation": operation, "count": count}


MOMENTS = {
    "before": "Rollbacks strategy: always",
    "gate": "Steady state hypothesis: ",
    "impact": "Probe: wait-until-the-cluster-is-inaccessible",
    "hold": "Action: hold-the-outage",
    "recovery": "Action: wait-for-recovery",
}


TRUST = {
    "Version": "2012-10-17",
    "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"Service": "scheduler.amazonaws.com"},
    }],
}  # fmt: skip


def switch_role(lab_as_aws, name="switch"):
    """A role that may put this key and its clusters back, and nothing else."""
    iam = lab_as_aws.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    of = "arn:aws:rds:eu-west-1:123456789012:"
    named = [each["id"] for each in lab_as_aws.lab.clusters]
    databases = [f"{of}{rds.kind_of(each).resource(each)}" for each in named]
    start = [f"rds:{kind.start_operation}" for kind in rds.KINDS]
    statements = [
        {"Effect": "Allow", "Action": "kms:EnableKey", "Resource": lab_as_aws.key},
        {"Effect": "Allow", "Action": start, "Resource": databases},
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    iam.put_role_policy(RoleName=name, PolicyName="switch", PolicyDocument=json.dumps(policy))
    return role["Arn"]


def schedules(lab_as_aws):
    scheduler = lab_as_aws.client("scheduler")
    return sorted(each["Name"] for each in scheduler.list_schedules()["Schedules"])


def watchdogs(running):
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        if "chaosaws_kms_ext.undo.watchdog" in command and running.run_id in command:
            found.append(process)
    return found


def killed_in(lab_as_aws, moment="hold", watchdog=True, path=None, **env):
    """A run that was killed there, without its watchdog if so wanted."""
    running = lab_as_aws.chaos.start_run(path, **env)
    running.until_said(MOMENTS[moment])
    running.run_id = re.search(r"Run (\S+) on aws", running.output)[1]
    if not watchdog:
        (its,) = watchdogs(running)
        its.kill()
    running.signal(signal.SIGKILL)
    running.wait(5)
    return running


def nothing_is_left(lab_as_aws):
    return lab_as_aws.chaos.kms("restore").output.startswith("Nothing to put back: ")


def at_most_its_schema_is_left(lab_as_aws):
    """Of a run that was killed, wherever it was."""
    return "EnableKey" not in lab_as_aws.chaos.kms("restore").output and nothing_is_left(lab_as_aws)
