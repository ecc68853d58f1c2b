"""IAM policies: the table of our permissions, filled in for one account, Region, cluster and key.

What is not named is `*`; what takes the key away is then still held to the opt-in tag.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaosaws_kms_ext.aws import names, rds
from chaosaws_kms_ext.aws.database import Kind
from chaosaws_kms_ext.aws.names import ALLOW, PREFIX, TAG
from chaosaws_kms_ext.iam.needs import Needs
from chaosaws_kms_ext.iam.permissions import (
    CALLS,
    Call,
    Caller,
    Permission,
    Resource,
    When,
    of_own,
    of_target,
)

__all__ = ["SWITCH_ROLE", "Place", "calls", "policy", "trust"]

Document = dict[str, Any]

SWITCH_ROLE = "chaos-kms-switch"
"""What the switch's role is called if nobody says otherwise."""

VERSION = "2012-10-17"

SURROUNDINGS = ("cluster-pg", "og", "pg", "secgrp", "subgrp")
"""Service Authorization Reference, Amazon RDS: parameter groups, option groups, security groups
and subnet groups, in which clusters and instances are made."""


@dataclass(frozen=True)
class Place:
    """For what a policy is; `*` for every one."""

    partition: str = "aws"
    account: str = "*"
    region: str = "*"
    cluster: str = "*"
    """The database, as aws/database.py names it: a cluster by its id, an instance by `db:` and its
    id."""
    key: str = "*"
    """An id, without what an ARN has before it."""
    principal: str = ""
    """The ARN of the user or role that gets the policy; every one of the account if empty."""
    switch_role: str = ""
    """An ARN; that of SWITCH_ROLE in the account if empty."""
    secret: str = ""
    """A name or an ARN, if the database's password comes from Secrets Manager."""
    database_user: str = ""
    """If it is a token of IAM's."""

    queue: str = ""
    """A name, if RDS' events come through a queue."""

    topic: str = ""
    """The ARN of an SNS topic, if one is told of runs."""

    others: tuple[str, ...] = ()
    """The other databases under the key."""

    def arns(self, resource: Resource, undo_calls: int = 1) -> list[str]:
        """What a policy's Resource element says for it.

        `undo_calls`: how many putting the key back takes; for each the switch has a schedule.
        """
        of_group = f"schedule/{names.GROUP}/"
        started = (self.cluster, *self.others)
        named = names.schedules(self.key, undo_calls, len(started)) if self.key != "*" else ("*",)
        passed = self.switch_role or self._of("iam", f"role/{SWITCH_ROLE}")
        roles, users = self._of("iam", "role/*"), self._of("iam", "user/*")
        principal = [self.principal] if self.principal else [roles, users]
        # The cluster is there by its resource id, which no setting names.
        user = self._of("rds-db", f"dbuser:*/{self.database_user}")
        found = {
            Resource.KEY: [self._of("kms", f"key/{self.key}")],
            Resource.KEYS: [self._of("kms", "key/*")],
            Resource.CLUSTER: self._of_kind(rds.CLUSTER, started[:1]),
            Resource.STARTED: self._of_kind(rds.CLUSTER, started),
            Resource.STARTED_INSTANCES: self._of_kind(rds.INSTANCE, started),
            Resource.CLUSTERS: [self._of("rds", "cluster:*")],
            Resource.INSTANCES: [self._of("rds", "db:*")],
            Resource.GLOBAL_CLUSTERS: [
                f"arn:{self.partition}:rds::{self.account}:global-cluster:*"
            ],
            Resource.SCHEDULES: [self._of("scheduler", f"{of_group}{name}") for name in named],
            Resource.ALL_SCHEDULES: [self._of("scheduler", f"{of_group}*")],
            Resource.GROUP: [self.group],
            Resource.SWITCH_ROLE: [passed],
            Resource.ASKED_ABOUT: [*principal, passed] if self.principal else principal,
            Resource.PRINCIPAL: [self.principal or roles],
            Resource.SECRET: [self._secret] if self.secret else [],
            Resource.DATABASE_USER: [user] if self.database_user else [],
            Resource.QUEUE: [self._of("sqs", self.queue)] if self.queue else [],
            Resource.TOPIC: [self.topic] if self.topic else [],
            Resource.RDS_SECRETS: [self._of("secretsmanager", "secret:rds!cluster-*")],
            Resource.METRICS: [self._of("pi", "metrics/rds/*")],
            Resource.STREAMS: [self._of("kinesis", "stream/aws-rds-das-*")],
            Resource.MADE_ALIASES: [self._of("kms", f"alias/{PREFIX}*")],
            Resource.MADE_CLUSTERS: [self._of("rds", f"cluster:{PREFIX}*")],
            Resource.MADE_INSTANCES: [self._of("rds", f"db:{PREFIX}*")],
            Resource.MADE_SNAPSHOTS: [self._of("rds", f"cluster-snapshot:{PREFIX}*")],
            Resource.SNAPSHOTS: [self._of("rds", "cluster-snapshot:*")],
            Resource.SURROUNDINGS: [self._of("rds", f"{kind}:*") for kind in SURROUNDINGS],
            Resource.ANYTHING: ["*"],
        }
        return found[resource]

    @property
    def group(self) -> str:
        """The ARN of the switch's schedule group."""
        return self._of("scheduler", f"schedule-group/{names.GROUP}")

    def names(self, resource: Resource) -> bool:
        """Whether it is for one thing alone."""
        return not any("*" in arn for arn in self.arns(resource))

    @property
    def _secret(self) -> str:
        """Secrets Manager User Guide: behind its name an ARN has six characters more."""
        given = self.secret.startswith("arn:")
        return self.secret if given else self._of("secretsmanager", f"secret:{self.secret}-??????")

    def _of_kind(self, kind: Kind, references: Iterable[str]) -> list[str]:
        """The ARNs of those that are of this kind."""
        its = (each for each in references if rds.kind_of(each) is kind)
        return [self._of("rds", kind.resource(each)) for each in its]

    def _of(self, service: str, what: str) -> str:
        region = "" if service == "iam" else self.region
        return f"arn:{self.partition}:{service}:{region}:{self.account}:{what}"


