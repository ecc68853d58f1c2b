"""Who asks for a key, as a policy meets them: a user, a role, a session, an account, a service."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chaosaws_kms_ext.aws.conditions import Known

__all__ = ["ROLE", "Asker", "asker", "part_of", "without_path"]

SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")
ROLE, SESSION, USER = ":role/", ":assumed-role/", ":user/"


@dataclass(frozen=True)
class Asker:
    """Who asks, as a key's policy meets them."""

    name: str
    names: frozenset[str]
    """What a Principal element may call them; roles without their path."""
    account: str
    """Theirs; for a service the one that it acts for."""
    key: str
    """The ARN of the key that is asked for."""
    service: bool
    """Whether a service asks by itself: IAM has no say then."""
    known: Known
    """Of the conditions that are about who asks and how."""

    @property
    def root(self) -> bool:
        """Whether it is the account itself."""
        return self.name.endswith(":root")

    @property
    def account_names(self) -> frozenset[str]:
        """What a Principal element may call their account."""
        return frozenset({self.account, f"arn:{part_of(self.key, 1)}:iam::{self.account}:root"})


def asker(principal: str, key_arn: str, via_service: str = "", role: str = "") -> Asker:
    """Who `principal` is: an ARN, an account's number, or a service by itself (rds.amazonaws.com).

    `via_service`: the service through which they call (`rds`), if any. `role`: of a session's ARN
    the ARN of its role, with its path, which the session's own leaves out; empty if not known.
    Raises ValueError for what is no principal, or no service.
    """
    if via_service and not SERVICE.fullmatch(via_service):
        raise ValueError(f"{via_service} is no service: it must be named as rds")
    via = (_regional(via_service, key_arn),) if via_service else ()
    if SERVICE.fullmatch(principal) and ".amazonaws.com" in principal:
        return _service(_regional(principal, key_arn), key_arn, via)
    if re.fullmatch(r"\d{12}", principal):
        principal = f"arn:{part_of(key_arn, 1)}:iam::{principal}:root"
    if re.fullmatch(r"arn:[\w-]+:(iam|sts)::\d{12}:.+", principal):
        return _person(principal, key_arn, via, role)
    raise ValueError(
        f"{principal} is no principal: it must be the ARN of a user, a role or a session, an "
        "account's number, or a service as rds.amazonaws.com"
    )


def part_of(arn: str, number: int) -> str:
    """One of an ARN's parts: 1 the partition, 3 the Region, 4 the account."""
    return arn.split(":")[number]


def without_path(arn: str) -> str:
    """As STS has it, which leaves a role's path out; an account has no two roles of one name."""
    return re.sub(rf"{ROLE}.*/", ROLE, arn)


# Internals


def _regional(service: str, key_arn: str) -> str:
    """As kms:ViaService names it."""
    dns = "amazonaws.com.cn" if part_of(key_arn, 1) == "aws-cn" else "amazonaws.com"
    return f"{service.split('.')[0]}.{part_of(key_arn, 3)}.{dns}"


def _service(name: str, key_arn: str, via: tuple[str, ...]) -> Asker:
    account = part_of(key_arn, 4)
    known = {
        **_anywhere(key_arn),
        # The account that owns what the service acts for: Aurora User Guide,
        # Overview.Encryption.Keys, on an explicit Deny.
        "kms:calleraccount": (account,),
        "aws:principalarn": (),
        "aws:principalisawsservice": ("true",),
        "aws:username": (),
        **({"kms:viaservice": via} if via else {}),
    }
    return Asker(name, frozenset({name}), account, key_arn, True, known)


def _person(arn: str, key_arn: str, via: tuple[str, ...], role: str) -> Asker:
    account, names = part_of(arn, 4), {without_path(arn)}
    known = {
        **_anywhere(key_arn),
        "kms:calleraccount": (account,),
        "aws:principalaccount": (account,),
        "aws:principalisawsservice": ("false",),
        "aws:viaawsservice": (str(bool(via)).lower(),),
        "kms:viaservice": via,
        "aws:username": (arn.rpartition("/")[2],) if USER in arn else (),
    }
    if SESSION in arn:
        head, _, session = arn.partition(SESSION)
        names.add(f"{head.replace(':sts:', ':iam:')}{ROLE}{session.split('/')[0]}")
    if named := role if SESSION in arn else arn:
        known["aws:principalarn"] = (named,)
    return Asker(arn, frozenset(names), account, key_arn, False, known)


def _anywhere(key_arn: str) -> dict[str, tuple[str, ...]]:
    return {
        "aws:requestedregion": (part_of(key_arn, 3),),
        "aws:resourceaccount": (part_of(key_arn, 4),),
    }
