"""What a schedule invokes: an operation of an AWS service, and what it sends.

EventBridge Scheduler User Guide, "Using universal targets in EventBridge Scheduler".
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from botocore.exceptions import UnknownServiceError

from chaosaws_kms_lab.calls import AwsError
from chaosaws_kms_lab.scheduler.retries import RetryPolicy
from chaosaws_kms_lab.service_models import model

__all__ = ["InvocationFailed", "Request", "Target", "dead_letter", "read"]

UNIVERSAL = re.compile(r"arn:aws:scheduler:::aws-sdk:([a-z0-9]+):([a-z][A-Za-z0-9]*)")
QUEUE = re.compile(r"arn:aws[a-z-]*:sqs:([a-z0-9-]+):(\d{12}):([A-Za-z0-9_-]+)")

# "Unsupported actions": what only reads.
READ_ONLY = (
    "get", "describe", "list", "poll", "receive", "search", "scan", "query", "select", "read",
    "lookup", "discover", "validate", "batchGet", "batchDescribe", "batchRead", "transactGet",
    "adminGet", "adminList", "testMigration", "retrieve", "testConnection", "translateDocument",
    "isAuthorized", "invokeModel",
)  # fmt: skip

# Where the name in the AWS SDK for Java is not botocore's.
SERVICES = {
    "applicationautoscaling": "application-autoscaling",
    "cloudwatchlogs": "logs",
    "cognitoidentityprovider": "cognito-idp",
    "elasticloadbalancing": "elb",
    "elasticloadbalancingv2": "elbv2",
    "eventbridge": "events",
    "resourcegroupstagging": "resourcegroupstaggingapi",
    "sfn": "stepfunctions",
}


class InvocationFailed(Exception):
    """The target, or AssumeRole for its role, answered with an error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Request(NamedTuple):
    """A call as an SDK makes it, in the words of botocore."""

    service: str
    operation: str
    params: dict[str, Any]


@dataclass(frozen=True)
class Target:
    """The Target of a schedule."""

    arn: str
    role: str
    input: str
    service: str
    operation: str
    retries: RetryPolicy
    dead_letters: str | None
    """The ARN of a queue."""

    def request(self, attributes: Mapping[str, str]) -> Request:
        """The call; raises InvocationFailed if the input has a parameter that the operation lacks.

        `attributes` are those that an input may name as <aws.scheduler.…> ("Adding context
        attributes", User Guide).
        """
        text = self.input
        for name, value in attributes.items():
            text = text.replace(f"<aws.scheduler.{name}>", json.dumps(value)[1:-1])
        shape = model(self.service).operation_model(self.operation).input_shape
        params = _fitted(shape, json.loads(text), "") if shape else {}
        return Request(self.service, self.operation, params)


def read(params: Mapping[str, Any]) -> Target:
    """The Target of a request; raises AwsError for one that the lab cannot invoke."""
    named = UNIVERSAL.fullmatch(params["Arn"])
    if not named:
        why = "The lab invokes universal targets only (arn:aws:scheduler:::aws-sdk:…)"
        raise AwsError("ValidationException", f"{why}: {params['Arn']} is none.")
    service, operation = _operation(*named.groups())
    text = params.get("Input", "{}")
    try:
        well_formed = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        well_formed = False
    if not well_formed:
        raise AwsError("ValidationException", "The Input of a universal target is a JSON object.")
    policy = params.get("RetryPolicy", {})
    default = RetryPolicy()
    age = policy.get("MaximumEventAgeInSeconds")
    return Target(
        arn=params["Arn"],
        role=params["RoleArn"],
        input=text,
        service=service,
        operation=operation,
        retries=RetryPolicy(
            policy.get("MaximumRetryAttempts", default.attempts),
            default.age if age is None else timedelta(seconds=age),
        ),
        dead_letters=params.get("DeadLetterConfig", {}).get("Arn"),
    )


def dead_letter(queue: str, body: str, attributes: Mapping[str, str]) -> tuple[Request, str]:
    """The message to a queue (an ARN), and the queue's Region."""
    named = QUEUE.fullmatch(queue)
    assert named, queue  # the model of CreateSchedule says so
    region, account, name = named.groups()
    params = {
        "QueueUrl": f"https://sqs.{region}.amazonaws.com/{account}/{name}",
        "MessageBody": body,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value}
            for name, value in attributes.items()
            if value
        },
    }
    return Request("sqs", "SendMessage", params), region


def _operation(service: str, action: str) -> tuple[str, str]:
    """botocore's names of a universal target's service and action."""
    invalid = AwsError(
        "ValidationException", f"aws-sdk:{service}:{action} is not a supported target."
    )
    if action.startswith(READ_ONLY):
        raise invalid
    ours = SERVICES.get(service, service)
    try:
        names = {name.lower(): name for name in model(ours).operation_names}
    except UnknownServiceError:
        raise invalid from None
    if action.lower() not in names:
        raise invalid
    return ours, names[action.lower()]


def _fitted(shape: Any, value: Any, path: str) -> Any:
    """`value` with botocore's names; those of the AWS SDK for Java differ in capitals."""
    if shape.type_name == "structure" and isinstance(value, Mapping):
        members = {name.lower(): name for name in shape.members}
        fitted = {}
        for name, each in value.items():
            known = members.get(name.lower())
            if known is None:
                raise InvocationFailed("ValidationException", f"Unknown parameter {path}{name}")
            fitted[known] = _fitted(shape.members[known], each, f"{path}{known}.")
        return fitted
    if shape.type_name == "list" and isinstance(value, list):
        return [_fitted(shape.member, each, path) for each in value]
    if shape.type_name == "map" and isinstance(value, Mapping):
        return {name: _fitted(shape.value, each, path) for name, each in value.items()}
    if shape.type_name == "blob" and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except ValueError:
            said = f"{path[:-1]} is not base64"
            raise InvocationFailed("ValidationException", said) from None
    return value
