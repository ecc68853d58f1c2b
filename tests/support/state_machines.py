"""State machines of a lab, run by moto's interpreter of their language against the lab."""

from __future__ import annotations

from datetime import datetime

import boto3
from moto import mock_aws
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_aws_sdk,
)

from tests.support.labs import until


class AsTheSdkForJava:
    """A client with the names of the AWS SDK for Java, which Step Functions has: Db, where RDS' own
    model has DB."""

    def __init__(self, client):
        self._client = client
        self.meta = client.meta

    def __getattr__(self, method):
        def call(**params):
            given = {_own(name): value for name, value in params.items()}
            return _as_java(getattr(self._client, method)(**given))

        return call


def _own(name):
    assert "DB" not in name, f"Step Functions does not know {name}"
    return name.replace("Db", "DB")


def _as_java(value):
    if isinstance(value, dict):
        return {name.replace("DB", "Db"): _as_java(each) for name, each in value.items()}
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")  # Step Functions passes JSON on
    return [_as_java(each) for each in value] if isinstance(value, list) else value


def executed(lab_as_aws, monkeypatch, machine, credentials, timeout=60):
    """Runs a state machine of the lab by moto's interpreter of its language, against the lab.

    moto keeps the lab's state machines and does not run them. `credentials`: those of its role.
    """
    definition = lab_as_aws.client("stepfunctions").describe_state_machine(stateMachineArn=machine)[
        "definition"
    ]
    # Of the time that passes between two looks the test has nothing.
    definition = definition.replace('"Seconds": 60', '"Seconds": 1')

    def boto_client_for(region, service, state_credentials=None):
        client = boto3.client(
            service,
            region_name=lab_as_aws.lab.region,
            endpoint_url=lab_as_aws.lab.endpoint,
            aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=credentials["AWS_SESSION_TOKEN"],
        )
        return AsTheSdkForJava(client)

    monkeypatch.setattr(state_task_service_aws_sdk, "boto_client_for", boto_client_for)
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        steps = boto3.client("stepfunctions", region_name=lab_as_aws.lab.region)
        role = "arn:aws:iam::123456789012:role/copy"
        made = steps.create_state_machine(name="copy", definition=definition, roleArn=role)
        begun = steps.start_execution(stateMachineArn=made["stateMachineArn"], input="{}")

        def over():
            found = steps.describe_execution(executionArn=begun["executionArn"])
            return found["status"] != "RUNNING" and found

        found = until(over, timeout=timeout)
        history = steps.get_execution_history(executionArn=begun["executionArn"])["events"]
        return found["status"], history
