"""IAM, if the lab enforces it: may this caller make this call?

This is about the identity policies of callers that IAM knows; other callers have none. KMS always
decides for itself, with key policies and grants (kms/authorize.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chaosaws_kms_lab import policy_evaluation
from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call
from chaosaws_kms_lab.policy_evaluation import Decision, Match, Request
from chaosaws_kms_lab.rds.clusters import ENGINE_VERSION
from chaosaws_kms_lab.scheduler.roles import PRINCIPAL
from chaosaws_kms_lab.world import Region, World

__all__ = ["check", "context"]

# Service Authorization Reference, Amazon RDS: parameter → the type of the resource that it names.
RDS_RESOURCES = {
    "DBClusterIdentifier": "cluster",
    "DBClusterSnapshotIdentifier": "cluster-snapshot",
    "DBInstanceIdentifier": "db",
    "FinalDBSnapshotIdentifier": "cluster-snapshot",
    "SnapshotIdentifier": "cluster-snapshot",
    "SourceDBClusterIdentifier": "cluster",
    "SourceDBClusterSnapshotIdentifier": "cluster-snapshot",
    "DBSnapshotIdentifier": "snapshot",
    "SourceDBSnapshotIdentifier": "snapshot",
    "TargetDBSnapshotIdentifier": "snapshot",
    "TargetDBClusterSnapshotIdentifier": "cluster-snapshot",
    "DBProxyName": "db-proxy",
}
ARNS = ("ResourceName", "Source", "DbClusterIdentifier")
# The resources of these, if they name none.
LISTS = {
    "DescribeDBClusters": "cluster:*",
    "DescribeDBClusterSnapshots": "cluster-snapshot:*",
    "DescribeDBInstances": "db:*",
    "DescribeDBProxies": "db-proxy:*",
    "DescribeDBSnapshots": "snapshot:*",
}

# Service Authorization Reference, Amazon RDS, the required resource types: operation → those that a
# cluster or an instance is made with. Aurora User Guide, "Permission policies to create, modify
# and, delete resources in Aurora": where none is named, the default ones.
GROUPS = {
    "CreateDBCluster": ("cluster-pg", "og", "subgrp"),
    "CreateDBInstance": ("og", "pg", "subgrp"),
    "RestoreDBClusterFromSnapshot": ("og",),
}
# Type → the parameter that names one, and the default one of a major version.
GROUP_NAMES = {
    "cluster-pg": ("DBClusterParameterGroupName", "default.aurora-postgresql{0}"),
    "og": ("OptionGroupName", "default:aurora-postgresql-{0}"),
    "pg": ("DBParameterGroupName", "default.aurora-postgresql{0}"),
    "subgrp": ("DBSubnetGroupName", "default"),
}
# Amazon RDS User Guide, "Grant permission to tag Amazon RDS resources during creation": operation →
# what names the new one, and its type.
TAGGED_AT_BIRTH = {
    "CopyDBClusterSnapshot": ("TargetDBClusterSnapshotIdentifier", "cluster-snapshot"),
    "CopyDBSnapshot": ("TargetDBSnapshotIdentifier", "snapshot"),
    "CreateDBSnapshot": ("DBSnapshotIdentifier", "snapshot"),
    "CreateDBCluster": ("DBClusterIdentifier", "cluster"),
    "CreateDBClusterSnapshot": ("DBClusterSnapshotIdentifier", "cluster-snapshot"),
    "CreateDBInstance": ("DBInstanceIdentifier", "db"),
    "RestoreDBClusterFromSnapshot": ("DBClusterIdentifier", "cluster"),
    "RestoreDBClusterToPointInTime": ("DBClusterIdentifier", "cluster"),
}

# Service Authorization Reference, AWS IAM: operation → the parameter with the ARN of its resource.
IAM_RESOURCES = {"SimulatePrincipalPolicy": "PolicySourceArn"}

PASSING = frozenset({("scheduler", "CreateSchedule"), ("scheduler", "UpdateSchedule")})
"""Service Authorization Reference: these take iam:PassRole for the role of the target as well."""

FREE = frozenset({"sts:GetCallerIdentity"})
"""API reference, GetCallerIdentity: "No permissions are required"; no Deny forbids it."""

ACCESS_DENIED = frozenset({"cloudformation", "iam", "rds", "s3", "sns", "sts"})
"""Services that answer AccessDenied with HTTP 403; the others AccessDeniedException."""

PREFIXES = {"monitoring": "cloudwatch", "tagging": "tag"}
"""Service Authorization Reference: where an action's prefix is not what requests are signed for."""

