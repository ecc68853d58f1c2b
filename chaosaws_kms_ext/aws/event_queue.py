"""RDS' events as EventBridge delivers them: in an SQS queue that is a target of a rule for them.

EventBridge calls whoever listens, and a run listens nowhere: a queue keeps the events until they
are asked for. What an event looks like: Amazon EventBridge Events Reference, "Amazon Relational
Database Service events" (source and types); Aurora User Guide, "Overview of events for Aurora" (its
detail).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.rds_events import BACK, LOST, KeyEvent
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.settings.parsers import QUEUE

__all__ = ["WAIT", "EventQueue", "Message"]

WAIT = 1
"""Seconds for which one call waits for a message (API reference, ReceiveMessage, WaitTimeSeconds):
the fewest with which all servers of SQS are asked, so that an empty answer is no chance (SQS
Developer Guide, "Setting-up long polling")."""

MOST = 10
"""Messages of one call (API reference, ReceiveMessage)."""

NOWHERE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})


@dataclass(frozen=True)
class Message:
    """One that was received, and is not shown to others for as long as the queue says."""

    handle: str
    event: KeyEvent | None
    """None: it is no event of RDS' that says that a key is lost, or back."""
    source_arn: str
    """Of the cluster or instance that the event is about."""


class EventQueue:
    """The queue that a setting names by its ARN or its URL."""

    def __init__(self, aws: Aws, given: str) -> None:
        self._aws, self._given = aws, given
        self._url = ""

    def find(self) -> None:
        """Asks where it is; raises AwsError, and Refused if there is none. IAM: sqs:GetQueueUrl."""
        found = QUEUE.fullmatch(self._given)
        assert found  # else the setting had been refused
        asked = {"QueueName": found["name"], "QueueOwnerAWSAccountId": found["account"]}
        try:
            self._url = self._aws.call("sqs", "GetQueueUrl", asked)["QueueUrl"]
        except AwsError as problem:
            if problem.code not in NOWHERE:
                raise
            raise Refused(
                f"CHAOS_EVENTS_QUEUE names {self._given}, and there is no such queue in "
                f"{self._aws.region}"
            ) from None

    def receive(self) -> list[Message]:
        """The messages that are there, or those that come within WAIT; raises AwsError.

        IAM: sqs:ReceiveMessage.
        """
        asked = {"QueueUrl": self._url, "MaxNumberOfMessages": MOST, "WaitTimeSeconds": WAIT}
        received = self._aws.call("sqs", "ReceiveMessage", asked).get("Messages", [])
        return [_read(each) for each in received]

    def delete(self, message: Message) -> None:
        """Nobody receives it again; raises AwsError. IAM: sqs:DeleteMessage."""
        asked = {"QueueUrl": self._url, "ReceiptHandle": message.handle}
        self._aws.call("sqs", "DeleteMessage", asked)


def _read(received: dict[str, Any]) -> Message:
    """A message; anybody may have sent it, so that nothing in it is sure to be there."""
    handle = str(received.get("ReceiptHandle", ""))
    try:
        said = json.loads(received.get("Body", ""))
        detail = said["detail"]
        event = KeyEvent(
            id=str(detail["EventID"]),
            source=str(detail["SourceIdentifier"]),
            date=_date(detail["Date"]),
            message=str(detail["Message"]),
        )
        arn = str(detail["SourceArn"])
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return Message(handle, None, "")
    of_key = said.get("source") == "aws.rds" and event.id in (*LOST, *BACK)
    return Message(handle, event if of_key else None, arn)


def _date(text: str) -> datetime:
    """Raises ValueError for an instant without a time zone: it could not be compared."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return found
