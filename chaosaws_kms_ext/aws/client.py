"""A client of AWS: with deadlines and retries, and errors in plain words."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions as botocore_errors
from botocore.config import Config
from botocore.credentials import RefreshableCredentials

from chaosaws_kms_ext import __version__
from chaosaws_kms_ext.aws.spans import traced
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.files import read_private
from chaosaws_kms_ext.history.aws_calls import NO_ANSWER, OK, AwsCall, named_in
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.text import printable

__all__ = ["Aws", "AwsError", "Credentials", "Patience", "go_on_after"]

Record = Callable[[AwsCall], None]


@dataclass(frozen=True)
class Patience:
    """How long one call may take."""

    connect: float = 5
    read: float = 20
    """Seconds, each."""
    attempts: int = 5
    """Botocore's standard mode: throttling and 5xx, with back-off."""


class AwsError(PlainError):
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

    def __init__(
        self,
        region: str = "",
        endpoint: str = "",
        lab: Path | None = None,
        record: Record = lambda _: None,
        patience: Patience = Patience(),
    ) -> None:
        """By default everything comes from the environment.

        `lab`: the file with a lab's credentials; then nothing of the environment goes there.
        `record`: is told of each call. Raises Refused.
        """
        keys = _of_lab(lab) if lab else {}
        self._endpoint = endpoint or None
        try:
            # AWS_REGION is the variable of every SDK but boto3.
            wanted = region or os.environ.get("AWS_REGION") or None
            self._session = boto3.Session(region_name=wanted, **keys)
        except botocore_errors.ProfileNotFound as problem:
            raise Refused(f"{problem}: AWS_PROFILE must name one of ~/.aws/config") from None
        except botocore_errors.BotoCoreError as problem:
            raise Refused(f"the AWS configuration cannot be used: {problem}") from None
        self.region: str = self._session.region_name or ""
        if not self.region:
            raise Refused(
                "no AWS Region is set: set AWS_REGION, or a region in the profile (AWS_PROFILE)"
            )
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._record = record
        self._patience = patience

    @classmethod
    def of(cls, run: Run) -> Aws:
        """The run's own, opened on first use; raises Refused if it would be the wrong one."""
        if run.settings.target == "lab" and not run.lab:
            raise Refused(
                "the target is the lab, and none runs: the experiment must name the control "
                "chaosaws_kms_ext.controls.run, or set CHAOS_TARGET=aws"
            )
        run.aws = run.aws or cls(record=run.aws_call)
        return run.aws

    @traced
    def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Calls e.g. `kms` `DisableKey`; returns the answer without its metadata.

        Raises AwsError.
        """
        at = time.monotonic_ns()
        outcome, told = NO_ANSWER, {}
        try:
            answer = self._called(service, operation, params)
            outcome, told = OK, answer.pop("ResponseMetadata", {})
            return answer
        except AwsError as problem:
            outcome = problem.code or NO_ANSWER
            if isinstance(cause := problem.__cause__, botocore_errors.ClientError):
                told = cause.response.get("ResponseMetadata", {})
            raise
        finally:
            self._record(
                AwsCall(
                    at=at,
                    seconds=round((time.monotonic_ns() - at) / 1e9, 4),
                    service=service,
                    operation=operation,
                    named=named_in(params),
                    outcome=outcome,
                    retries=int(told.get("RetryAttempts", 0)),
                    request=str(told.get("RequestId", "")),
                )
            )

    def _called(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
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
            words = " ".join(str(problem).split())
            raise AwsError(f"{name}: {words}", "ParamValidation") from problem
        except botocore_errors.BotoCoreError as problem:
            raise AwsError(f"{name} got no answer: {problem}") from problem
        except UNUSABLE as problem:
            raise _unusable(name, problem) from problem
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
            asks_for_mfa = "mfa_serial" in self._session._session.get_scoped_config()
        except botocore_errors.BotoCoreError as problem:
            raise AwsError(f"the AWS credentials cannot be had: {problem}") from problem
        except UNUSABLE as problem:
            raise _unusable("the AWS credentials", problem) from problem
        if not frozen or not frozen.access_key:
            raise AwsError("no AWS credentials found", "NoCredentials")
        method = str(found.method or "")
        # botocore does not ask for a second code (RefreshWithMFAUnsupportedError).
        renewed = (
            isinstance(found, RefreshableCredentials)
            and method != FROM_VARIABLES
            and not (method == BY_ROLE and asks_for_mfa)
        )
        return Credentials(method, temporary=bool(frozen.token), renewed=renewed)

    def endpoint(self, service: str) -> str:
        """Where calls to a service go; raises AwsError."""
        try:
            return str(self._client(service).meta.endpoint_url)
        except botocore_errors.BotoCoreError as problem:
            raise AwsError(f"where {service} is cannot be told: {problem}") from problem
        except UNUSABLE as problem:
            raise _unusable(service, problem) from problem

    def database_token(self, host: str, port: str, user: str) -> str:
        """A password for IAM database authentication, signed here without a call.

        It lasts for 15 minutes, or as long as the credentials (Aurora User Guide, "IAM database
        authentication"). Raises AwsError.
        """
        what = "a token for the database"
        try:
            rds = self._client("rds")
            return str(rds.generate_db_auth_token(host, port, user, self.region))
        except (botocore_errors.BotoCoreError, botocore_errors.ClientError) as problem:
            raise AwsError(f"{what} cannot be signed: {problem}") from problem
        except UNUSABLE as problem:
            raise _unusable(what, problem) from problem

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._session.client(
                    service,
                    region_name=self.region,
                    endpoint_url=self._endpoint,
                    config=Config(
                        connect_timeout=self._patience.connect,
                        read_timeout=self._patience.read,
                        retries={
                            "mode": "standard",
                            "total_max_attempts": self._patience.attempts,
                        },
                        user_agent_extra=f"chaostoolkit-aws-kms/{__version__}",
                    ),
                )
            return self._clients[service]


def go_on_after(run: Run, problem: AwsError) -> None:
    """One look that fails is no reason to give up a wait, unless none will succeed any more."""
    if problem.permanent:
        raise problem
    if run.lab and not run.lab.running:
        raise Refused("the lab has ended by itself") from problem


FROM_VARIABLES = "env"
"""Credentials from the environment are read again when they are due, but nobody renews them."""
BY_ROLE = "assume-role"

UNUSABLE = (EOFError, RuntimeError, TypeError, ValueError)
"""What botocore raises for an endpoint that is none, for an AWS_CREDENTIAL_EXPIRATION that has
passed or is no instant, and where a role wants a code and nobody can type one."""

PERMANENT = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "CustomKeyStoreNotFoundException",
        "DBProxyNotFoundFault",
        "ExpiredImportTokenException",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncorrectKeyMaterialException",
        "InvalidArnException",
        "InvalidClientTokenId",
        "KMSInvalidStateException",
        "NotFoundException",
        "NoCredentials",
        "ParamValidation",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)
"""Error codes after which the same call will not succeed a minute later either."""

LONGEST = 1000
"""Letters of AWS' own words that are repeated: they may hold whatever AWS was sent."""

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})