# Service Authorization Reference, and Amazon S3 User Guide, "Required permissions for Amazon S3 API
# operations": service → operation → the actions that it takes, where they are called otherwise.
ACTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "lambda": {
        "Invoke": ("InvokeFunction",),
        "InvokeAsync": ("InvokeFunction",),
        "InvokeWithResponseStream": ("InvokeFunction",),
    },
    "s3": {
        "CompleteMultipartUpload": ("PutObject",),
        "CopyObject": ("GetObject", "PutObject"),
        "CreateMultipartUpload": ("PutObject",),
        "DeleteBucketCors": ("PutBucketCORS",),
        "DeleteBucketEncryption": ("PutEncryptionConfiguration",),
        "DeleteBucketLifecycle": ("PutLifecycleConfiguration",),
        "DeleteBucketReplication": ("PutReplicationConfiguration",),
        "DeleteBucketTagging": ("PutBucketTagging",),
        "DeleteObjects": ("DeleteObject",),
        "DeletePublicAccessBlock": ("PutBucketPublicAccessBlock",),
        "GetBucketAccelerateConfiguration": ("GetAccelerateConfiguration",),
        "GetBucketEncryption": ("GetEncryptionConfiguration",),
        "GetBucketLifecycle": ("GetLifecycleConfiguration",),
        "GetBucketLifecycleConfiguration": ("GetLifecycleConfiguration",),
        "GetBucketNotificationConfiguration": ("GetBucketNotification",),
        "GetBucketReplication": ("GetReplicationConfiguration",),
        "GetObjectLockConfiguration": ("GetBucketObjectLockConfiguration",),
        "GetPublicAccessBlock": ("GetBucketPublicAccessBlock",),
        "HeadBucket": ("ListBucket",),
        "HeadObject": ("GetObject",),
        "ListBuckets": ("ListAllMyBuckets",),
        "ListMultipartUploads": ("ListBucketMultipartUploads",),
        "ListObjectVersions": ("ListBucketVersions",),
        "ListObjects": ("ListBucket",),
        "ListObjectsV2": ("ListBucket",),
        "ListParts": ("ListMultipartUploadParts",),
        "PutBucketAccelerateConfiguration": ("PutAccelerateConfiguration",),
        "PutBucketEncryption": ("PutEncryptionConfiguration",),
        "PutBucketLifecycle": ("PutLifecycleConfiguration",),
        "PutBucketLifecycleConfiguration": ("PutLifecycleConfiguration",),
        "PutBucketNotificationConfiguration": ("PutBucketNotification",),
        "PutBucketReplication": ("PutReplicationConfiguration",),
        "PutObjectLockConfiguration": ("PutBucketObjectLockConfiguration",),
        "PutPublicAccessBlock": ("PutBucketPublicAccessBlock",),
        "SelectObjectContent": ("GetObject",),
        "UploadPart": ("PutObject",),
        "UploadPartCopy": ("GetObject", "PutObject"),
    },
    "sns": {"PublishBatch": ("Publish",)},
    "sqs": {
        "ChangeMessageVisibilityBatch": ("ChangeMessageVisibility",),
        "DeleteMessageBatch": ("DeleteMessage",),
        "SendMessageBatch": ("SendMessage",),
    },
}

# Amazon DynamoDB Developer Guide, "Using IAM with transactions" and "IAM security policies with
# PartiQL": what is done by a transaction's items and by statements takes the action of each.
ITEMS = {
    "ConditionCheck": "ConditionCheckItem", "Delete": "DeleteItem", "Get": "GetItem",
    "Put": "PutItem", "Update": "UpdateItem",
}  # fmt: skip
STATEMENTS = {
    "delete": "PartiQLDelete", "insert": "PartiQLInsert", "select": "PartiQLSelect",
    "update": "PartiQLUpdate",
}  # fmt: skip


def check(world: World, call: Call) -> None:
    """Raises AccessDenied, as the service says it, unless IAM lets the caller make the call."""
    actions = _actions(call)
    if call.caller.policies is None or call.service == "kms" or FREE.issuperset(actions):
        return
    about = _resources(world, call)
    for action in actions:
        for resource, tags in about:
            _check(call, action, resource, context(world, call, tags))
        if not about:
            _check(call, action, None, context(world, call, {}))
    if call.service == "rds" and call.params.get("Tags") and call.operation in TAGGED_AT_BIRTH:
        parameter, kind = TAGGED_AT_BIRTH[call.operation]
        new = world.region(call.region).arn("rds", f"{kind}:{call.params[parameter].lower()}")
        _check(call, "rds:AddTagsToResource", new, context(world, call, {}))
    if (call.service, call.operation) in PASSING:
        role = str((call.params.get("Target") or {}).get("RoleArn"))
        to = {"iam:passedtoservice": PRINCIPAL}
        _check(call, "iam:PassRole", role, context(world, call, {}) | to)


def _actions(call: Call) -> list[str]:
    """The actions that a call takes, with their prefix; at least one."""
    named = ACTIONS.get(call.service, {}).get(call.operation, ())
    if call.service == "dynamodb":
        named = tuple(dict.fromkeys(_of_dynamodb(call.params)))
    prefix = PREFIXES.get(call.service, call.service)
    return [f"{prefix}:{name}" for name in named or (call.operation,)]


