"""What else a lab can have under its clusters' key: a secret, an object, a queue, a table and a
parameter, each with the tag that lets experiments read them, or write to the queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chaosaws_kms_lab.seed import CLUSTER, TAGS

__all__ = ["dependents"]

KEY_VALUE = [{"Key": name, "Value": value} for name, value in TAGS.items()]


def dependents(client: Callable[[str], Any], region: str, key: str, of: str = CLUSTER) -> None:
    """Makes one of each under the key (its ARN), as anybody does it who has an account.

    `client` makes the boto3 client of a service; `of`: what their names begin with.
    """
    client("secretsmanager").create_secret(
        Name=f"{of}/password", SecretString="not so secret", KmsKeyId=key, Tags=KEY_VALUE
    )
    client("ssm").put_parameter(
        Name=f"/{of}/api-token",
        Value="not so secret",
        Type="SecureString",
        KeyId=key,
        Tags=KEY_VALUE,
    )
    client("sqs").create_queue(
        QueueName=f"{of}-events", Attributes={"KmsMasterKeyId": key}, tags=TAGS
    )
    client("dynamodb").create_table(
        TableName=f"{of}-carts",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key},
        Tags=KEY_VALUE,
    )
    _bucket(client("s3"), f"{of}-invoices", region, key)


def _bucket(s3: Any, name: str, region: str, key: str) -> None:
    # S3 takes no constraint for the Region that it began in.
    place = {} if region == "us-east-1" else {"LocationConstraint": region}
    made = {"CreateBucketConfiguration": place} if place else {}
    s3.create_bucket(Bucket=name, **made)
    usual = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rule = {"ApplyServerSideEncryptionByDefault": usual, "BucketKeyEnabled": False}
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": KEY_VALUE})
    s3.put_object(Bucket=name, Key="invoice-1.txt", Body=b"an invoice")
