"""S3, SQS, Parameter Store and DynamoDB under the lab's keys: the errors and the lags of AWS."""

from __future__ import annotations

import uuid

import pytest
from botocore.exceptions import ClientError

from chaosaws_kms_lab import data_misbehaviours
from tests.support.clusters import refusal
from tests.support.identities import allow, somebody
from tests.support.trail import DELIVERY, look

REGION = "eu-west-1"
KEPT = 301
"""AWS seconds after which neither SQS nor DynamoDB uses what it kept."""


@pytest.fixture
def name():
    """moto's things outlive a lab."""
    return f"n{uuid.uuid4().hex}"


@pytest.fixture
def kms(own_lab):
    return own_lab.client("kms")


@pytest.fixture
def key(kms):
    return kms.create_key()["KeyMetadata"]["Arn"]


def error(call, **params):
    """The code and the message; fails the test where there is none."""
    with pytest.raises(ClientError) as refused:
        call(**params)
    said = refused.value.response
    return said["Error"]["Code"], said["Error"]["Message"], said["ResponseMetadata"]


# S3


@pytest.fixture
def s3(own_lab):
    return own_lab.client("s3")


@pytest.fixture
def bucket(s3, name):
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


def by_default(s3, bucket, key, bucket_key=False):
    usual = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rule = {"ApplyServerSideEncryptionByDefault": usual, "BucketKeyEnabled": bucket_key}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


def test_an_object_can_be_read_and_written_as_long_as_its_key_can_be_used(kms, s3, bucket, key):
    there = {"Bucket": bucket, "Key": "a/k"}
    of_key = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    s3.put_object(Body=b"x", **there, **of_key)
    assert s3.get_object(**there)["Body"].read() == b"x"
    kms.disable_key(KeyId=key)
    code, message, said = error(s3.get_object, **there)
    assert (code, message) == ("KMS.DisabledException", f"{key} is disabled.")
    assert said["HTTPStatusCode"] == 400
    assert error(s3.put_object, Body=b"y", **there, **of_key)[0] == "KMS.DisabledException"
    assert error(s3.head_object, **there)[0] == "400"
    copy = {"Bucket": bucket, "Key": "l", "CopySource": f"{bucket}/a/k"}
    assert error(s3.copy_object, **copy)[0] == "KMS.DisabledException"
    kms.schedule_key_deletion(KeyId=key)
    assert error(s3.get_object, **there)[0] == "KMS.KMSInvalidStateException"
    kms.cancel_key_deletion(KeyId=key)
    kms.enable_key(KeyId=key)
    assert s3.get_object(**there)["Body"].read() == b"x"


def test_a_bucket_encrypts_under_its_default_key_what_names_none(kms, s3, bucket, key):
    s3.put_object(Bucket=bucket, Key="before", Body=b"x")
    by_default(s3, bucket, key)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_object(Bucket=bucket, Key="own", Body=b"x", ServerSideEncryption="AES256")
    kms.disable_key(KeyId=key)
    assert error(s3.get_object, Bucket=bucket, Key="k")[0] == "KMS.DisabledException"
    for other in ("before", "own"):
        s3.get_object(Bucket=bucket, Key=other)
    assert error(s3.create_multipart_upload, Bucket=bucket, Key="m")[0] == "NotImplemented"


def test_a_bucket_key_goes_on_for_a_time_for_who_has_used_it(own_lab, kms, s3, bucket, key):
    by_default(s3, bucket, key, bucket_key=True)
    there = {"Bucket": bucket, "Key": "k"}
    s3.put_object(Body=b"x", **there)
    kms.disable_key(KeyId=key)
    s3.get_object(**there)
    other = somebody(own_lab, allow("kms:Decrypt"))("s3")
    assert error(other.get_object, **there)[0] == "KMS.DisabledException"
    own_lab.pass_time(KEPT)
    assert error(s3.get_object, **there)[0] == "KMS.DisabledException"


def test_who_may_not_use_the_key_may_not_read_the_object(own_lab, s3, bucket, key):
    by_default(s3, bucket, key)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    nobody = somebody(own_lab, allow("sns:Publish"))("s3")
    code, _, said = error(nobody.get_object, Bucket=bucket, Key="k")
    assert (code, said["HTTPStatusCode"]) == ("AccessDenied", 403)


