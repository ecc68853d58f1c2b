"""Amazon CloudWatch Logs: log groups under a customer managed key."""

from __future__ import annotations

from collections.abc import Iterator

from chaosaws_kms_ext.dependents.base import Dependent, Service, service
from chaosaws_kms_ext.dependents.look import Look

__all__ = ["Logs"]


@service
class Logs(Service):
    """Lists the log groups; their key stands in the list."""

    name = "logs"
    fails = "log events that are encrypted under the key can no longer be read; after which time, "
    fails += "AWS does not say"
    source = "CloudWatch Logs User Guide, Encrypt log data using AWS KMS"
    looks = ("logs:DescribeLogGroups",)

    def under(self, look: Look) -> Iterator[Dependent]:
        for each in look.each("logs", "DescribeLogGroups", "logGroups", limit=50):
            if look.is_under(each.get("kmsKeyId")):
                arn = each["arn"].removesuffix(":*")
                context = (("aws:logs:arn", arn),)
                yield Dependent(self.name, "log group", each["logGroupName"], arn, None, context)
