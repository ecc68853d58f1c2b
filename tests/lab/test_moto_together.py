"""moto beside the lab's own keys and clusters: it sees them, or says that it does not do it."""

from __future__ import annotations

import json
import time
import uuid

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from chaosaws_kms_lab import unsupported
from tests.support.clusters import refusal
from tests.support.identities import allow, document, session, somebody
from tests.support.in_process_lab import InProcessLab, OneSecret
from tests.support.trail import DELIVERY, look

pytestmark = pytest.mark.thorough

ACCOUNT = "123456789012"
NOTHING = allow("sns:Publish")
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture
def kms(own_lab):
    return own_lab.client("kms")


@pytest.fixture
def key(kms):
    return kms.create_key()["KeyMetadata"]["Arn"]


@pytest.fixture
def name():
    """moto's things outlive a own_lab."""
    return f"n{uuid.uuid4().hex}"


@pytest.fixture
def secrets(own_lab):
    return own_lab.client("secretsmanager")


@pytest.fixture
def secret(secrets, key, name):
    """The ARN of a secret under the key."""
    return secrets.create_secret(Name=name, SecretString="one", KmsKeyId=key)["ARN"]


URL = "http://127.0.0.1:1/"
SERVICE = "X-Signed-For"


def send(own_lab, method, url, body=b"", headers=()):
    """The status and the body of what a request without any SDK is answered."""
    asked = AWSRequest(method, url, headers=dict(headers), data=body)
    if service := asked.headers.get(SERVICE):
        del asked.headers[SERVICE]
        SigV4Auth(Credentials("lab", OneSecret.lab), service, "eu-west-1").add_auth(asked)
    answer = own_lab._send(asked.prepare())
    return answer.status_code, answer.content


def signed(service, operation, prefix=None):
    """The headers of a request in JSON; `send` signs it."""
    return {
        SERVICE: service,
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"{prefix or service}.{operation}",
    }


def text(secrets, secret, **params):
    return secrets.get_secret_value(SecretId=secret, **params)["SecretString"]


# Secrets Manager


def test_a_secret_can_be_read_as_long_as_its_key_can_be_used(kms, secrets, key, secret):
    assert text(secrets, secret) == "one"
    kms.disable_key(KeyId=key)
    with pytest.raises(ClientError) as refused:
        secrets.get_secret_value(SecretId=secret)
    error = refused.value.response["Error"]
    assert error["Code"] == "DecryptionFailure"
    assert f"{key} is disabled." in error["Message"]
    assert secrets.describe_secret(SecretId=secret)["KmsKeyId"] == key
    kms.enable_key(KeyId=key)
    assert text(secrets, secret) == "one"


def test_without_its_key_no_secret_is_written(kms, secrets, key, secret, name):
    kms.schedule_key_deletion(KeyId=key)
    for write in (secrets.put_secret_value, secrets.update_secret):
        assert refusal(write, SecretId=secret, SecretString="two") == "EncryptionFailure"
    new = {"Name": f"{name}-2", "SecretString": "x"}
    assert refusal(secrets.create_secret, KmsKeyId=key, **new) == "EncryptionFailure"
    assert refusal(secrets.describe_secret, SecretId=new["Name"]) == "ResourceNotFoundException"
    kms.cancel_key_deletion(KeyId=key)
    kms.enable_key(KeyId=key)
    assert text(secrets, secret) == "one"
    secrets.put_secret_value(SecretId=secret, SecretString="two")
    assert text(secrets, secret) == "two"
    assert text(secrets, secret, VersionStage="AWSPREVIOUS") == "one"


@pytest.mark.parametrize("unknown", [KEY, KEY.rsplit("/", 1)[1], "alias/nobody", "nonsense"])
def test_a_key_that_is_not_there_is_refused(secrets, secret, name, unknown):
    new = {"Name": f"{name}-2", "SecretString": "x", "KmsKeyId": unknown}
    assert refusal(secrets.create_secret, **new) == "EncryptionFailure"
    assert refusal(secrets.describe_secret, SecretId=new["Name"]) == "ResourceNotFoundException"
    change = {"SecretId": secret, "KmsKeyId": unknown}
    assert refusal(secrets.update_secret, **change) == "EncryptionFailure"


