"""What AWS refuses, in one sentence that names the permission and what it is for."""

from __future__ import annotations

import pytest
from botocore.stub import Stubber

from chaosaws_kms_ext.aws.client import Aws, AwsError
from tests.support.labs import credentials

USER = "User: arn:aws:sts::123456789012:assumed-role/chaos/me is not authorized to perform: "
ROLE = "arn:aws:iam::123456789012:role/chaos-kms-switch"


@pytest.mark.parametrize(
    ("call", "message", "names"),
    [
        (
            (
                "scheduler",
                "CreateSchedule",
                {
                    "Name": "s",
                    "ScheduleExpression": "rate(5 minutes)",
                    "FlexibleTimeWindow": {"Mode": "OFF"},
                    "Target": {"Arn": ROLE, "RoleArn": ROLE},
                },
            ),
            f"{USER}iam:PassRole on resource: {ROLE} because no identity-based policy allows it",
            f"iam:PassRole on {ROLE} ",
        ),
        (
            ("iam", "GetRole", {"RoleName": "chaos"}),
            f"{USER}iam:GetRole on resource: role chaos because no identity-based policy allows it",
            "iam:GetRole on role chaos ",
        ),
        (
            ("kms", "EnableKey", {"KeyId": "k"}),
            "The ciphertext refers to a key that you may not access.",
            "kms:EnableKey on k ",
        ),
        (("rds", "DescribeEvents", {}), "No.", "rds:DescribeEvents on * "),
    ],
    ids=["of another name", "a role by its name", "no reason", "nothing named"],
)
def test_a_refusal_names_the_permission_and_what_it_is_for(call, message, names, tmp_path):
    service, operation, params = call
    aws = Aws("eu-west-1", lab=credentials(tmp_path))
    client = aws._client(service)
    method = next(k for k, v in client.meta.method_to_api_mapping.items() if v == operation)
    with Stubber(client) as stub:
        stub.add_client_error(method, "AccessDenied", message)
        with pytest.raises(AwsError) as refused:
            aws.call(service, operation, params)
    assert str(refused.value).startswith(f"not allowed: {names}({message[:20]}")
    assert refused.value.permanent


def test_each_call_is_told_with_its_answer_its_refusal_or_that_there_was_none(tmp_path):
    told = []
    aws = Aws("eu-west-1", lab=credentials(tmp_path), record=told.append)
    with Stubber(aws._client("kms")) as stub:
        answer = {"ResponseMetadata": {"RequestId": "r-1", "RetryAttempts": 2}}
        stub.add_response("disable_key", answer, {"KeyId": "k"})
        stub.add_client_error("disable_key", "KMSInvalidStateException", "No.")
        assert aws.call("kms", "DisableKey", {"KeyId": "k"}) == {}
        with pytest.raises(AwsError):
            aws.call("kms", "DisableKey", {"KeyId": "k"})
    aws._endpoint, aws._clients = "http://127.0.0.1:1", {}
    aws._client("sts").meta.config.retries["total_max_attempts"] = 1
    with pytest.raises(AwsError):
        aws.call("sts", "GetCallerIdentity", {})
    assert [(each.name, each.named, each.outcome) for each in told] == [
        ("kms:DisableKey", "k", "ok"),
        ("kms:DisableKey", "k", "KMSInvalidStateException"),
        ("sts:GetCallerIdentity", "", "no answer"),
    ]
    assert (told[0].request, told[0].retries) == ("r-1", 2)
    assert all(each.seconds >= 0 and each.at > 0 for each in told)
