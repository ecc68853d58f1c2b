"""Which of our calls needs which permissions, of whom: the one table that the policies are made of.

Service Authorization Reference: AWS KMS, Amazon RDS, Amazon EventBridge Scheduler, AWS IAM, Amazon
CloudWatch. Where it marks a resource type as optional, what a call without a name is authorized
on is not said; those calls are looks, and get `*`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from chaosaws_kms_ext.dependents import SERVICES
from chaosaws_kms_ext.iam.needs import Needs

__all__ = [
    "CALLS",
    "Call",
    "Caller",
    "Permission",
    "Resource",
    "When",
    "of_own",
    "of_target",
    "on_none",
]


def on_none(action: str) -> bool:
    """Whether an action of KMS has no resource type (Service Authorization Reference, AWS KMS).

    It is allowed on `*`, and no tag narrows it down: a custom key store has neither ARN nor tags.
    """
    return action.endswith(("CustomKeyStore", "CustomKeyStores")) or action == "kms:ListKeys"


class Caller(Enum):
    """Who makes a call."""

    PROBE = "probe"
    """Who only looks: the probes, `chaos kms doctor`."""
    RUN = "run"
    """Who runs experiments and puts back: `chaos run`, the watchdog, `chaos kms restore`."""
    WATCHER = "watch"
    """Who runs an experiment that only watches what others do to the key: looks, and no more."""
    MAKER = "make"
    """Who runs experiments that make keys, clusters and snapshots: what that takes besides."""
    SECONDARY = "secondary"
    """Who runs experiments that use what a cluster's secondary keys encrypt: what that takes
    besides."""
    CANARY = "canary"
    """Who runs experiments with canaries (CHAOS_CANARIES): what those take besides."""
    SWITCH = "switch"
    """EventBridge Scheduler, for the dead man's switch."""


class Resource(Enum):
    """What a permission is for; all of them of one account and Region."""

    KEY = "the key"
    KEYS = "every key"
    CLUSTER = "the cluster"
    STARTED = "the cluster, and others under its key"
    STARTED_INSTANCES = "the instance that is no cluster's, and others under its key"
    CLUSTERS = "every cluster"
    INSTANCES = "every instance"
    GLOBAL_CLUSTERS = "every global cluster"
    SCHEDULES = "the key's schedules"
    ALL_SCHEDULES = "every schedule of the group"
    GROUP = "the schedule group"
    SWITCH_ROLE = "the switch's role"
    ASKED_ABOUT = "the principal and the switch's role"
    PRINCIPAL = "the principal"
    SECRET = "the database's secret"
    DATABASE_USER = "the user of the database"
    QUEUE = "the queue of RDS' events"
    TOPIC = "the topic that is told of runs"
    """These four only where they are named."""
    RDS_SECRETS = "every secret that RDS manages for a cluster"
    METRICS = "the metrics of every instance"
    STREAMS = "the Kinesis stream of every activity stream"
    MADE_ALIASES = "the aliases of keys that a run makes"
    MADE_CLUSTERS = "the clusters that a run makes"
    MADE_INSTANCES = "the instances that a run makes"
    MADE_SNAPSHOTS = "the cluster snapshots that a run makes"
    """These four by their names."""
    SNAPSHOTS = "every cluster snapshot"
    SURROUNDINGS = "every group of RDS in which something is made"
    ANYTHING = "*"


class When(Enum):
    """What has to hold besides."""

    ALWAYS = "always"
    TAGGED = "tagged"
    """The resource carries the opt-in tag."""
    TAGGED_OR_NAMED = "tagged or named"
    """It carries the tag, or else the policy names it: where something is put back. A tag that is
    taken away in the middle of a run must not stand between the key and its return."""
    PASSED = "passed"
    """The role is passed to EventBridge Scheduler."""
    TAGGING = "tagging"
    """The call gives the run's tag to what it makes."""
    OF_RUN = "of a run"
    """The resource carries the tag of a run."""
    FOR_RDS = "for RDS"
    """RDS makes the call in the caller's name."""


@dataclass(frozen=True)
class Permission:
    """One IAM action."""

    action: str
    resource: Resource
    when: When = When.ALWAYS


@dataclass(frozen=True)
class Call:
    """One operation that we call, who does, and the permissions that it takes."""

    service: str
    operation: str
    callers: Sequence[Caller]
    permissions: Sequence[Permission]