@pytest.mark.parametrize("named", ["id", "alias", "alias ARN"])
def test_a_key_may_be_named_in_each_way(kms, secrets, key, name, named):
    alias = f"alias/{name}"
    kms.create_alias(AliasName=alias, TargetKeyId=key)
    reference = {
        "id": key.rsplit("/", 1)[1],
        "alias": alias,
        "alias ARN": key.split("key/")[0] + alias,
    }
    secrets.create_secret(Name=name, SecretBinary=b"\0\xff", KmsKeyId=reference[named])
    assert secrets.get_secret_value(SecretId=name)["SecretBinary"] == b"\0\xff"
    kms.disable_key(KeyId=key)
    assert refusal(secrets.get_secret_value, SecretId=name) == "DecryptionFailure"


@pytest.mark.parametrize("params", [{}, {"KmsKeyId": "alias/aws/secretsmanager"}])
def test_a_secret_under_the_aws_managed_key_needs_nothing(own_lab, secrets, name, params):
    nobody = somebody(own_lab, NOTHING)("secretsmanager")
    nobody.create_secret(Name=name, SecretString="one", **params)
    nobody.put_secret_value(SecretId=name, SecretString="two")
    assert text(nobody, name) == "two"
    nobody.rotate_secret(SecretId=name)


def test_who_may_not_use_the_key_may_not_use_the_secret(own_lab, secret, key, name):
    def refused(clients):
        client = clients("secretsmanager")
        yield refusal(client.get_secret_value, SecretId=secret)
        yield refusal(client.put_secret_value, SecretId=secret, SecretString="x")
        yield refusal(client.create_secret, Name=f"{name}-2", SecretString="x", KmsKeyId=key)

    assert set(refused(somebody(own_lab, NOTHING))) == {"AccessDeniedException"}
    only_writes = somebody(own_lab, allow("kms:GenerateDataKey"))("secretsmanager")
    only_writes.put_secret_value(SecretId=secret, SecretString="two")
    assert refusal(only_writes.get_secret_value, SecretId=secret) == "AccessDeniedException"
    establish = {"Name": f"{name}-2", "KmsKeyId": key}  # takes both, even without a value
    assert refusal(only_writes.create_secret, **establish) == "AccessDeniedException"