def test_what_everybody_may_read_is_read_with_a_signature_if_it_is_under_a_key(
    own_lab, s3, bucket, key
):
    of_key = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    s3.put_object(Bucket=bucket, Key="open", Body=b"x", ACL="public-read")
    s3.put_object(Bucket=bucket, Key="sealed", Body=b"x", ACL="public-read", **of_key)
    status = {
        name: own_lab._door.get(f"/{bucket}/{name}", base_url="http://127.0.0.1:1").status_code
        for name in ("open", "sealed")
    }
    assert status == {"open": 200, "sealed": 403}


def test_a_key_that_is_not_there_is_refused_and_nothing_is_written(s3, bucket, key):
    there = {"Bucket": bucket, "Key": "k"}
    unknown = f"{key[:-12]}{'0' * 12}"
    of_key = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": unknown}
    assert error(s3.put_object, Body=b"x", **there, **of_key)[0] == "KMS.NotFoundException"
    assert error(s3.get_object, **there)[0] == "NoSuchKey"


# SQS


def a_queue(sqs, name, key, **more):
    return sqs.create_queue(QueueName=name, Attributes={"KmsMasterKeyId": key, **more})["QueueUrl"]


def test_a_queue_goes_on_with_its_data_key_for_its_period(own_lab, kms, key, name):
    kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=key)
    sqs = own_lab.client("sqs")
    slow = a_queue(sqs, name, f"alias/{name}", KmsDataKeyReusePeriodSeconds="600")
    usual = a_queue(sqs, f"{name}-2", key)
    for queue in (slow, usual):
        sqs.send_message(QueueUrl=queue, MessageBody="x")
    kms.disable_key(KeyId=key)
    for queue in (slow, usual):
        sqs.send_message(QueueUrl=queue, MessageBody="x")
        assert sqs.receive_message(QueueUrl=queue)["Messages"]
    own_lab.pass_time(KEPT)
    sqs.send_message(QueueUrl=slow, MessageBody="x")
    code, message, _ = error(sqs.send_message, QueueUrl=usual, MessageBody="x")
    assert (code, message) == ("KMS.DisabledException", f"{key} is disabled.")
    assert error(sqs.receive_message, QueueUrl=usual)[0] == "KMS.DisabledException"
    entries = [{"Id": "1", "MessageBody": "x"}]
    batch = error(sqs.send_message_batch, QueueUrl=usual, Entries=entries)
    assert batch[0] == "KMS.DisabledException"
    own_lab.pass_time(600)
    assert error(sqs.send_message, QueueUrl=slow, MessageBody="x")[0] == "KMS.DisabledException"
    kms.enable_key(KeyId=key)
    for queue in (slow, usual):
        sqs.send_message(QueueUrl=queue, MessageBody="x")


def test_a_queue_takes_any_key_and_a_message_does_not(own_lab, name):
    """API reference, SetQueueAttributes: KMS is not asked."""
    sqs = own_lab.client("sqs")
    queue = a_queue(sqs, name, "alias/nobody")
    assert error(sqs.send_message, QueueUrl=queue, MessageBody="x")[0] == "KMS.NotFoundException"
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"KmsMasterKeyId": ""})
    sqs.send_message(QueueUrl=queue, MessageBody="x")


# Parameter Store


def test_a_parameter_can_be_decrypted_as_long_as_its_key_can_be_used(own_lab, kms, key, name):
    ssm = own_lab.client("ssm")
    path = f"/{name}/p"
    ssm.put_parameter(Name=path, Value="x", Type="SecureString", KeyId=key)
    ssm.put_parameter(Name=f"/{name}/free", Value="y", Type="String")
    secret = {"Name": path, "WithDecryption": True}
    assert ssm.get_parameter(**secret)["Parameter"]["Value"] == "x"
    kms.disable_key(KeyId=key)
    code, message, _ = error(ssm.get_parameter, **secret)
    assert code == "InvalidKeyId"
    assert message.startswith(f"{key} is disabled. (")
    ssm.get_parameter(Name=path)
    both = {"Names": [path, f"/{name}/free"], "WithDecryption": True}
    assert error(ssm.get_parameters, **both)[0] == "InvalidKeyId"
    by_path = {"Path": f"/{name}", "Recursive": True, "WithDecryption": True}
    assert error(ssm.get_parameters_by_path, **by_path)[0] == "InvalidKeyId"
    assert error(ssm.get_parameter_history, **secret)[0] == "NotImplemented"
    again = {"Name": path, "Value": "z", "Type": "SecureString", "Overwrite": True}
    assert error(ssm.put_parameter, **again)[0] == "InvalidKeyId"
    kms.enable_key(KeyId=key)
    assert ssm.get_parameter(**secret)["Parameter"]["Value"] == "x"


