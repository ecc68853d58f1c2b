"""Amazon SQS: queues under a customer managed key."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.dependents.base import Dependent, Request, Service, service
from chaosaws_kms_ext.dependents.look import Look

__all__ = ["Sqs"]

KEY, REUSE, ARN = "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "QueueArn"

USUAL_REUSE = 300.0
"""Seconds: the API reference, SetQueueAttributes."""

MESSAGE = '{"chaos:canary": "chaostoolkit-aws-kms asks whether this queue works: ignore it"}'
"""What a canary writes: whoever reads the queue gets it."""


@service
class Sqs(Service):
    """Lists the queues, and asks each for its key."""

    name = "sqs"
    fails = "SendMessage and ReceiveMessage go on with the data key that SQS has for "
    fails += "KmsDataKeyReusePeriodSeconds (300 by default), and then fail with "
    fails += "KMS.DisabledException or KMS.InvalidStateException; what other services send to the "
    fails += "queue is lost or goes to a dead-letter queue"
    source = "Amazon SQS API reference, SendMessage, Errors, and SetQueueAttributes"
    looks = ("sqs:ListQueues", "sqs:GetQueueAttributes")
    canary_looks = ("sqs:ListQueueTags", "sqs:GetQueueUrl")
    canary_uses = ("sqs:SendMessage",)

    def under(self, look: Look) -> Iterator[Dependent]:
        for url in look.each("sqs", "ListQueues", "QueueUrls", MaxResults=1000):
            asked = look.ask(
                "sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=[KEY, REUSE, ARN]
            )
            said = asked.get("Attributes") or {}
            if look.is_under(said.get(KEY)):
                keep = float(said.get(REUSE) or USUAL_REUSE)
                context = (("aws:sqs:arn", said[ARN]),)
                yield Dependent(self.name, "queue", _name(said[ARN]), said[ARN], keep, context)

    def tags(self, aws: Aws, dependent: Dependent) -> Mapping[str, str]:
        answer = aws.call("sqs", "ListQueueTags", {"QueueUrl": _url(aws, dependent)})
        return {str(name): str(value) for name, value in (answer.get("Tags") or {}).items()}

    def canary(self, aws: Aws, dependent: Dependent, key_arn: str) -> Request | str:
        """A message, since a queue that nobody writes to could be read without the key."""
        params = {"QueueUrl": _url(aws, dependent), "MessageBody": MESSAGE}
        if dependent.name.endswith(".fifo"):
            # One id for all of them: SQS delivers one in 5 minutes (API reference, SendMessage).
            params |= {"MessageGroupId": "chaos", "MessageDeduplicationId": uuid.uuid4().hex}
        return Request("sqs", "SendMessage", params)


def _name(arn: str) -> str:
    return arn.rpartition(":")[2]


def _url(aws: Aws, dependent: Dependent) -> str:
    return str(aws.call("sqs", "GetQueueUrl", {"QueueName": dependent.name})["QueueUrl"])