def test_a_key_may_be_for_secrets_manager_alone_or_for_one_secret(own_lab, secret):
    via = {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"}
    clients = somebody(own_lab, allow("kms:*", Condition={"StringEquals": via}))
    assert text(clients("secretsmanager"), secret) == "one"
    assert refusal(clients("kms").list_keys) == "AccessDeniedException"
    for arn, code in [(secret, None), (f"{secret}x", "AccessDeniedException")]:
        context = {"StringEquals": {"kms:EncryptionContext:SecretARN": arn}}
        client = somebody(own_lab, allow("kms:Decrypt", Condition=context))("secretsmanager")
        if code:
            assert refusal(client.get_secret_value, SecretId=secret) == code
        else:
            assert text(client, secret) == "one"


def test_what_secrets_manager_does_with_the_key_is_in_cloudtrail(
    own_lab, kms, secrets, key, secret
):
    version = secrets.get_secret_value(SecretId=secret)["VersionId"]
    kms.disable_key(KeyId=key)
    refusal(secrets.get_secret_value, SecretId=secret)
    own_lab.pass_time(DELIVERY)
    made = look(own_lab, EventName="GenerateDataKey")
    read = look(own_lab, EventName="Decrypt")
    validated = {"SecretARN": secret, "SecretVersionId": "RequestToValidateKeyAccess"}
    used = {"SecretARN": secret, "SecretVersionId": version}
    said = [event["requestParameters"]["encryptionContext"] for event in (*made, *read)]
    assert said == [validated, used, validated, used, used]
    assert {event["userIdentity"]["invokedBy"] for event in (*made, *read)} == {
        "secretsmanager.amazonaws.com"
    }
    assert {event["userIdentity"]["userName"] for event in (*made, *read)} == {"lab"}
    assert [event.get("errorCode") for event in read] == [None, None, "DisabledException"]
    assert [r["ARN"] for event in (*made, *read) for r in event["resources"]] == [key] * 5


def test_a_secret_that_changes_its_key_is_read_with_either_until_its_next_value(
    kms, secrets, key, secret
):
    other = kms.create_key()["KeyMetadata"]["Arn"]
    secrets.update_secret(SecretId=secret, KmsKeyId=other)
    for lost in (key, other):
        kms.disable_key(KeyId=lost)
        assert text(secrets, secret) == "one"
        kms.enable_key(KeyId=lost)
    secrets.update_secret(SecretId=secret, SecretString="two")
    kms.disable_key(KeyId=key)
    assert text(secrets, secret) == "two"
    kms.disable_key(KeyId=other)
    assert refusal(secrets.get_secret_value, SecretId=secret) == "DecryptionFailure"


def test_a_lost_key_is_left_behind_by_a_new_value_under_another(kms, secrets, key, secret):
    kms.disable_key(KeyId=key)
    other = kms.create_key()["KeyMetadata"]["Arn"]
    secrets.update_secret(SecretId=secret, KmsKeyId=other, SecretString="two")
    assert text(secrets, secret) == "two"
    old = {"SecretId": secret, "VersionStage": "AWSPREVIOUS"}
    assert refusal(secrets.get_secret_value, **old) == "DecryptionFailure"
    secrets.update_secret(SecretId=secret, KmsKeyId="")
    kms.disable_key(KeyId=other)
    assert text(secrets, secret) == "two"


def test_the_same_request_again_only_opens_the_version(own_lab, kms, secrets, key, secret):
    again = {"SecretId": secret, "SecretString": "two", "ClientRequestToken": str(uuid.uuid4())}
    first, second = (secrets.put_secret_value(**again)["VersionId"] for _ in range(2))
    assert first == second
    own_lab.pass_time(DELIVERY)
    assert len(look(own_lab, EventName="GenerateDataKey")) == 3
    kms.disable_key(KeyId=key)
    assert refusal(secrets.put_secret_value, **again) == "DecryptionFailure"


def test_of_many_secrets_those_without_their_key_are_errors(kms, secrets, key, secret, name):
    secrets.create_secret(Name=f"{name}-free", SecretString="free")
    kms.disable_key(KeyId=key)
    answer = secrets.batch_get_secret_value(SecretIdList=[secret, f"{name}-free", f"{name}-not"])
    assert [value["SecretString"] for value in answer["SecretValues"]] == ["free"]
    codes = {error["SecretId"]: error["ErrorCode"] for error in answer["Errors"]}
    assert codes == {secret: "DecryptionFailure", f"{name}-not": "ResourceNotFoundException"}


def test_what_moto_refuses_is_refused_as_it_does(own_lab, secrets, key, secret, name):
    for params, code in [
        ({"SecretId": f"{name}-not", "SecretString": "x"}, "ResourceNotFoundException"),
        ({"SecretId": secret}, "InvalidRequestException"),
    ]:
        assert refusal(secrets.put_secret_value, **params) == code
    again = {"Name": name, "SecretString": "x", "KmsKeyId": key}
    assert refusal(secrets.create_secret, **again) == "ResourceExistsException"
    assert text(secrets, secret) == "one"
    own_lab.pass_time(DELIVERY)
    (call,) = look(own_lab, EventName="DescribeKey") or [None]
    assert call is None


def test_what_moto_or_the_lab_refuses_says_why(own_lab, secrets, name):
    with pytest.raises(ClientError) as not_there:
        secrets.put_secret_value(SecretId=f"{name}-not", SecretString="x")
    assert "can't find the specified secret" in not_there.value.response["Error"]["Message"]
    status, said = send(own_lab, "POST", URL, b"{}", signed("secretsmanager", "CreateSecret"))
    assert (status, b"secretsmanager:CreateSecret" in said) == (501, True)


def test_neither_copies_nor_rotations_are_done_under_a_key(secrets, key, secret, name):
    elsewhere = [{"Region": "us-east-1"}]
    assert refusal(secrets.rotate_secret, SecretId=secret) == "NotImplemented"
    copy = {"SecretId": secret, "AddReplicaRegions": elsewhere}
    assert refusal(secrets.replicate_secret_to_regions, **copy) == "NotImplemented"
    new = {"Name": f"{name}-2", "AddReplicaRegions": [{**elsewhere[0], "KmsKeyId": key}]}
    assert refusal(secrets.create_secret, **new) == "NotImplemented"
    secrets.create_secret(Name=f"{name}-3", SecretString="x", AddReplicaRegions=elsewhere)


# Every other service


def of_lambda(name, **more):
    return {
        "FunctionName": name,
        "Runtime": "python3.12",
        "Handler": "f.f",
        "Role": f"arn:aws:iam::{ACCOUNT}:role/none",
        "Code": {"ZipFile": b"x"},
        **more,
    }


def of_dynamodb(name, **more):
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        **more,
    }