# DynamoDB


def a_table(dynamodb, name, key):
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key},
    )


def test_a_table_goes_on_with_its_table_key_for_five_minutes(own_lab, kms, key, name):
    dynamodb = own_lab.client("dynamodb")
    a_table(dynamodb, name, key)
    item = {"id": {"S": "1"}}
    dynamodb.put_item(TableName=name, Item=item)
    kms.disable_key(KeyId=key)
    assert dynamodb.get_item(TableName=name, Key=item)["Item"] == item
    own_lab.pass_time(KEPT)
    code, message, _ = error(dynamodb.get_item, TableName=name, Key=item)
    assert code == "AccessDeniedException"
    assert message.startswith(f"KMS key access denied error: {key} is disabled.")
    for call, params in [
        (dynamodb.scan, {"TableName": name}),
        (dynamodb.batch_get_item, {"RequestItems": {name: {"Keys": [item]}}}),
        (dynamodb.transact_write_items, {"TransactItems": [
            {"Put": {"TableName": name, "Item": item}}]}),
        (dynamodb.execute_statement, {"Statement": f'SELECT * FROM "{name}"'}),
    ]:  # fmt: skip
        assert refusal(call, **params) == "AccessDeniedException"
    assert dynamodb.describe_table(TableName=name)["Table"]["SSEDescription"]["KMSMasterKeyArn"]
    kms.enable_key(KeyId=key)
    assert dynamodb.get_item(TableName=name, Key=item)["Item"] == item


def test_no_table_is_made_under_a_key_that_cannot_be_used(own_lab, kms, key, name):
    dynamodb = own_lab.client("dynamodb")
    kms.disable_key(KeyId=key)
    with pytest.raises(ClientError) as refused:
        a_table(dynamodb, name, key)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    assert refusal(dynamodb.describe_table, TableName=name) == "ResourceNotFoundException"


# All of them


def test_what_they_do_with_the_key_is_in_cloudtrail(own_lab, s3, bucket, key, name):
    by_default(s3, bucket, key)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.get_object(Bucket=bucket, Key="k")
    own_lab.pass_time(DELIVERY)
    (made,), (read,) = (look(own_lab, EventName=n) for n in ("GenerateDataKey", "Decrypt"))
    for event in (made, read):
        context = event["requestParameters"]["encryptionContext"]
        assert context == {"aws:s3:arn": f"arn:aws:s3:::{bucket}/k"}
        assert event["userIdentity"]["invokedBy"] == "s3.amazonaws.com"
        assert [each["ARN"] for each in event["resources"]] == [key]


def test_what_was_lost_once_stays_so_if_that_is_ordered(own_lab, kms, key, name):
    ssm = own_lab.client("ssm")
    for each in (name, f"{name}-2"):
        ssm.put_parameter(Name=each, Value="x", Type="SecureString", KeyId=key)
    secret = {"Name": name, "WithDecryption": True}
    order = data_misbehaviours.order(own_lab.world, {"kind": "dependents-stay-lost"})
    ssm.get_parameter(**secret)
    kms.disable_key(KeyId=key)
    assert refusal(ssm.get_parameter, **secret) == "InvalidKeyId"
    kms.enable_key(KeyId=key)
    assert refusal(ssm.get_parameter, **secret) == "InvalidKeyId"
    order.over = True
    ssm.get_parameter(**secret)


def test_keys_of_aws_cannot_be_lost(own_lab, s3, bucket, name):
    by_default(s3, bucket, f"arn:aws:kms:{REGION}:123456789012:alias/aws/s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    sqs = own_lab.client("sqs")
    sqs.send_message(QueueUrl=a_queue(sqs, name, "alias/aws/sqs"), MessageBody="x")
    ssm = own_lab.client("ssm")
    ssm.put_parameter(Name=name, Value="x", Type="SecureString")
    ssm.get_parameter(Name=name, WithDecryption=True)
