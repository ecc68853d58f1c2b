"""A call of an AWS service, its caller, and the error that it can end with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ACCOUNT", "AwsError", "Call", "Caller", "Paging", "administrator"]

ACCOUNT = "123456789012"
ADMINISTRATOR = "AIDACKCEVSQ6C2EXAMPLE"
"""IAM User Guide, "IAM identifiers": what the id of a user looks like."""


@dataclass(frozen=True)
class Caller:
    """Who makes a call: a principal of an account, a service for one, or a service by itself."""

    arn: str
    """Of the user, role session or account; of a service that acts by itself its principal,
    rds.eu-west-1.amazonaws.com say."""
    account: str = ACCOUNT
    """The account it belongs to, or that a service acts for."""
    policies: tuple[Mapping[str, Any], ...] | None = None
    """Its policies in IAM; None: an administrator, who may do everything."""
    via: str | None = None
    """The service through which it calls, as kms:ViaService names it."""
    role: str | None = None
    """The ARN of the role whose session it is, path and all."""
    session_policies: tuple[Mapping[str, Any], ...] | None = None
    """The session policies that it began with; None: there are none."""
    access_key: str = ""
    """The access key of the signature."""
    user_id: str = ""
    """Its unique id in IAM: AIDA…, or AROA… with the session's name."""

    @property
    def is_service(self) -> bool:
        """Whether a service acts by itself: then only grants and key policies count, not IAM."""
        return not self.arn.startswith("arn:")

    @property
    def principal_arn(self) -> str:
        """The ARN that policies name: for a session, that of its role."""
        if self.role:
            return self.role
        kind, _, session = self.arn.partition(":assumed-role/")
        if not session:
            return self.arn
        return f"{kind.replace(':sts:', ':iam:')}:role/{session.split('/')[0]}"


def administrator(account: str = ACCOUNT, access_key: str = "lab") -> Caller:
    """The caller with an access key that IAM does not know: in the lab, its owner."""
    return Caller(
        f"arn:aws:iam::{account}:user/lab", account, access_key=access_key, user_id=ADMINISTRATOR
    )


@dataclass(frozen=True)
class Call:
    """One request to the lab's AWS."""

    service: str
    operation: str
    params: dict[str, Any]
    region: str
    caller: Caller


class AwsError(Exception):
    """An error that an AWS service answers."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        """The HTTP status, if it is not the usual one."""


@dataclass(frozen=True)
class Paging:
    """How a service cuts a list into pages."""

    size: str
    """The parameter with the size of a page."""
    default: int
    smallest: int
    largest: int
    bad_size: str
    bad_marker: str

    def cut(self, items: Iterable[Any], params: dict[str, Any]) -> tuple[list[Any], str | None]:
        """The page that `params` asks for, and the marker of the next one."""
        everything = list(items)
        size = params.get(self.size, self.default)
        if not self.smallest <= size <= self.largest:
            raise AwsError(
                self.bad_size, f"{self.size} must be between {self.smallest} and {self.largest}"
            )
        try:
            start = int(params.get("Marker") or 0)
        except ValueError:
            raise AwsError(self.bad_marker, "The marker is not one that was given out") from None
        if start < 0:
            raise AwsError(self.bad_marker, "The marker is not one that was given out")
        end = start + size
        return everything[start:end], str(end) if end < len(everything) else None
