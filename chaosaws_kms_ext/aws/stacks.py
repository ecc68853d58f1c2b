"""CloudFormation stacks: what one says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.text import printable

__all__ = ["Stack", "describe"]

FINISHED = frozenset(
    {
        "CREATE_COMPLETE",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    }
)
"""The statuses in which everything of a stack is there (User Guide, "Stack status codes")."""


@dataclass(frozen=True)
class Stack:
    """A stack whose resources are all there."""

    name: str
    region: str
    outputs: Mapping[str, str]


def describe(aws: Aws, name: str) -> Stack:
    """The stack with this name or ARN.

    Raises AwsError, and PlainError where it is not there or not finished. IAM:
    cloudformation:DescribeStacks.
    """
    try:
        answer = aws.call("cloudformation", "DescribeStacks", {"StackName": name})
    except AwsError as problem:
        # API reference, DescribeStacks, StackName: so it answers where there is none.
        if problem.code == "ValidationError" and "does not exist" in str(problem):
            where = f"there is no stack {printable(name)} in {aws.region}"
            raise PlainError(f"{where}: look at its name, AWS_REGION and the account") from None
        raise
    stacks = answer.get("Stacks") or []
    if not stacks:
        raise AwsError(f"cloudformation:DescribeStacks says nothing of {printable(name)}")
    found = stacks[0]
    status = str(found.get("StackStatus"))
    if status not in FINISHED:
        raise PlainError(
            f"the stack {printable(name)} is {printable(status)}, so not everything of it is "
            f"there: {_what_to_do(status)}"
        )
    arn = str(found.get("StackId", "")).split(":")
    return Stack(
        name=str(found.get("StackName", name)),
        region=arn[3] if len(arn) > 3 and arn[3] else aws.region,
        outputs={
            str(each["OutputKey"]): str(each["OutputValue"])
            for each in found.get("Outputs") or []
            if "OutputKey" in each and "OutputValue" in each
        },
    )


def _what_to_do(status: str) -> str:
    if status.endswith("_IN_PROGRESS"):
        return "wait until it is finished"
    return "look at its events (aws cloudformation describe-stack-events)"
