"""Amazon DynamoDB: tables under a customer managed key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.dependents.base import Dependent, Request, Service, service, tags_of
from chaosaws_kms_ext.dependents.look import Look

__all__ = ["DynamoDb"]

ABSENT: dict[str, dict[str, Any]] = {
    "B": {"B": b"chaos-canary"}, "N": {"N": "0"}, "S": {"S": "chaos-canary"},
}  # fmt: skip
"""The key of an item that need not be there, by the type of the attribute."""


@service
class DynamoDb(Service):
    """Lists the tables, and asks each for its key."""

    name = "dynamodb"
    fails = "items are read and written with the table key that DynamoDB has, which it keeps for "
    fails += "five minutes after its last use; then its calls fail (AccessDeniedException, as "
    fails += "users report it), and the table is INACCESSIBLE_ENCRYPTION_CREDENTIALS: after seven "
    fails += "days it is archived"
    source = "Amazon DynamoDB Developer Guide, DynamoDB encryption usage notes; API reference, "
    source += "TableDescription and SSEDescription"
    looks = ("dynamodb:ListTables", "dynamodb:DescribeTable")
    canary_looks = ("dynamodb:ListTagsOfResource",)
    canary_uses = ("dynamodb:GetItem",)

    def under(self, look: Look) -> Iterator[Dependent]:
        for name in look.each("dynamodb", "ListTables", "TableNames", Limit=100):
            table = look.ask("dynamodb", "DescribeTable", TableName=name)["Table"]
            if look.is_under((table.get("SSEDescription") or {}).get("KMSMasterKeyArn")):
                context = (("aws:dynamodb:tableName", name),)
                # Five minutes "of inactivity": in a table that is read, nobody knows when.
                yield Dependent(self.name, "table", name, table["TableArn"], None, context)

    def tags(self, aws: Aws, dependent: Dependent) -> Mapping[str, str]:
        params = {"ResourceArn": dependent.arn}
        return tags_of(aws.call("dynamodb", "ListTagsOfResource", params).get("Tags"))

    def canary(self, aws: Aws, dependent: Dependent, key_arn: str) -> Request | str:
        """An item that is not there: the table's key is needed all the same."""
        table = aws.call("dynamodb", "DescribeTable", {"TableName": dependent.name})["Table"]
        kinds = {
            each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]
        }
        names = [each["AttributeName"] for each in table["KeySchema"]]
        key = {name: ABSENT[kinds[name]] for name in names}
        return Request("dynamodb", "GetItem", {"TableName": dependent.name, "Key": key})
