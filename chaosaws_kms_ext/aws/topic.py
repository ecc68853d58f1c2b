"""An SNS topic that is told of something."""

from __future__ import annotations

from collections.abc import Mapping

from chaosaws_kms_ext.aws.client import Aws, AwsError, Patience
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.settings.parsers import TOPIC
from chaosaws_kms_ext.text import printable

__all__ = ["CannotTell", "Topic"]

PATIENCE = Patience(connect=3, read=5, attempts=2)
"""What waits for it is a run that has more to do."""

SUBJECT = 99
"""Characters, of ASCII: "less than 100 characters" (API reference, Publish, Subject)."""

CannotTell = (AwsError, Refused)
"""What `tell` raises."""


class Topic:
    """The topic of this ARN, in whichever Region it is."""

    def __init__(self, arn: str) -> None:
        self.arn = arn
        self._aws: Aws | None = None

    def tell(self, subject: str, message: str, attributes: Mapping[str, str]) -> None:
        """Publishes a message; raises what CannotTell has. IAM: sns:Publish.

        `attributes`: for the filter policies of subscriptions.
        """
        found = TOPIC.fullmatch(self.arn)
        assert found  # else the setting had been refused
        self._aws = self._aws or Aws(found["region"], patience=PATIENCE)
        self._aws.call(
            "sns",
            "Publish",
            {
                "TopicArn": self.arn,
                "Subject": printable(subject).encode("ascii", "replace").decode()[:SUBJECT],
                "Message": message,
                "MessageAttributes": {
                    name: {"DataType": "String", "StringValue": value}
                    for name, value in attributes.items()
                },
            },
        )
