"""Amazon SQS: queues under a customer managed key.

Amazon SQS Developer Guide, "Key management", and the API reference, SetQueueAttributes: SQS uses a
data key again for KmsDataKeyReusePeriodSeconds (60 to 86,400, by default 300) before it asks KMS
again; each principal has its own. A queue takes the name of any key: KMS is not asked for it.
"""

from __future__ import annotations

from chaosaws_kms_lab import moto_data
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.encrypted.data_keys import DataKeys, Encryption, Prepare, customers

__all__ = ["OPERATIONS"]

CODES = {
    "AccessDeniedException": "KMS.AccessDeniedException",
    "DisabledException": "KMS.DisabledException",
    "KMSInvalidStateException": "KMS.InvalidStateException",
    "NotFoundException": "KMS.NotFoundException",
}
"""API reference, SendMessage, "Errors" (KmsDisabled and so on), as SDKs show them: by the codes of
the query protocol. Assumed for InvalidStateException."""


def send(keys: DataKeys, call: Call) -> None:
    """SendMessage and SendMessageBatch."""
    if how := _encryption(call):
        _in_sqs(lambda: keys.seal(call, how))


def receive(keys: DataKeys, call: Call) -> None:
    """ReceiveMessage: its messages are under a data key that may be kept as well."""
    if how := _encryption(call):
        _in_sqs(lambda: keys.open(call, how))


def configure(keys: DataKeys, call: Call) -> None:
    """CreateQueue and SetQueueAttributes: SQS does not ask KMS for them."""


OPERATIONS: dict[str, Prepare] = {
    "CreateQueue": configure,
    "ReceiveMessage": receive,
    "SendMessage": send,
    "SendMessageBatch": send,
    "SetQueueAttributes": configure,
}


# Internals


def _encryption(call: Call) -> Encryption | None:
    queue = moto_data.queue(call.region, str(call.params.get("QueueUrl")))
    key = customers(queue.key, "sqs") if queue else None
    if queue is None or key is None:
        return None
    return Encryption(queue.arn, key, {"aws:sqs:arn": queue.arn}, queue.reuse)


def _in_sqs(asks: moto_data.Asks) -> None:
    try:
        asks()
    except AwsError as why:
        code = CODES.get(why.code, why.code)
        raise AwsError(code, why.message, why.status or 400) from why
