"""S3, SQS, Parameter Store and DynamoDB under the lab's own keys: moto keeps the data, the lab asks
its KMS as each service does, with the data keys that the service keeps for a time.

One service, one file, each with its operations. A service is asked before moto is: `prepare` raises
what AWS would answer, or returns what is left to do with moto's answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from chaosaws_kms_lab.calls import Call
from chaosaws_kms_lab.encrypted import dynamodb, s3, sqs, ssm
from chaosaws_kms_lab.encrypted.data_keys import DataKeys, Prepare
from chaosaws_kms_lab.world import World

__all__ = ["OPERATIONS", "Encrypted"]

SERVICES: Mapping[str, Mapping[str, Prepare]] = {
    "dynamodb": dynamodb.OPERATIONS,
    "s3": s3.OPERATIONS,
    "sqs": sqs.OPERATIONS,
    "ssm": ssm.OPERATIONS,
}

OPERATIONS: Mapping[str, Collection[str]] = SERVICES
"""Service → its operations for which KMS may have to be asked."""


class Encrypted:
    """What these services have under the lab's keys."""

    def __init__(self, world: World) -> None:
        self._keys = DataKeys(world)

    def prepare(self, call: Call) -> None:
        """Asks KMS for whatever the call needs of it; raises AwsError as the service would."""
        SERVICES[call.service][call.operation](self._keys, call)