def _of_dynamodb(params: Mapping[str, Any]) -> Iterator[str]:
    for item in params.get("TransactItems") or []:
        yield from (ITEMS[kind] for kind in item if kind in ITEMS)
    several = params.get("Statements") or params.get("TransactStatements") or []
    for said in (params, *several):
        words = str(said.get("Statement", "")).split(None, 1)
        if words and (action := STATEMENTS.get(words[0].lower())):
            yield action


def _check(call: Call, action: str, resource: str | None, said: dict[str, Any]) -> None:
    caller = call.caller
    if resource is None:  # a call to moto, whose resources the lab does not know
        caller = policy_evaluation.ignoring_resources(caller)
    request = Request(caller, action, resource or "*", ACCOUNT, said)
    decision = policy_evaluation.decide(request, (), Match.ACCOUNT)
    if decision is not Decision.ALLOWED:
        why = decision.value.format(action=action)
        message = (
            f"User: {caller.arn} is not authorized to perform: {action} on resource: "
            f"{resource or '*'} {why}"
        )
        if call.service in ACCESS_DENIED:
            raise AwsError("AccessDenied", message, status=403)
        raise AwsError("AccessDeniedException", message)


def _resources(world: World, call: Call) -> list[tuple[str, dict[str, str]]]:
    """The ARNs of a call's resources, as far as the lab knows them, each with its tags."""
    if call.service == "iam" and call.operation in IAM_RESOURCES:
        return [(str(call.params.get(IAM_RESOURCES[call.operation])), {})]
    if call.service not in ("rds", "scheduler"):
        return []
    region = world.region(call.region)
    if call.service == "scheduler":
        return [(arn, {}) for arn in _of_scheduler(call, region)]
    arns = list(dict.fromkeys(_arns(call, region)))
    if not arns and call.operation in LISTS:
        arns = [region.arn("rds", LISTS[call.operation])]
    return [(arn, _tags(region, arn)) for arn in arns]


def _of_scheduler(call: Call, region: Region) -> Iterator[str]:
    """Service Authorization Reference, EventBridge Scheduler: its lists are about nothing."""
    name = call.params.get("Name")
    if name and call.operation.endswith("ScheduleGroup"):
        yield region.arn("scheduler", f"schedule-group/{name}")
    elif name:
        group = call.params.get("GroupName", "default")
        yield region.arn("scheduler", f"schedule/{group}/{name}")


def _arns(call: Call, region: Region) -> Iterator[str]:
    for parameter, kind in RDS_RESOURCES.items():
        if name := call.params.get(parameter):
            yield name if name.startswith("arn:") else region.arn("rds", f"{kind}:{name.lower()}")
    yield from _groups(call, region)
    for parameter in ARNS:
        if str(call.params.get(parameter, "")).startswith("arn:"):
            yield call.params[parameter]
    every = "*" if call.operation == "DescribeGlobalClusters" else None
    if name := call.params.get("GlobalClusterIdentifier", every):
        yield f"arn:aws:rds::{ACCOUNT}:global-cluster:{name.lower()}"


def _groups(call: Call, region: Region) -> Iterator[str]:
    """The groups of a new cluster or instance: those named, else the cluster's or default ones."""
    version = str(call.params.get("EngineVersion") or ENGINE_VERSION).split(".")[0]
    cluster = region.clusters.get(str(call.params.get("DBClusterIdentifier")).lower())
    for kind, (parameter, default) in GROUP_NAMES.items():
        name = call.params.get(parameter)
        if name is None and kind in GROUPS.get(call.operation, ()):
            name = cluster.subnet_group if cluster and kind == "subgrp" else default.format(version)
        if name:
            yield region.arn("rds", f"{kind}:{name.lower()}")


def _tags(region: Region, arn: str) -> dict[str, str]:
    for things in (region.clusters, region.instances, region.snapshots, region.db_snapshots):
        for thing in things.values():
            if thing.arn == arn:
                return dict(thing.tags)
    return {}


def context(world: World, call: Call, tags: dict[str, str]) -> dict[str, Any]:
    """The context of conditions; `tags`: the resource's."""
    now = world.clock.utc()
    given = [t for t in call.params.get("Tags") or [] if isinstance(t, dict) and t.get("Key")]
    return {
        "aws:currenttime": now.isoformat(),
        "aws:epochtime": str(int(now.timestamp())),
        "aws:principalaccount": call.caller.account,
        "aws:principalarn": call.caller.principal_arn,
        "aws:requestedregion": call.region,
        **{f"aws:resourcetag/{name.lower()}": value for name, value in tags.items()},
        **{f"aws:requesttag/{tag['Key'].lower()}": tag.get("Value", "") for tag in given},
        **({"aws:tagkeys": tuple(tag["Key"] for tag in given)} if given else {}),
    }
