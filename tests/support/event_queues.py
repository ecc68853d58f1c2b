"""A queue to which EventBridge sends RDS' events, as a team makes it."""

from __future__ import annotations

import json
from typing import Any

from chaosaws_kms_lab.calls import ACCOUNT

PATTERN = {
    "source": ["aws.rds"],
    "detail": {"EventID": ["RDS-EVENT-0418", "RDS-EVENT-0419", "RDS-EVENT-0420"]},
}


def event_queue(client: Any, name: str = "rds-events") -> str:
    """Its ARN; `client`: makes a boto3 client of a service."""
    sqs, events = client("sqs"), client("events")
    sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "2"})
    arn = f"arn:aws:sqs:{sqs.meta.region_name}:{ACCOUNT}:{name}"
    events.put_rule(Name=name, EventPattern=json.dumps(PATTERN))
    said = events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    assert said["FailedEntryCount"] == 0
    return arn


def left_in(client: Any, name: str = "rds-events") -> int:
    """How many messages are in it, shown or not."""
    sqs = client("sqs")
    counted = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    said = sqs.get_queue_attributes(
        QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"], AttributeNames=list(counted)
    )
    return sum(int(said["Attributes"][each]) for each in counted)
