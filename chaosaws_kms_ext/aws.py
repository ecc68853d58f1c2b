"""The one door to AWS: clients with deadlines and retries, and errors in plain words."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.exceptions as botocore_errors
from botocore.config import Config
from botocore.credentials import RefreshableCredentials

from chaosaws_kms_ext import __version__
from chaosaws_kms_ext.local_lab import LocalLab
from chaosaws_kms_ext.run import Refused, Run

__all__ = ["Aws", "AwsError", "Credentials", "of"]

CONNECT_TIMEOUT, READ_TIMEOUT, ATTEMPTS = 5, 20, 5
"""Seconds, seconds, tries (botocore's standard mode: throttling and 5xx, with back-off)."""


class AwsError(Exception):
    """A call that AWS refused or did not answer, in one sentence."""

    def __init__(self, sentence: str, code: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        """AWS' error code; empty if there was no answer."""

    @property
    def permanent(self) -> bool:
        """Whether it is no use to try again."""
        return self.code in PERMANENT


@dataclass(frozen=True)
class Credentials:
    """How long what calls are signed with will last."""

    method: str
    """Where botocore found them: env, shared-credentials-file, assume-role, sso, iam-role, …"""
    temporary: bool
    renewed: bool
    """Whether the session renews them by itself before they expire."""


class Aws:
    """An account in one Region, by the default credential chain of boto3.

    Its session refreshes temporary credentials by itself where their source can (a profile with a
    role, an instance's role, SSO).
    """

    def __init__(self, region: str = "", endpoint: str = "", lab: bool = False) -> None:
        """By default everything comes from the environment; a `lab` takes any credentials."""
        anybody = {"aws_access_key_id": "lab", "aws_secret_access_key": "lab"} if lab else {}
        self._endpoint = endpoint or None
        try:
            # AWS_REGION is the variable of every SDK but boto3.
            wanted = region or os.environ.get("AWS_REGION") or None
            self._session = boto3.Session(region_name=wanted, **anybody)
        except botocore_errors.ProfileNotFound as problem:
            raise Refused(f"{problem}: AWS_PROFILE must name one of ~/.aws/config") from None
        self.region: str = self._session.region_name or ""
        if not self.region:
            raise Refused(
                "no AWS Region is set: set AWS_REGION, or a region in the profile (AWS_PROFILE)"
            )
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Calls e.g. `kms` `DisableKey`; returns the answer without its metadata.

        Raises AwsError.
        """
        name = f"{service}:{operation}"
        try:
            client = self._client(service)
            method = next(k for k, v in client.meta.method_to_api_mapping.items() if v == operation)
            answer: dict[str, Any] = getattr(client, method)(**params)
        except botocore_errors.ClientError as problem:
            error = problem.response.get("Error", {})
            raise AwsError(_sentence(name, params, error), error.get("Code", "")) from problem
        except (
            botocore_errors.NoCredentialsError,
            botocore_errors.PartialCredentialsError,
        ) as problem:
            raise AwsError(
                f"{name}: no AWS credentials found ({problem})", "NoCredentials"
            ) from problem
        except botocore_errors.ParamValidationError as problem:
            raise AwsError(f"{name}: {' '.join(str(problem).split())}") from problem
        except botocore_errors.BotoCoreError as problem:
            raise AwsError(f"{name} got no answer: {problem}") from problem
        answer.pop("ResponseMetadata", None)
        return answer

    def pages(
        self, service: str, operation: str, params: dict[str, Any], items: str
    ) -> list[dict[str, Any]]:
        """All `items` of an operation with pages, whose marker goes in as Marker (KMS, RDS)."""
        found: list[dict[str, Any]] = []
        marker: dict[str, str] = {}
        while True:
            answer = self.call(service, operation, {**params, **marker})
            found += answer.get(items, [])
            following = answer.get("NextMarker") or answer.get("Marker")
            if not following:
                return found
            marker = {"Marker": following}

    def warm(self, *services: str) -> None:
        """Makes these services' clients now, so that a call costs its answer only.

        Raises AwsError when there are no credentials.
        """
        self.credentials()
        for service in services:
            self._client(service)

    def credentials(self) -> Credentials:
        """What this process signs with; raises AwsError when there is nothing."""
        try:
            found = self._session.get_credentials()
            frozen = found and found.get_frozen_credentials()
        except botocore_errors.BotoCoreError as problem:
            raise AwsError(f"the AWS credentials cannot be had: {problem}") from problem
        if not frozen or not frozen.access_key:
            raise AwsError("no AWS credentials found", "NoCredentials")
        method = str(found.method or "")
        renewed = isinstance(found, RefreshableCredentials) and method != FROM_VARIABLES
        return Credentials(method, temporary=bool(frozen.token), renewed=renewed)

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._session.client(
                    service,
                    region_name=self.region,
                    endpoint_url=self._endpoint,
                    config=Config(
                        connect_timeout=CONNECT_TIMEOUT,
                        read_timeout=READ_TIMEOUT,
                        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                        user_agent_extra=f"chaostoolkit-aws-kms/{__version__}",
                    ),
                )
            return self._clients[service]


FROM_VARIABLES = "env"
"""Credentials from the environment are read again when they are due, but nobody renews them."""

PERMANENT = frozenset({
    "AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException",
    "InvalidArnException", "InvalidClientTokenId", "KMSInvalidStateException", "NotFoundException",
    "NoCredentials", "RequestExpired", "SignatureDoesNotMatch", "UnauthorizedOperation",
    "UnrecognizedClientException",
})  # fmt: skip
"""Error codes after which the same call will not succeed a minute later either."""

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})


def _sentence(name: str, params: dict[str, Any], error: dict[str, str]) -> str:
    code, message = error.get("Code", "unknown error"), error.get("Message", "")
    on = next((str(v) for k, v in params.items() if k.endswith(("Id", "Identifier"))), "")
    if code in DENIED:
        return f"not allowed: {name} on {on or '*'} ({message})"
    if code in EXPIRED:
        return f"the AWS credentials have expired ({name}): renew them"
    return f"{name} failed with {code}: {message or 'no reason given'}"


def of(run: Run) -> Aws:
    """The run's own door, opened on first use; raises Refused if it would be the wrong one."""
    if run.settings.target == "lab" and not run.has(LocalLab):
        raise Refused(
            "the target is the lab, and none runs: the experiment must name the control "
            "chaosaws_kms_ext.controls.run, or set CHAOS_TARGET=aws"
        )
    return run.part(Aws, Aws)
