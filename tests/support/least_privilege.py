"""Callers with just the printed policies, or with one action less."""

from __future__ import annotations

import contextlib
import itertools
import json
from dataclasses import dataclass

import boto3
from botocore.exceptions import ClientError

from chaosaws_kms_ext.dependents import SERVICES
from chaosaws_kms_ext.iam.permissions import Caller, Permission, Resource
from chaosaws_kms_ext.iam.policies import Place, trust
from tests.support.alarms import put_alarm
from tests.support.event_queues import event_queue
from tests.support.usual_policies import USUAL, calls, policy

ACCOUNT = "123456789012"


ROOT = f"arn:aws:iam::{ACCOUNT}:root"


ALARM = "checkout-errors"


SECRET = "shop/database"


QUEUE = "rds-events"
TOPIC = "runs"


FOR = 7200
"""Seconds that a session lasts."""


PATIENT = {"profile": "documented", "CHAOS_SELF_RESTART_WITHIN": "2"}
"""A cluster that has to be started, so that a run makes every call."""


NUMBERS = itertools.count()


@dataclass
class Somebody:
    """A session of a role that has one policy: the environment of whoever has it."""

    arn: str
    env: dict[str, str]

    @property
    def access_key(self) -> str:
        return self.env["AWS_ACCESS_KEY_ID"]

    def client(self, lab, service):
        """With no other credentials than these."""
        return boto3.client(
            service,
            endpoint_url=lab.endpoint,
            region_name=lab.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=self.env["AWS_SESSION_TOKEN"],
        )


def put_policy(lab_as_aws, role, document):
    lab_as_aws.client("iam").put_role_policy(
        RoleName=role.rsplit("/", 1)[1], PolicyName="chaos", PolicyDocument=json.dumps(document)
    )


def place(lab_as_aws, principal="", switch_role=""):
    return Place(
        account=ACCOUNT,
        region=lab_as_aws.lab.region,
        cluster=lab_as_aws.lab.clusters[0]["id"],
        others=tuple(each["id"] for each in lab_as_aws.lab.clusters[1:]),
        key=lab_as_aws.key.rpartition("/")[2],
        principal=principal,
        switch_role=switch_role,
        secret=SECRET,
        queue=QUEUE,
        topic=f"arn:aws:sns:{lab_as_aws.lab.region}:{ACCOUNT}:{TOPIC}",
    )


def without(document, action):
    """The policy with one action taken away."""
    left = [
        {**each, "Action": [a for a in each["Action"] if a != action]}
        for each in document["Statement"]
    ]
    return {**document, "Statement": [each for each in left if each["Action"]]}


def switch_role(lab_as_aws, faults=USUAL):
    """The switch's role, by its policy for these faults and its trust policy."""
    role = lab_as_aws.client("iam").create_role(
        RoleName=f"switch{next(NUMBERS)}",
        AssumeRolePolicyDocument=json.dumps(trust(place(lab_as_aws))),
    )["Role"]["Arn"]
    put_policy(lab_as_aws, role, policy(Caller.SWITCH, place(lab_as_aws), faults))
    return role


def somebody(lab_as_aws, caller, but=None, faults=USUAL):
    """A session of a new role with a path, under the policy of `caller` for these faults, but for
    one action.

    Its environment names a switch, an alarm, a queue and a secret, so that a run needs everything
    that it may.
    """
    login = {"username": "app", "password": lab_as_aws.lab.clusters[0]["password"]}
    with contextlib.suppress(ClientError):
        lab_as_aws.client("secretsmanager").create_secret(
            Name=SECRET, SecretString=json.dumps(login)
        )
    everybody = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "sts:AssumeRole"}
    name = f"chaos{next(NUMBERS)}"
    arn = lab_as_aws.client("iam").create_role(
        RoleName=name,
        Path="/team/",
        MaxSessionDuration=FOR,
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everybody]}),
    )["Role"]["Arn"]
    switch = switch_role(lab_as_aws, faults)
    whole = policy(caller, place(lab_as_aws, arn, switch), faults)
    put_policy(lab_as_aws, arn, without(whole, but))
    given = lab_as_aws.client("sts").assume_role(
        RoleArn=arn, RoleSessionName="game-day", DurationSeconds=FOR
    )["Credentials"]
    put_alarm(lab_as_aws.client("cloudwatch"), ALARM)
    queue = event_queue(lab_as_aws.client, QUEUE)
    topic = lab_as_aws.client("sns").create_topic(Name=TOPIC)["TopicArn"]
    return Somebody(
        arn,
        {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
            "AWS_CREDENTIAL_EXPIRATION": given["Expiration"].isoformat(),
            "CHAOS_SWITCH_ROLE": switch,
            "CHAOS_STOP_ALARMS": ALARM,
            "CHAOS_ALARMS": ALARM,
            "CHAOS_EVENTS_QUEUE": queue,
            "CHAOS_NOTIFY_TOPIC": topic,
            "CHAOS_DATABASE_AUTH": "secret",
            "CHAOS_DATABASE_SECRET": SECRET,
        },
    )


def maker(lab_as_aws, but=None, faults=USUAL):
    """Whoever has exactly the policies `run` and `make`, but for one action."""
    who = somebody(lab_as_aws, Caller.RUN, but, faults)
    lab_as_aws.client("iam").put_role_policy(
        RoleName=who.arn.rsplit("/", 1)[1],
        PolicyName="make",
        PolicyDocument=json.dumps(without(policy(Caller.MAKER, place(lab_as_aws), faults), but)),
    )
    return who


ELSEWHERE = frozenset({
    "cloudtrail:LookupEvents", "kms:ListAliases", "tag:GetResources",
    *(action for each in SERVICES.values() for action in each.looks),
})  # fmt: skip
"""What the guard's look at other services takes (CHAOS_DEPENDENTS): without one of these, a service
is unknown, and a run goes on. unit/dependents/test_find tries them."""


def table(caller, faults=USUAL, but=ELSEWHERE):
    return {
        (call.service, call.operation)
        for call in calls(faults)
        if caller in call.callers
        and call.service != "rds-db"
        and not but.issuperset(each.action for each in call.permissions or [RUNNING])
    }


RUNNING = Permission("sts:GetCallerIdentity", Resource.ANYTHING)
"""Which takes no permission."""
