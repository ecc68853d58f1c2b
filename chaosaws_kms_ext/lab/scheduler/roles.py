"""Calls a target as the role of its schedule, at the lab's own endpoint."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from chaosaws_kms_ext.lab.conditions import holds
from chaosaws_kms_ext.lab.scheduler.targets import InvocationFailed

__all__ = ["RoleInvoker", "trusts"]

PRINCIPAL = "scheduler.amazonaws.com"

ACCESS_KEY = "lab-scheduler"
"""What it signs with before it has the role's: nobody's, and so the administrator's."""

SETTINGS = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10, proxies={})
"""Seconds; the retries are the scheduler's own."""


class RoleInvoker:
    """Assumes the role, and makes the call with the credentials that it got."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def __call__(
        self, service: str, operation: str, params: dict[str, Any], region: str, role_arn: str
    ) -> None:
        """Raises InvocationFailed with the code of whatever failed."""
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
        self._check(session, region, role_arn)
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

    def _check(self, session: Any, region: str, role_arn: str) -> None:
        """moto lets anybody assume any role, even one that is not there."""
        iam = self._client(session, "iam", region)
        try:
            role = iam.get_role(RoleName=role_arn.rpartition("/")[2])["Role"]
        except iam.exceptions.NoSuchEntityException:
            role = {"Arn": None}
        if role["Arn"] != role_arn or not trusts(role["AssumeRolePolicyDocument"], role_arn):
            why = f"{PRINCIPAL} is not authorized to perform: sts:AssumeRole on {role_arn}"
            raise InvocationFailed("AccessDenied", why)

    def _client(self, session: Any, service: str, region: str, **credentials: str) -> Any:
        own = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": "lab"}
        return session.client(
            service,
            region_name=region,
            endpoint_url=self._endpoint,
            config=SETTINGS,
            **(credentials or own),
        )


def trusts(document: Any, role_arn: str) -> bool:
    """Whether a trust policy lets EventBridge Scheduler assume the role.

    Conditions on aws:SourceArn are taken to hold: who invokes a target does not say for what
    schedule.
    """
    listed = document.get("Statement", []) if isinstance(document, Mapping) else []
    statements = [listed] if isinstance(listed, Mapping) else listed
    context = {"aws:sourceaccount": role_arn.split(":")[4]}
    effects = {
        each.get("Effect")
        for each in statements
        if _names(each.get("Principal"))
        and {"*", "sts:*", "sts:AssumeRole"} & set(_list(each.get("Action")))
        and holds(_without_source(each.get("Condition", {})), context, unknown=False)
    }
    return "Allow" in effects and "Deny" not in effects


def _names(principal: Any) -> bool:
    if isinstance(principal, Mapping):
        return PRINCIPAL in _list(principal.get("Service")) or "*" in _list(principal.get("AWS"))
    return bool(principal == "*")


def _without_source(condition: Mapping[str, Any]) -> dict[str, Any]:
    return {
        operator: {key: value for key, value in block.items() if key.lower() != "aws:sourcearn"}
        for operator, block in condition.items()
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