CLUSTER = f"arn:aws:rds:eu-west-1:{ACCOUNT}:cluster:orders"
UNDER_A_KEY = [
    ("s3", "create_multipart_upload", {"Bucket": "b", "Key": "k", "SSEKMSKeyId": KEY}),
    ("sns", "create_topic", {"Name": "t", "Attributes": {"KmsMasterKeyId": KEY}}),
    ("sns", "set_topic_attributes", {
        "TopicArn": "t", "AttributeName": "KmsMasterKeyId", "AttributeValue": "alias/a"}),
    ("ec2", "create_volume", {
        "AvailabilityZone": "eu-west-1a", "Size": 1, "Encrypted": True, "KmsKeyId": KEY}),
    ("logs", "create_log_group", {"logGroupName": "g", "kmsKeyId": KEY}),
    ("lambda", "create_function", of_lambda("f", KMSKeyArn=KEY)),
    ("efs", "create_file_system", {"CreationToken": "t", "Encrypted": True, "KmsKeyId": KEY}),
    ("kinesis", "start_stream_encryption", {
        "StreamName": "s", "EncryptionType": "KMS", "KeyId": "alias/a"}),
    ("stepfunctions", "create_activity", {"name": "a", "encryptionConfiguration": {
        "type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": KEY}}),
    ("eks", "create_cluster", {
        "name": "c", "roleArn": "r", "resourcesVpcConfig": {},
        "encryptionConfig": [{"resources": ["secrets"], "provider": {"keyArn": KEY}}]}),
    ("codepipeline", "create_pipeline", {"pipeline": {
        "name": "p", "roleArn": f"arn:aws:iam::{ACCOUNT}:role/r", "artifactStore": {
            "type": "S3", "location": "bucket", "encryptionKey": {"id": KEY, "type": "KMS"}},
        "stages": []}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("service", "call", "params"), UNDER_A_KEY, ids=[f"{s}:{c}" for s, c, _ in UNDER_A_KEY]
)
def test_what_moto_would_do_under_a_key_it_does_not_see_is_not_done(own_lab, service, call, params):
    client = own_lab.client(service)
    with pytest.raises(ClientError) as refused:
        getattr(client, call)(**params)
    said = refused.value.response
    assert said["Error"]["Code"] == "NotImplemented"
    assert said["ResponseMetadata"]["HTTPStatusCode"] == 501
    signed = client.meta.service_model.signing_name
    operation = client.meta.method_to_api_mapping[call]
    asked = f"The lab does not do {signed}:{operation} under a KMS key."
    assert said["Error"]["Message"] == asked


def test_what_is_under_no_key_or_one_of_aws_is_done(own_lab, name):
    s3 = own_lab.client("s3", region="us-east-1")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    s3.put_object(Bucket=name, Key="k", Body=b"x", SSEKMSKeyId="alias/aws/s3")
    s3.copy_object(Bucket=name, Key="l", CopySource=f"{name}/k")
    assert s3.get_object(Bucket=name, Key="l")["Body"].read() == b"x"
    sns = own_lab.client("sns")
    topic = sns.create_topic(Name=name, Attributes={"KmsMasterKeyId": "alias/aws/sns"})["TopicArn"]
    sns.set_topic_attributes(TopicArn=topic, AttributeName="KmsMasterKeyId", AttributeValue="")
    own_lab.client("ssm").put_parameter(
        Name=name, Value="x", Type="SecureString", KeyId="alias/aws/ssm"
    )
    own_lab.client("efs").create_file_system(CreationToken=name)


def test_what_is_only_called_so_is_data(own_lab, name):
    named = {"KmsKeyId": KEY, "KmsMasterKeyId": KEY}
    table = own_lab.client("dynamodb")
    table.create_table(**of_dynamodb(name))
    item = {key: {"S": value} for key, value in {"id": "1", **named}.items()}
    table.put_item(TableName=name, Item=item)
    assert table.get_item(TableName=name, Key={"id": {"S": "1"}})["Item"] == item
    own_lab.client("ssm").put_parameter(Name=name, Value=KEY, Type="String")
    s3 = own_lab.client("s3", region="us-east-1")
    s3.create_bucket(Bucket=name)
    config = b"<a><KMSMasterKeyID>k</KMSMasterKeyID></a>"
    s3.put_object(Bucket=name, Key="k", Body=config, Metadata=named)
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == config
    sqs = own_lab.client("sqs")
    queue = sqs.create_queue(QueueName=name, tags=named)["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(named))
    iam = own_lab.client("iam")
    role = {"Service": "lambda.amazonaws.com"}
    trust = document(allow("sts:AssumeRole", Principal=role))
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    function = of_lambda(name, Role=made, Environment={"Variables": named})
    own_lab.client("lambda").create_function(**function)


def test_a_finding_about_a_key_uses_none(own_lab, name):
    now = "2026-01-01T00:00:00Z"
    volume = {"Type": "AwsEc2Volume", "Id": "v", "Details": {"AwsEc2Volume": {"KmsKeyId": KEY}}}
    finding = {
        "SchemaVersion": "2018-10-08", "Id": name, "ProductArn": "p", "GeneratorId": "g",
        "AwsAccountId": ACCOUNT, "CreatedAt": now, "UpdatedAt": now, "Title": "t",
        "Description": "d", "Severity": {"Label": "LOW"}, "Resources": [volume],
    }  # fmt: skip
    hub = own_lab.client("securityhub")
    hub.enable_security_hub()
    assert hub.batch_import_findings(Findings=[finding])["SuccessCount"] == 1


def test_services_that_sign_under_another_name_are_known_by_their_operations(own_lab):
    own_lab.client("stepfunctions").list_activities()
    own_lab.client("efs").describe_file_systems()
    own_lab.client("sesv2").list_contact_lists()
    own_lab.pass_time(DELIVERY)
    called = {event["eventName"] for event in look(own_lab)}
    assert called >= {"ListActivities", "DescribeFileSystems", "ListContactLists"}


def test_iam_knows_what_is_done_in_s3(tmp_path, name):
    own_lab = InProcessLab(tmp_path / "enforced.jsonl", iam=True)
    own_lab.client("s3", region="us-east-1").create_bucket(Bucket=name)
    s3 = somebody(own_lab, allow("s3:PutObject"))("s3")
    s3.put_object(Bucket=name, Key="a/k", Body=b"x")
    assert refusal(s3.get_object, Bucket=name, Key="a/k") == "AccessDenied"
    assert refusal(s3.delete_bucket, Bucket=name) == "AccessDenied"


@pytest.mark.parametrize(
    ("service", "call", "params"),
    [
        (
            "rds-data",
            "execute_statement",
            {"resourceArn": CLUSTER, "secretArn": CLUSTER, "sql": "SELECT 1"},
        ),
        ("application-autoscaling", "describe_scalable_targets", {"ServiceNamespace": "rds"}),
        ("resourcegroupstaggingapi", "get_tag_keys", {}),
        ("resourcegroupstaggingapi", "get_tag_values", {"Key": "chaos:allow"}),
        (
            "resourcegroupstaggingapi",
            "tag_resources",
            {"ResourceARNList": [KEY], "Tags": {"a": "1"}},
        ),
        ("ram", "create_resource_share", {"name": "s", "resourceArns": [CLUSTER]}),
        ("config", "list_discovered_resources", {"resourceType": "AWS::KMS::Key"}),
        (
            "config",
            "batch_get_resource_config",
            {"resourceKeys": [{"resourceType": "AWS::RDS::DBCluster", "resourceId": "orders"}]},
        ),
        (
            "resource-groups",
            "create_group",
            {
                "Name": "g",
                "ResourceQuery": {
                    "Type": "TAG_FILTERS_1_0",
                    "Query": json.dumps(
                        {
                            "ResourceTypeFilters": ["AWS::RDS::DBCluster"],
                            "TagFilters": [{"Key": "app", "Values": ["shop"]}],
                        }
                    ),
                },
            },
        ),
        (
            "fis",
            "create_experiment_template",
            {
                "clientToken": "t",
                "description": "d",
                "roleArn": CLUSTER,
                "stopConditions": [{"source": "none"}],
                "actions": {},
                "targets": {"c": {"resourceType": "aws:rds:cluster", "selectionMode": "ALL"}},
            },
        ),
    ],
)
def test_what_is_about_keys_and_clusters_is_not_done_without_them(own_lab, service, call, params):
    assert refusal(getattr(own_lab.client(service), call), **params) == "NotImplemented"


def test_what_is_about_anything_else_is_done(own_lab, name):
    scaling = own_lab.client("application-autoscaling")
    assert scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"] == []
    own_lab.client("config").list_discovered_resources(resourceType="AWS::S3::Bucket")
    tags = [{"Key": "app", "Values": ["shop"]}]
    query = {"ResourceTypeFilters": ["AWS::EC2::Instance"], "TagFilters": tags}
    own_lab.client("resource-groups").create_group(
        Name=name, ResourceQuery={"Type": "TAG_FILTERS_1_0", "Query": json.dumps(query)}
    )


# Signed URLs

VERSIONS = ["s3v4", "s3"]
"""How boto3 calls Signature Version 4 and 2; S3's URLs it signs by 2 if it is not told."""


def presigned(access_key, version, call, **params):
    signer = boto3.client(
        "s3",
        endpoint_url=URL,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key="lab",
        config=Config(signature_version=version),
    )
    return signer.generate_presigned_url(call, Params=params)


@pytest.fixture
def bucket(own_lab, name):
    own_lab.client("s3", region="us-east-1").create_bucket(Bucket=name)
    return name


@pytest.mark.parametrize("version", VERSIONS)
def test_an_object_is_written_and_read_by_signed_urls(own_lab, bucket, version):
    there = {"Bucket": bucket, "Key": "a/k"}
    assert send(own_lab, "PUT", presigned("lab", version, "put_object", **there), b"x")[0] == 200
    read = presigned("lab", version, "get_object", **there)
    assert send(own_lab, "GET", read) == (200, b"x")
    assert (
        send(own_lab, "GET", presigned("lab", version, "get_object", Bucket=bucket, Key="l"))[0]
        == 404
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_no_object_is_written_under_an_unknown_key_by_a_signed_url(own_lab, bucket, version):
    there = {"Bucket": bucket, "Key": "k"}
    sealed = presigned(
        "lab", version, "put_object", SSEKMSKeyId=KEY, ServerSideEncryption="aws:kms", **there
    )
    prefix = "x-amz-server-side-encryption"
    headers = {prefix: "aws:kms", f"{prefix}-aws-kms-key-id": KEY}
    status, said = send(own_lab, "PUT", sealed, b"x", headers if version == "s3v4" else ())
    assert (status, b"KMS.NotFoundException" in said) == (400, True)
    assert send(own_lab, "GET", presigned("lab", version, "get_object", **there))[0] == 404


@pytest.mark.parametrize("version", VERSIONS)
def test_iam_holds_signed_urls_to_the_policies_of_who_signed(tmp_path, name, version):
    own_lab = InProcessLab(tmp_path / "enforced.jsonl", iam=True)
    own_lab.client("s3", region="us-east-1").create_bucket(Bucket=name)
    signer = somebody(own_lab, allow("s3:PutObject"))("s3")
    access_key = signer._request_signer._credentials.access_key
    there = {"Bucket": name, "Key": "k"}
    assert (
        send(own_lab, "PUT", presigned(access_key, version, "put_object", **there), b"x")[0] == 200
    )
    status, said = send(own_lab, "GET", presigned(access_key, version, "get_object", **there))
    assert (status, b"AccessDenied" in said) == (403, True)


def test_who_signed_a_url_is_known_by_it(own_lab):
    role, kms = session(own_lab)
    credentials = kms._request_signer._credentials
    sts = own_lab.client("sts", access_key=credentials.access_key, token=credentials.token)
    url = sts.generate_presigned_url("get_caller_identity", HttpMethod="GET")
    status, said = send(own_lab, "GET", url)
    assert status == 200
    assert f"assumed-role/{role['RoleName']}/one" in said.decode()


# What goes wrong


def test_a_failure_of_the_lab_is_an_error_in_the_services_protocol(own_lab, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("of the lab")

    monkeypatch.setattr(unsupported, "reason", broken)
    for service, call in [("sns", "list_topics"), ("logs", "describe_log_groups")]:
        with pytest.raises(ClientError) as failed:
            getattr(own_lab.client(service), call)()
        said = failed.value.response
        assert said["Error"]["Code"] == "InternalFailure"
        assert said["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert "of the lab" in caplog.text


@pytest.mark.parametrize("levels", [30, 200, 400, 900])
def test_the_depth_of_an_item_breaks_nothing(own_lab, name, levels):
    table = own_lab.client("dynamodb")
    table.create_table(**of_dynamodb(name))
    value = '{"L":[' * levels + '{"S":"x"}' + "]}" * levels
    item = f'{{"TableName":"{name}","Item":{{"id":{{"S":"1"}},"v":{value}}}}}'
    headers = signed("dynamodb", "PutItem", "DynamoDB_20120810")
    status, said = send(own_lab, "POST", URL, item.encode(), headers)
    assert status in (200, 400, 501)
    assert isinstance(json.loads(said), dict)


# CloudFormation

TOPIC = {"Type": "AWS::SNS::Topic"}
OF_A_KEY = {"Type": "AWS::KMS::ReplicaKey", "Properties": {"KeyPolicy": {}}}
"""Of a type that the lab does not make (those that it does: test_cloudformation)."""
YAML = """\
AWSTemplateFormatVersion: 2010-09-09
Parameters:
  Class: {Type: String, Default: db.r6g.large}
Resources:
  Topic:
    Type: AWS::SNS::Topic
    Properties: {TopicName: !Sub "${AWS::StackName}-t"}
  Instance:
    Type: AWS::RDS::DBProxy
    Properties:
      DBInstanceClass: !Ref Class
      Engine: !Join ["-", [aurora, postgresql]]
"""


def template(**resources):
    return json.dumps({"Resources": resources})


def topic(name):
    return {"T": {**TOPIC, "Properties": {"TopicName": name}}}


def stored(own_lab, text):
    """The URL of a template in S3."""
    s3, bucket = own_lab.client("s3", region="us-east-1"), uuid.uuid4().hex
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="t.json", Body=text.encode())
    return f"https://s3.amazonaws.com/{bucket}/t.json"


def nested(url):
    return {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}


@pytest.fixture
def stacks(own_lab):
    return own_lab.client("cloudformation")


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({"K": OF_A_KEY}, "cloudformation:CreateStack with AWS::KMS::ReplicaKey."),
        ({"C": {"Type": "AWS::RDS::DBProxy"}}, "with AWS::RDS::DBProxy."),
        (
            {"S": {"Type": "AWS::SecretsManager::Secret", "Properties": {"KmsKeyId": KEY}}},
            "with AWS::SecretsManager::Secret under a KMS key.",
        ),
        (
            {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"KmsMasterKeyId": {"Ref": "P"}}}},
            "with AWS::SQS::Queue under a KMS key.",
        ),
        (
            {
                "S": {
                    "Type": "AWS::Kinesis::Stream",
                    "Properties": {
                        "StreamEncryption": {"EncryptionType": "KMS", "KeyId": "alias/a"}
                    },
                }
            },
            "with AWS::Kinesis::Stream under a KMS key.",
        ),
        ({"N": nested({"Ref": "P"})}, "that it cannot read: a nested stack names its template by"),
        ({"N": nested("https://s3.amazonaws.com/nobody/t")}, "read: there is no template at"),
    ],
)
def test_a_stack_with_keys_or_clusters_is_not_made_and_nothing_of_it(
    own_lab, stacks, name, resources, said
):
    with pytest.raises(ClientError) as refused:
        stacks.create_stack(StackName=name, TemplateBody=template(**topic(name), **resources))
    error = refused.value.response["Error"]
    assert error["Code"] == "NotImplemented"
    assert said in error["Message"]
    assert refusal(stacks.describe_stacks, StackName=name) == "ValidationError"
    assert name not in str(own_lab.client("sns").list_topics()["Topics"])


def test_a_template_is_not_validated_since_that_needs_cfn_lint(stacks):
    assert refusal(stacks.validate_template, TemplateBody=template()) == "NotImplemented"


def test_a_template_may_be_yaml_in_s3_or_in_another(own_lab, stacks, name):
    assert refusal(stacks.create_stack, StackName=name, TemplateBody=YAML) == "NotImplemented"
    url = stored(own_lab, YAML)
    assert refusal(stacks.create_stack, StackName=name, TemplateURL=url) == "NotImplemented"
    inner = stored(own_lab, template(N=nested(url)))
    assert refusal(stacks.create_stack, StackName=name, TemplateURL=inner) == "NotImplemented"
    outer = template(N=nested(inner))
    assert refusal(stacks.create_stack, StackName=name, TemplateBody=outer) == "NotImplemented"


TAGGED = """\
Resources:
  T:
    Type: AWS::SNS::Topic
    Properties: {TopicName: !!python/object/apply:os.makedirs [%s]}
"""


def test_a_template_calls_nothing_in_the_lab(own_lab, stacks, name, tmp_path):
    made = tmp_path / "made"
    tagged = TAGGED % made
    url = stored(own_lab, tagged)
    inner = template(N=nested(url))
    for call, params in [
        (stacks.create_stack, {"StackName": name, "TemplateBody": tagged}),
        (stacks.create_stack, {"StackName": name, "TemplateURL": url}),
        (stacks.get_template_summary, {"TemplateBody": tagged}),
        (stacks.create_stack_set, {"StackSetName": name, "TemplateBody": tagged}),
    ]:
        assert refusal(call, **params) == "ValidationError"
    assert refusal(stacks.create_stack, StackName=name, TemplateBody=inner) == "NotImplemented"
    assert not made.exists()


def test_no_update_change_set_or_stack_set_brings_one_in(stacks, name):
    stacks.create_stack(StackName=name, TemplateBody=template(**topic(name)))
    worse = template(**topic(name), K=OF_A_KEY)
    for change, params in [
        (stacks.update_stack, {"StackName": name}),
        (stacks.create_change_set, {"StackName": name, "ChangeSetName": "c"}),
        (stacks.create_stack_set, {"StackSetName": name}),
    ]:
        assert refusal(change, TemplateBody=worse, **params) == "NotImplemented"
    assert len(stacks.list_stack_resources(StackName=name)["StackResourceSummaries"]) == 1


def test_stacks_of_anything_else_are_made(own_lab, stacks, name):
    inner = stored(own_lab, template(**topic(f"{name}-inner")))
    yaml = (
        YAML.partition("  Instance:")[0] + f"  N:\n    Type: AWS::CloudFormation::Stack\n"
        f"    Properties: {{TemplateURL: '{inner}'}}\n"
    )
    stacks.create_stack(StackName=name, TemplateBody=yaml)
    topics = str(own_lab.client("sns").list_topics()["Topics"])
    assert f"{name}-t" in topics
    assert f"{name}-inner" in topics


BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 5)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    "properties", ["&a\n      Tags: [*a]\n", "\n      Tags: *a9\n"], ids=["itself", "bomb"]
)
def test_aliases_are_refused_as_aws_does_and_at_once(stacks, name, properties):
    queue = f"Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    Properties: {properties}"
    began = time.monotonic()
    with pytest.raises(ClientError) as refused:
        stacks.create_stack(StackName=name, TemplateBody=BOMB + queue)
    assert time.monotonic() - began < 20
    error = refused.value.response["Error"]
    assert error["Code"] == "ValidationError"
    assert "YAML aliases are not allowed" in error["Message"]


@pytest.mark.parametrize("levels", [900, 3000])
def test_a_template_that_is_too_deep_is_refused(stacks, name, levels):
    deep = '{"Resources":{"Q":{"Type":"AWS::SQS::Queue","Properties":{"A":%s}}}}'
    body = deep % ("[" * levels + "]" * levels)
    refused = refusal(stacks.create_stack, StackName=name, TemplateBody=body)
    assert refused in ("NotImplemented", "ValidationError")
