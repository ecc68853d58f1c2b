"""Amazon SNS: topics under a customer managed key."""

from __future__ import annotations

from collections.abc import Iterator

from chaosaws_kms_ext.dependents.base import Dependent, Service, service
from chaosaws_kms_ext.dependents.look import Look

__all__ = ["Sns"]


@service
class Sns(Service):
    """Lists the topics, and asks each for its key."""

    name = "sns"
    fails = "Publish fails with KMSDisabled or KMSInvalidState; SNS keeps data keys for a time "
    fails += "that AWS does not say"
    source = "Amazon SNS API reference, Publish, Errors"
    looks = ("sns:ListTopics", "sns:GetTopicAttributes")

    def under(self, look: Look) -> Iterator[Dependent]:
        for each in look.each("sns", "ListTopics", "Topics"):
            arn = each["TopicArn"]
            said = look.ask("sns", "GetTopicAttributes", TopicArn=arn).get("Attributes") or {}
            if look.is_under(said.get("KmsMasterKeyId")):
                name = arn.rpartition(":")[2]
                context = (("aws:sns:topicArn", arn),)
                yield Dependent(self.name, "topic", name, arn, None, context)