REFUSAL = re.compile(r"not authorized to perform: ([\w-]+:\w+) on resource: ((?:role |user )?\S+)")
"""IAM User Guide, "Troubleshoot access denied error messages"."""


def _of_lab(path: Path) -> dict[str, str]:
    try:
        said = json.loads(read_private(path))
        return {
            "aws_access_key_id": str(said["access_key"]),
            "aws_secret_access_key": str(said["secret_key"]),
        }
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise Refused(f"the lab's credentials cannot be read: {problem}") from None


def _unusable(what: str, problem: Exception) -> AwsError:
    if isinstance(problem, RuntimeError) and "expired" in str(problem):
        return AwsError(f"the AWS credentials have expired ({what}): renew them", "ExpiredToken")
    return AwsError(
        f"{what}: the AWS configuration cannot be used: {str(problem) or type(problem).__name__}"
    )


def _sentence(name: str, params: dict[str, Any], error: dict[str, str]) -> str:
    code = printable(error.get("Code", "unknown error"))
    message = printable(" ".join(error.get("Message", "").split()))
    message = message if len(message) <= LONGEST else f"{message[:LONGEST]}…"
    if code in DENIED:
        # AWS' words say more: a call may take a permission of another name, and names no ARN.
        words = REFUSAL.search(message)
        named = (str(v) for k, v in params.items() if k.endswith(("Id", "Identifier")))
        action, on = words.groups() if words else (name, next(named, "*"))
        return f"not allowed: {action} on {on} ({message})"
    if code in EXPIRED:
        return f"the AWS credentials have expired ({name}): renew them"
    return f"{name} failed with {code}: {message or 'no reason given'}"
