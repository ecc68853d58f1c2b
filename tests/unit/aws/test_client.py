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
