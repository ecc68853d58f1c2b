"""Calls a target as the role of its schedule, at the lab's own endpoint."""

from __future__ import annotations

import uuid
from typing import Any

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from chaosaws_kms_lab.scheduler.targets import InvocationFailed

__all__ = ["ACCESS_KEY", "PRINCIPAL", "RoleInvoker"]

PRINCIPAL = "scheduler.amazonaws.com"

ACCESS_KEY = "lab-scheduler"
"""The access key with which it assumes roles: it means EventBridge Scheduler (moto_iam.py)."""

SETTINGS = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10, proxies={})
"""Seconds; the retries are the scheduler's own."""


class RoleInvoker:
    """Assumes the role, and makes the call with the role's credentials."""

    def __init__(self, endpoint: str, secret: str) -> None:
        """`secret`: of the access key that only the lab's scheduler has."""
        self._endpoint = endpoint
        self._secret = secret

    def __call__(
        self, service: str, operation: str, params: dict[str, Any], region: str, role_arn: str
    ) -> None:
        """Raises InvocationFailed with the code of the error."""
        session = boto3.session.Session()
        try:
            credentials = self._assume(session, region, role_arn)
            client = self._client(session, service, region, **credentials)
            getattr(client, xform_name(operation))(**params)
        except ClientError as problem:
            error = problem.response["Error"]
            raise InvocationFailed(error["Code"], error.get("Message", "")) from None
        except BotoCoreError as problem:
            raise InvocationFailed(type(problem).__name__, str(problem)) from None

    def _assume(self, session: Any, region: str, role_arn: str) -> dict[str, str]:
        # The name of the session is not documented.
        answer = self._client(session, "sts", region).assume_role(
            RoleArn=role_arn, RoleSessionName=uuid.uuid4().hex
        )
        given = answer["Credentials"]
        return {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }

    def _client(self, session: Any, service: str, region: str, **credentials: str) -> Any:
        own = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": self._secret}
        return session.client(
            service,
            region_name=region,
            endpoint_url=self._endpoint,
            config=SETTINGS,
            **(credentials or own),
        )