LOOKS = (Caller.PROBE, Caller.RUN, Caller.WATCHER)
LOOKS_OF_MAKER = (Caller.PROBE, Caller.MAKER)
"""What no run needs that only takes a key away."""
LOOKS_OF_TRAIL = (*LOOKS_OF_MAKER, Caller.WATCHER)
RUNS = (Caller.RUN,)
ALL_RUNS = (Caller.RUN, Caller.WATCHER)
MAKES = (Caller.MAKER,)
USES = (Caller.SECONDARY,)
CANARIES = (Caller.CANARY,)
UNDOES = (Caller.RUN, Caller.SWITCH)


def _call(
    service: str,
    operation: str,
    callers: Sequence[Caller],
    resource: Resource,
    when: When = When.ALWAYS,
    *more: Permission,
) -> Call:
    """A call whose permission is called as it is."""
    own = Permission(f"{service}:{operation}", resource, when)
    return Call(service, operation, callers, (own, *more))


def _of_run(operation: str) -> Call:
    """A call about a key that a run has made."""
    return _call("kms", operation, MAKES, Resource.KEYS, When.OF_RUN)


def _makes(operation: str, *resources: Resource, keys: bool = False) -> Call:
    """A call to RDS that makes something, with its tag: the last resource; with `keys` for RDS.

    Service Authorization Reference, Amazon RDS, "Dependent actions".
    """
    asked = [Permission(f"rds:{operation}", each, When.TAGGING) for each in resources]
    tags = Permission("rds:AddTagsToResource", resources[-1], When.TAGGING)
    return Call("rds", operation, MAKES, (*asked, tags, *(FOR_RDS if keys else ())))


def _named(action: str) -> tuple[str, str]:
    service, _, operation = action.partition(":")
    return service, operation


def _of_dependents() -> Iterator[Call]:
    """The calls that find what else is under a key, and those of its canaries.

    Looks without which the guard does not know what there is: what they may not ask is unknown.
    """
    for its in SERVICES.values():
        for actions, callers, when in (
            (its.looks, LOOKS, When.ALWAYS),
            (its.canary_looks, CANARIES, When.ALWAYS),
            (its.canary_uses, CANARIES, When.TAGGED),
        ):
            for action in actions:
                service, operation = _named(action)
                named = Permission(action, Resource.ANYTHING, when)
                yield Call(service, OPERATIONS.get(action, operation), callers, (named,))


OPERATIONS = {
    "s3:GetEncryptionConfiguration": "GetBucketEncryption",
    "s3:ListAllMyBuckets": "ListBuckets",
    "s3:ListBucket": "ListObjectsV2",
}
"""Service Authorization Reference: actions that are not called as the operation."""

FOR_RDS = tuple(
    Permission(f"kms:{operation}", Resource.KEYS, When.FOR_RDS)
    for operation in ("CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKey")
)

