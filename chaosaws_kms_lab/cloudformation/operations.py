"""The operations of CloudFormation on stacks that the lab makes itself.

AWS CloudFormation API reference.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call
from chaosaws_kms_lab.cloudformation.service import Stacks
from chaosaws_kms_lab.cloudformation.stack import Resource, Stack
from chaosaws_kms_lab.cloudformation.template import Template, invalid

__all__ = ["OPERATIONS"]

IAM = "AWS::IAM::"
CAPABILITIES = frozenset({"CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"})

UNCHANGEABLE = "is in {status} state and can not be updated."
UPDATABLE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"})

FINAL_SNAPSHOT = "AWS::RDS::DBCluster"
"""Of which a snapshot is made when it goes, unless its DeletionPolicy says otherwise."""


def create_stack(stacks: Stacks, call: Call) -> dict[str, Any]:
    """CreateStack."""
    params, name = call.params, call.params["StackName"]
    if stacks.named(call.region, name) or stacks.of_moto(call.region, name):
        raise AwsError("AlreadyExistsException", f"Stack [{name}] already exists")
    if params.get("OnFailure") == "DELETE":
        raise invalid("The lab keeps a stack whose creation failed: leave OnFailure DELETE out.")
    arn = f"arn:aws:cloudformation:{call.region}:{ACCOUNT}:stack/{name}/{uuid.uuid4()}"
    template = _template(stacks, call, arn, name)
    rolls_back = params.get("OnFailure", "ROLLBACK") != "DO_NOTHING"
    stack = Stack(
        id=arn,
        name=name,
        region=call.region,
        template=template,
        clients=stacks.clients_of(call),
        now=stacks.now,
        roll_back=rolls_back and not params.get("DisableRollback", False),
        tags=list(params.get("Tags") or []),
        capabilities=list(params.get("Capabilities") or []),
        created=stacks.now(),
    )
    stacks.add(stack)
    stack.create()
    return {"StackId": arn}


def update_stack(stacks: Stacks, call: Call) -> dict[str, Any]:
    """UpdateStack."""
    stack = stacks.get(call.region, call.params["StackName"])
    if stack.status not in UPDATABLE:
        raise invalid(f"Stack:{stack.id} {UNCHANGEABLE.format(status=stack.status)}")
    template = _template(stacks, call, stack.id, stack.name, stack.template)
    if template.is_as(stack.template):
        raise invalid("No updates are to be performed.")
    stack.update(template, stacks.clients_of(call))
    return {"StackId": stack.id}


def delete_stack(stacks: Stacks, call: Call) -> dict[str, Any]:
    """DeleteStack."""
    stack = stacks.get(call.region, call.params["StackName"])
    if not stack.status.startswith("DELETE_") or stack.status == "DELETE_FAILED":
        stack.delete(stacks.clients_of(call))
    return {}


def describe_stacks(stacks: Stacks, call: Call) -> dict[str, Any]:
    """DescribeStacks: without a name all that are there, those of moto too."""
    if name := call.params.get("StackName"):
        return {"Stacks": [_described(stacks.get(call.region, name))]}
    own = [_described(each) for each in stacks.there(call.region)]
    return {"Stacks": [*own, *stacks.all_of_moto(call.region)]}


def describe_stack_events(stacks: Stacks, call: Call) -> dict[str, Any]:
    """DescribeStackEvents: all of them, the newest first."""
    stack = stacks.get(call.region, call.params["StackName"])
    return {
        "StackEvents": [
            {
                **_of(stack),
                "EventId": f"{each.logical}-{each.number}",
                "LogicalResourceId": each.logical,
                "PhysicalResourceId": each.physical,
                "ResourceType": each.type,
                "ResourceStatus": each.status,
                "ResourceStatusReason": each.reason,
                "Timestamp": each.at,
            }
            for each in reversed(stack.events)
        ]
    }


def describe_stack_resources(stacks: Stacks, call: Call) -> dict[str, Any]:
    """DescribeStackResources, by the name of the stack."""
    stack = stacks.get(call.region, call.params["StackName"])
    wanted = call.params.get("LogicalResourceId")
    found = [each for each in stack.resources.values() if wanted in (None, each.logical)]
    return {
        "StackResources": [
            {**_of(stack), **_resource(each), "Timestamp": each.at} for each in found
        ]
    }


def list_stack_resources(stacks: Stacks, call: Call) -> dict[str, Any]:
    """ListStackResources: all of them."""
    stack = stacks.get(call.region, call.params["StackName"])
    found = stack.resources.values()
    return {
        "StackResourceSummaries": [
            {**_resource(each), "LastUpdatedTimestamp": each.at} for each in found
        ]
    }


OPERATIONS: dict[str, Callable[[Stacks, Call], dict[str, Any]]] = {
    "CreateStack": create_stack,
    "DeleteStack": delete_stack,
    "DescribeStackEvents": describe_stack_events,
    "DescribeStackResources": describe_stack_resources,
    "DescribeStacks": describe_stacks,
    "ListStackResources": list_stack_resources,
    "UpdateStack": update_stack,
}


# Internals


def _template(
    stacks: Stacks, call: Call, arn: str, name: str, before: Template | None = None
) -> Template:
    """The template of a request with its parameters; raises AwsError for one that cannot be."""
    if "RoleARN" in call.params:
        raise invalid("The lab makes the resources of a stack as whoever calls: leave RoleARN out.")
    given: dict[str, str] = {}
    for each in call.params.get("Parameters") or []:
        key = each["ParameterKey"]
        if not each.get("UsePreviousValue"):
            given[key] = each.get("ParameterValue", "")
        elif before and key in before.given:  # else its default
            given[key] = before.given[key]
    again = before is not None and call.params.get("UsePreviousTemplate")
    body = before.body if before and again else stacks.body(call)
    _check_capabilities(body, call)
    for logical, each in (body.get("Resources") or {}).items():
        if each.get("Type") == FINAL_SNAPSHOT and each.get("DeletionPolicy") not in (
            "Delete",
            "Retain",
        ):
            raise invalid(
                f"The lab makes no final snapshot of {logical}: its DeletionPolicy has to be "
                "Delete or Retain."
            )
    pseudo = {
        "AWS::AccountId": ACCOUNT,
        "AWS::Partition": "aws",
        "AWS::Region": call.region,
        "AWS::StackId": arn,
        "AWS::StackName": name,
        "AWS::URLSuffix": "amazonaws.com",
    }
    try:
        return Template(body, given, pseudo)
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as problem:
        why = f"{type(problem).__name__}: {problem}"
        raise invalid(f"Template format error: {why}") from None


def _check_capabilities(body: Mapping[str, Any], call: Call) -> None:
    types = {str(each.get("Type")) for each in (body.get("Resources") or {}).values()}
    makes_iam = any(each.startswith(IAM) for each in types)
    if makes_iam and not CAPABILITIES & set(call.params.get("Capabilities") or []):
        why = "Requires capabilities : [CAPABILITY_IAM]"
        raise AwsError("InsufficientCapabilitiesException", why)


def _of(stack: Stack) -> dict[str, str]:
    return {"StackId": stack.id, "StackName": stack.name}


def _described(stack: Stack) -> dict[str, Any]:
    updated = {"LastUpdatedTime": stack.updated} if stack.updated else {}
    return {
        **_of(stack),
        "Description": stack.template.description,
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": _text(value)}
            for key, value in stack.template.parameters.items()
        ],
        "CreationTime": stack.created,
        **updated,
        "RollbackConfiguration": {},
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason,
        "DisableRollback": not stack.roll_back,
        "NotificationARNs": [],
        "Capabilities": stack.capabilities,
        "Outputs": stack.outputs,
        "Tags": stack.tags,
        "EnableTerminationProtection": False,
    }


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def _resource(resource: Resource) -> dict[str, str]:
    return {
        "LogicalResourceId": resource.logical,
        "PhysicalResourceId": resource.made.ref,
        "ResourceType": resource.type,
        "ResourceStatus": resource.status,
    }
