"""What moto's IAM and STS know: who has an access key, which policies a principal has.

One of the files that import moto's internals (wire.py checks them at the start). Until somebody
uses IAM, none of moto's IAM is imported.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import Any

from moto.core.utils import utcnow

from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Caller, administrator
from chaosaws_kms_lab.scheduler import roles

__all__ = ["Secrets", "attached_policies", "caller", "session_token", "trust_policy"]

LAB_SERVICES = {roles.ACCESS_KEY: roles.PRINCIPAL}
"""Access key → the service of the lab that signs with it."""

Policies = tuple[dict[str, Any], ...]

EXPIRED_CODES = {"rds": "ExpiredToken", "iam": "ExpiredToken", "sts": "ExpiredToken"}
"""Service → its error code for an expired session; for the others ExpiredTokenException."""


@dataclass(frozen=True)
class Secrets:
    """The secret access keys that requests are signed with."""

    lab: str = field(repr=False)
    """For every access key that IAM does not know."""
    own: str = field(repr=False)
    """For the lab's own services."""

    def of(self, access_key: str) -> str:
        """The secret of an access key: of a service of the lab, a user of IAM, or a session."""
        if access_key in LAB_SERVICES:
            return self.own
        if not _iam_is_in_use():
            return self.lab
        from moto.iam.models import get_account_id_from, iam_backends

        account = get_account_id_from(access_key)
        if (session := _session(account, access_key)) is not None:
            return str(session.secret_access_key)
        known = iam_backends[account]["aws"].access_keys.get(access_key)
        return str(known.secret_access_key) if known else self.lab


def session_token(access_key: str) -> str | None:
    """The token that belongs to the access key of a role session; None: it is no session's."""
    if not _iam_is_in_use():
        return None
    from moto.iam.models import get_account_id_from

    session = _session(get_account_id_from(access_key), access_key)
    return str(session.session_token) if session is not None else None


def caller(service: str, access_key: str, headers: dict[str, str]) -> Caller:
    """Who signed with this access key: a user or a role session of moto's IAM, else an
    administrator.

    The signature has been checked before (signatures.py).
    """
    if access_key in LAB_SERVICES:
        return Caller(LAB_SERVICES[access_key], ACCOUNT, access_key=access_key)
    if not _iam_is_in_use():
        return administrator(access_key=access_key)
    from moto.iam.access_control import CreateAccessKeyFailure, IAMPolicy, create_access_key
    from moto.iam.exceptions import NotFoundException
    from moto.iam.models import get_account_id_from, iam_backends

    account = get_account_id_from(access_key)
    iam = iam_backends[account]["aws"]
    session = _session(account, access_key)
    if session is None and access_key not in iam.access_keys:
        return administrator(account, access_key)
    try:
        known = create_access_key(account, "aws", access_key, headers)
        policies = tuple(IAMPolicy(policy)._policy_json for policy in known.collect_policies())
        if session is None:
            return _user(iam, iam.get_user(known._owner_user_name), access_key, policies)
        if session.expiration < utcnow():
            expired = "The security token included in the request is expired"
            raise AwsError(EXPIRED_CODES.get(service, "ExpiredTokenException"), expired)
        role = iam.get_role_by_arn(session.role_arn)
        return _role_session(iam, session, known.arn, role.arn, policies)
    except (CreateAccessKeyFailure, NotFoundException):
        # A session without its token or its role, or a key without its user.
        unknown = f"arn:aws:iam::{account}:user/unknown"
        return Caller(unknown, account, policies=(), access_key=access_key)


def _user(iam: Any, user: Any, access_key: str, policies: Policies) -> Caller:
    """A user as caller; with an inactive access key it may do nothing."""
    inactive = iam.access_keys[access_key].status == "Inactive"
    return Caller(
        arn=user.arn,
        account=iam.account_id,
        policies=() if inactive else policies,
        access_key=access_key,
        user_id=user.id,
    )


def _role_session(iam: Any, session: Any, arn: str, role_arn: str, policies: Policies) -> Caller:
    return Caller(
        arn=arn,
        account=iam.account_id,
        policies=policies,
        role=role_arn,
        session_policies=(json.loads(session.policy),) if session.policy else None,
        access_key=session.access_key_id,
        user_id=session.user_id,
    )


def attached_policies(arn: str) -> Policies | None:
    """The policies of a user (with those of its groups), a group or a role, by its ARN.

    None: there is no such principal.
    """
    if "moto.iam.models" not in sys.modules:
        return None
    from moto.iam.access_control import IAMPolicy
    from moto.iam.exceptions import NoSuchEntity, NotFoundException
    from moto.iam.models import iam_backends

    iam = iam_backends[arn.split(":")[4]]["aws"]
    find = {"user": iam.get_user, "group": iam.get_group, "role": iam.get_role}
    kind, name = arn.split(":")[5].split("/")[0], arn.rsplit("/", 1)[1]
    try:
        found = find[kind](name)
    except (NoSuchEntity, NotFoundException):
        return None
    if found.arn != arn:  # its path is another one
        return None
    groups = iam.get_groups_for_user(name) if kind == "user" else []
    return tuple(
        IAMPolicy(policy)._policy_json
        for holder in (found, *groups)
        for policy in (*holder.policies.values(), *holder.managed_policies.values())
    )


def trust_policy(role_arn: str) -> str | None:
    """The trust policy of a role, in JSON; None: there is no such role."""
    from moto.iam.exceptions import NotFoundException
    from moto.iam.models import iam_backends

    if role_arn.count(":") < 5:
        return None
    try:
        role = iam_backends[role_arn.split(":")[4]]["aws"].get_role_by_arn(role_arn)
    except (KeyError, NotFoundException):
        return None
    return str(role.assume_role_policy_document)


def _iam_is_in_use() -> bool:
    """Whether somebody has used IAM or STS; before that there are no users and no sessions."""
    return "moto.iam.models" in sys.modules or "moto.sts.models" in sys.modules


def _session(account: str, access_key: str) -> Any:
    """The role session that an access key belongs to, if there is one."""
    from moto.sts.models import sts_backends

    sessions = sts_backends[account]["aws"].assumed_roles
    return next((each for each in sessions if each.access_key_id == access_key), None)