CALLS = (
    # API reference, GetCallerIdentity: "No permissions are required".
    Call("sts", "GetCallerIdentity", LOOKS, ()),
    # Of `chaos kms doctor --all`, where no Region is named.
    _call("ec2", "DescribeRegions", (Caller.PROBE,), Resource.ANYTHING),
    # Looks are not held to the tag: the guard has to see what does not carry it, to say so.
    _call("kms", "DescribeKey", LOOKS, Resource.KEYS),  # of the backup's key as well
    _call("kms", "ListResourceTags", LOOKS, Resource.KEY),
    _call("kms", "ListGrants", LOOKS, Resource.KEY),
    _call("kms", "ListAliases", LOOKS, Resource.ANYTHING),
    _call("kms", "GetKeyPolicy", LOOKS, Resource.KEY),
    _call("kms", "GetKeyRotationStatus", LOOKS_OF_MAKER, Resource.KEYS),
    _call("kms", "ListKeyRotations", LOOKS_OF_MAKER, Resource.KEYS),
    # Service Authorization Reference, AWS CloudTrail: it has no resource type.
    _call("cloudtrail", "LookupEvents", (*LOOKS, Caller.MAKER, *USES), Resource.ANYTHING),
    _call("rds", "DescribeDBClusters", LOOKS, Resource.CLUSTERS),
    _call("rds", "DescribeDBInstances", LOOKS, Resource.INSTANCES),
    _call("rds", "DescribeDBClusterSnapshots", LOOKS, Resource.ANYTHING),
    _call("rds", "DescribeDBSnapshots", LOOKS, Resource.ANYTHING),
    _call("rds", "DescribeGlobalClusters", LOOKS, Resource.GLOBAL_CLUSTERS),
    _call("rds", "DescribeBlueGreenDeployments", LOOKS, Resource.ANYTHING),
    _call("rds", "DescribeEvents", LOOKS, Resource.ANYTHING),
    _call("rds", "DescribePendingMaintenanceActions", LOOKS, Resource.ANYTHING),
    # Which RDS Proxies stand before the database.
    _call("rds", "DescribeDBProxies", LOOKS, Resource.ANYTHING),
    _call("rds", "DescribeDBProxyTargets", LOOKS, Resource.ANYTHING),
    # For a database of either kind.
    _call("rds", "StartDBCluster", UNDOES, Resource.STARTED, When.TAGGED_OR_NAMED),
    _call("rds", "StartDBInstance", UNDOES, Resource.STARTED_INSTANCES, When.TAGGED_OR_NAMED),
    _call("iam", "SimulatePrincipalPolicy", LOOKS, Resource.ASKED_ABOUT),
    _call("iam", "GetRole", LOOKS, Resource.PRINCIPAL),
    # Only where CHAOS_STOP_ALARMS or CHAOS_ALARMS names some.
    # API reference, DescribeAlarms: with a narrower scope it says nothing of composite alarms.
    _call("cloudwatch", "DescribeAlarms", ALL_RUNS, Resource.ANYTHING),
    # Service Authorization Reference, Amazon SNS. Only where CHAOS_NOTIFY_TOPIC names one.
    _call("sns", "Publish", ALL_RUNS, Resource.TOPIC),
    # Service Authorization Reference, Amazon SQS. Only where CHAOS_EVENTS_QUEUE names one.
    _call("sqs", "GetQueueUrl", ALL_RUNS, Resource.QUEUE),
    _call("sqs", "ReceiveMessage", ALL_RUNS, Resource.QUEUE),
    _call("sqs", "DeleteMessage", ALL_RUNS, Resource.QUEUE),
    _call("scheduler", "CreateScheduleGroup", RUNS, Resource.GROUP),
    _call(
        "scheduler", "CreateSchedule", RUNS, Resource.SCHEDULES, When.ALWAYS,
        Permission("iam:PassRole", Resource.SWITCH_ROLE, When.PASSED),
    ),
    # `chaos kms restore` reads whatever is armed.
    _call("scheduler", "ListSchedules", RUNS, Resource.ANYTHING),
    _call("scheduler", "GetSchedule", RUNS, Resource.ALL_SCHEDULES),
    _call("scheduler", "DeleteSchedule", RUNS, Resource.SCHEDULES),
    # Aurora User Guide, rds-secrets-manager, and "Changing an AWS KMS policy for Performance
    # Insights"; Service Authorization Reference, AWS Performance Insights and Amazon Kinesis.
    _call("secretsmanager", "GetSecretValue", USES, Resource.RDS_SECRETS),
    _call(
        "pi", "GetResourceMetrics", USES, Resource.METRICS, When.ALWAYS,
        Permission("kms:GenerateDataKey", Resource.KEYS, When.TAGGED),
    ),
    _call("kinesis", "ListShards", USES, Resource.STREAMS),
    _call("kinesis", "GetShardIterator", USES, Resource.STREAMS),
    _call("kinesis", "GetRecords", USES, Resource.STREAMS),
    _call("kms", "Decrypt", USES, Resource.KEYS, When.TAGGED),
    _call("secretsmanager", "GetSecretValue", ALL_RUNS, Resource.SECRET),
    _call("secretsmanager", "DescribeSecret", ALL_RUNS, Resource.SECRET),
    # No call of ours: what the database asks IAM of whoever shows it a token.
    _call("rds-db", "connect", ALL_RUNS, Resource.DATABASE_USER),
    # API reference, CreateKey: tags take kms:TagResource. KMS has no condition that allows it only
    # there, so who has it can give the tag to any key that IAM policies rule.
    _call(
        "kms", "CreateKey", MAKES, Resource.ANYTHING, When.TAGGING,
        Permission("kms:TagResource", Resource.KEYS, When.TAGGING),
    ),
    _call(
        "kms", "CreateAlias", MAKES, Resource.MADE_ALIASES, When.ALWAYS,
        Permission("kms:CreateAlias", Resource.KEYS, When.OF_RUN),
    ),
    _call(
        "kms", "DeleteAlias", MAKES, Resource.MADE_ALIASES, When.ALWAYS,
        Permission("kms:DeleteAlias", Resource.KEYS, When.OF_RUN),
    ),
    _of_run("ScheduleKeyDeletion"),
    _of_run("CancelKeyDeletion"),
    _of_run("EnableKey"),  # after CancelKeyDeletion
    _of_run("ListGrants"),
    _call("kms", "ListResourceTags", MAKES, Resource.KEYS),
    *(
        _call(
            "kms", operation, MAKES, Resource.KEYS, When.OF_RUN,
            Permission(f"kms:{operation}", Resource.KEY, When.TAGGED),
        )
        for operation in ("Decrypt", "Encrypt", "RotateKeyOnDemand")
    ),
    Call(
        "resourcegroupstaggingapi", "GetResources", (*LOOKS, *MAKES),
        (Permission("tag:GetResources", Resource.ANYTHING),),
    ),
    _makes("CreateDBCluster", Resource.SURROUNDINGS, Resource.MADE_CLUSTERS, keys=True),
    _makes(
        "CreateDBInstance", Resource.SURROUNDINGS, Resource.MADE_CLUSTERS, Resource.MADE_INSTANCES,
        keys=True,
    ),
    _makes(
        "CreateDBClusterSnapshot", Resource.CLUSTER, Resource.MADE_CLUSTERS,
        Resource.MADE_SNAPSHOTS, keys=True,
    ),
    _makes("CopyDBClusterSnapshot", Resource.SNAPSHOTS, Resource.MADE_SNAPSHOTS, keys=True),
    _makes(
        "RestoreDBClusterFromSnapshot", Resource.SNAPSHOTS, Resource.SURROUNDINGS,
        Resource.MADE_CLUSTERS, keys=True,
    ),
    _makes(
        "RestoreDBClusterToPointInTime", Resource.CLUSTER, Resource.SURROUNDINGS,
        Resource.MADE_CLUSTERS, keys=True,
    ),
    # Of `failover_is_refused`, and of chaostoolkit-aws in the same experiment. That IAM asks about
    # the cluster alone, and not about the instance too, is assumed.
    _call("rds", "FailoverDBCluster", MAKES, Resource.CLUSTER, When.TAGGED),
    _call("rds", "StartDBCluster", MAKES, Resource.MADE_CLUSTERS, When.OF_RUN),
    _call("rds", "DeleteDBCluster", MAKES, Resource.MADE_CLUSTERS, When.OF_RUN),
    _call("rds", "DeleteDBInstance", MAKES, Resource.MADE_INSTANCES, When.OF_RUN),
    _call("rds", "DeleteDBClusterSnapshot", MAKES, Resource.MADE_SNAPSHOTS, When.OF_RUN),
    *_of_dependents(),
    Call(
        "s3", "HeadObject", CANARIES,
        (Permission("s3:GetObject", Resource.ANYTHING, When.TAGGED),),
    ),
    # In the name of the caller, through the service (each service's own guide).
    _call("kms", "Decrypt", CANARIES, Resource.KEY, When.TAGGED),
    _call("kms", "GenerateDataKey", CANARIES, Resource.KEY, When.TAGGED),
)  # fmt: skip


def of_target(needs: Needs) -> list[Call]:
    """The calls of a fault that takes the key of the run's cluster away."""
    others = ("ListGrants", "ListResourceTags") if needs.reach == "store" else ()
    return [
        *(_of_target(each, RUNS, When.TAGGED) for each in needs.inject),
        *(_of_target(each, UNDOES, When.TAGGED_OR_NAMED) for each in needs.undo),
        *(_of_target(each, LOOKS) for each in needs.look),
        *(_call("kms", each, LOOKS, Resource.KEYS) for each in others),
    ]


def _of_target(action: str, callers: Sequence[Caller], when: When = When.ALWAYS) -> Call:
    if on_none(action):
        return _call(*_named(action), callers, Resource.ANYTHING)
    return _call(*_named(action), callers, Resource.KEY, when)


def of_own(*actions: str) -> list[Call]:
    """The calls of a fault that is about a key that the run made, from their actions."""
    return [_of_run(_named(each)[1]) for each in dict.fromkeys(actions)]