def calls(target: Iterable[Needs] = (), own: Iterable[Needs] = ()) -> list[Call]:
    """Every call of ours, with those of faults on the key of the run's cluster (`target`), and of
    faults on a key that the run made (`own`)."""
    return [
        *(call for each in target for call in of_target(each)),
        *(call for each in own for call in of_own(*each.inject, *each.undo, *each.look)),
        *CALLS,
    ]


def policy(
    caller: Caller, place: Place, target: Sequence[Needs] = (), own: Sequence[Needs] = ()
) -> Document:
    """Everything that `caller` needs for faults as of `calls`, and nothing else.

    A statement for each kind of resource.
    """
    longest = max((len(each.undo) for each in target), default=1)
    wanted: dict[tuple[tuple[str, ...], When], list[Permission]] = {}
    for call in calls(target, own):
        for each in call.permissions if caller in call.callers else ():
            if arns := tuple(place.arns(each.resource, longest)):
                wanted.setdefault((arns, _when(each, place)), []).append(each)
    return {
        "Version": VERSION,
        "Statement": [
            {
                "Effect": "Allow",
                "Action": sorted({each.action for each in found}),
                "Resource": _one_or_all(arns),
                **_condition(when, place),
            }
            for (arns, when), found in wanted.items()
        ],
    }


def trust(place: Place) -> Document:
    """Who may assume the switch's role: EventBridge Scheduler, for the schedules of our group.

    EventBridge Scheduler User Guide, "Cross-service confused deputy prevention": for a schedule the
    source is its group.
    """
    only: dict[str, Any] = {"ArnLike": {"aws:SourceArn": place.group}}
    if place.account != "*":
        only["StringEquals"] = {"aws:SourceAccount": place.account}
    return {
        "Version": VERSION,
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": names.SCHEDULER},
                "Action": "sts:AssumeRole",
                "Condition": only,
            }
        ],
    }


# Internals


def _when(permission: Permission, place: Place) -> When:
    if permission.when is not When.TAGGED_OR_NAMED:
        return permission.when
    return When.ALWAYS if place.names(permission.resource) else When.TAGGED


def _condition(when: When, place: Place) -> Mapping[str, Any]:
    name, value = ALLOW
    found = {
        When.TAGGED: {"StringEquals": {f"aws:ResourceTag/{name}": value}},
        When.PASSED: {"StringEquals": {"iam:PassedToService": names.SCHEDULER}},
        When.TAGGING: {
            "Null": {f"aws:RequestTag/{TAG}": "false"},
            "ForAllValues:StringEquals": {"aws:TagKeys": [TAG]},
        },
        When.OF_RUN: {"Null": {f"aws:ResourceTag/{TAG}": "false"}},
        # KMS Developer Guide, kms:ViaService.
        When.FOR_RDS: {"StringLike": {"kms:ViaService": f"rds.{place.region}.amazonaws.com"}},
    }.get(when)
    return {"Condition": found} if found else {}


def _one_or_all(arns: tuple[str, ...]) -> str | list[str]:
    return arns[0] if len(arns) == 1 else list(arns)
