"""Amazon DynamoDB: tables under a customer managed key.

Amazon DynamoDB Developer Guide, "DynamoDB encryption usage notes", table key caching: DynamoDB
keeps a table's key for each caller in memory, and asks KMS again after five minutes (of inactivity,
as the guide says; assumed: whatever is read meanwhile, so that a table that is read does not stay
readable for ever). (The lab does not show
the table status INACCESSIBLE_ENCRYPTION_CREDENTIALS.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chaosaws_kms_lab import moto_data
from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call
from chaosaws_kms_lab.encrypted.data_keys import DataKeys, Encryption, Prepare, customers

__all__ = ["OPERATIONS"]

TABLE_KEY = 300.0
"""AWS seconds for which DynamoDB keeps a table's key: documented, but for what restarts them."""


def use_table(keys: DataKeys, call: Call) -> None:
    """Whatever reads or writes items: of one table, or of several."""
    for name in dict.fromkeys(_tables(call)):
        key = customers(moto_data.table_key(call.region, name), "dynamodb")
        if key:
            how = _encryption(call, name, key)
            _in_dynamodb(lambda how=how: keys.open(call, how))  # type: ignore[misc]


def set_table(keys: DataKeys, call: Call) -> None:
    """CreateTable and UpdateTable: the table's key is made under the KMS key that is named."""
    key = customers((call.params.get("SSESpecification") or {}).get("KMSMasterKeyId"), "dynamodb")
    if key:
        how = _encryption(call, str(call.params.get("TableName")), key)
        _in_dynamodb(lambda: keys.seal(call, how))


OPERATIONS: dict[str, Prepare] = {
    "CreateTable": set_table,
    "UpdateTable": set_table,
    **dict.fromkeys(
        (
            "BatchExecuteStatement", "BatchGetItem", "BatchWriteItem", "DeleteItem",
            "ExecuteStatement", "ExecuteTransaction", "GetItem", "PutItem", "Query", "Scan",
            "TransactGetItems", "TransactWriteItems", "UpdateItem",
        ),
        use_table,
    ),
}  # fmt: skip


# Internals


def _tables(call: Call) -> Iterator[str]:
    """The names of the tables that a call is about."""
    params = call.params
    if name := params.get("TableName"):
        yield _name(name)
    requested = params.get("RequestItems")
    if isinstance(requested, Mapping):
        yield from map(_name, requested)
    for item in params.get("TransactItems") or []:
        yield from (_name(each["TableName"]) for each in item.values() if "TableName" in each)
    statements = [params, *(params.get("Statements") or params.get("TransactStatements") or [])]
    said = " ".join(str(each.get("Statement", "")) for each in statements)
    if said.strip():
        yield from (name for name in moto_data.tables(call.region) if name in said)


def _name(reference: Any) -> str:
    """A table may be named by its ARN."""
    return str(reference).rsplit("/", 1)[-1]


def _encryption(call: Call, name: str, key: str) -> Encryption:
    """Developer Guide, "DynamoDB encryption context"."""
    arn = f"arn:aws:dynamodb:{call.region}:{ACCOUNT}:table/{name}"
    context = {"aws:dynamodb:tableName": name, "aws:dynamodb:subscriberId": ACCOUNT}
    return Encryption(arn, key, context, TABLE_KEY)


def _in_dynamodb(asks: moto_data.Asks) -> None:
    """The code and the begin of the message as users report them of a key that they may not use;
    assumed for a key that is disabled: DynamoDB's API reference names no error for it."""
    try:
        asks()
    except AwsError as why:
        told = f"KMS key access denied error: {why.message} (Error Code: {why.code})"
        raise AwsError("AccessDeniedException", told, 400) from why
