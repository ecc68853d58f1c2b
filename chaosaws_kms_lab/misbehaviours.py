"""Misbehaviours of the API: on demand the next calls are throttled, cut, late or stale.

They are ordered over a path that no AWS service has (control.py), for a number of calls or for a
time. Without an order nothing misbehaves.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import UnknownServiceError

from chaosaws_kms_lab.calls import AwsError
from chaosaws_kms_lab.misbehaviour_orders import BadOrder, check_fields
from chaosaws_kms_lab.service_models import model
from chaosaws_kms_lab.world import Key

__all__ = ["KINDS", "ApiMisbehaviour", "Misbehaviours"]

# Kind → what happens to a call. The codes are those of the services' pages "Common errors".
KINDS = {
    "throttling": "refused with ThrottlingException (RDS: Throttling) before anything was done",
    "error": "answered with an internal error, HTTP 500, before anything was done",
    "error-after": "carried out, and then answered with an internal error, HTTP 500",
    "cut": "the connection is cut before anything was done",
    "cut-after": "carried out, and then the connection is cut",
    "delay": "answered after some seconds",
    "expired-token": "refused because the credentials have expired",
    "stale": "DescribeKey tells the state that a key had some seconds ago",
}

NEED_SECONDS = frozenset({"delay", "stale"})
STALE_OPERATION = ("kms", "DescribeKey")
LONGEST_DELAY = 600.0
"""Seconds."""

# Kind → the codes by service, that of the others, the message, the HTTP status.
INTERNAL = ({"kms": "KMSInternalException"}, "InternalFailure", "An internal error occurred", 500)
ERRORS: dict[str, tuple[dict[str, str], str, str, int]] = {
    "throttling": ({"rds": "Throttling"}, "ThrottlingException", "Rate exceeded", 400),
    "error": INTERNAL,
    "error-after": INTERNAL,
    "expired-token": (
        {"rds": "ExpiredToken"}, "ExpiredTokenException",
        "The security token included in the request is expired", 403,
    ),
}  # fmt: skip


@dataclass
class ApiMisbehaviour:
    """One misbehaviour, and how long it is active."""

    kind: str
    service: str
    operation: str
    """An operation's name, or * for every one."""
    seconds: float = 0.0
    """How late the answer is, or how old the state."""
    count: int | None = None
    """Calls that still meet it; None: every call."""
    until: float = math.inf
    """time.monotonic() at which it ends."""

    @classmethod
    def ordered(cls, order: dict[str, Any]) -> ApiMisbehaviour:
        """Reads {"kind", "service", "operation", "seconds", "count", "for"}; raises BadOrder."""
        check_fields(order, ("kind", "service", "operation", "seconds", "count", "for"))
        try:
            service, operation = _named(str(order["service"]), str(order.get("operation") or "*"))
            made = cls(
                kind=str(order["kind"]),
                service=service,
                operation=operation,
                seconds=float(order.get("seconds") or 0),
                count=None if order.get("count") is None else int(order["count"]),
                until=time.monotonic() + float(order["for"]) if order.get("for") else math.inf,
            )
        except KeyError as missing:
            raise BadOrder(
                f"one of the API needs a kind and a service: there is no {missing.args[0]}"
            ) from None
        except (TypeError, ValueError) as problem:
            raise BadOrder(f"seconds, count and for are numbers: {problem}") from None
        made._check()
        return made

    def _check(self) -> None:
        if self.kind not in KINDS:
            raise BadOrder(f"there is no misbehaviour {self.kind!r}: {', '.join(KINDS)}")
        if self.kind in NEED_SECONDS and not 0 < self.seconds <= LONGEST_DELAY:
            raise BadOrder(f"{self.kind} needs seconds, more than 0 and at most {LONGEST_DELAY:g}")
        if self.kind == "stale" and (self.service, self.operation) != STALE_OPERATION:
            raise BadOrder("only kms DescribeKey can be stale")
        if self.count is not None and self.count < 1:
            raise BadOrder("count is a number of calls, 1 or more")

    def meets(self, service: str, operation: str) -> bool:
        """Whether it affects this call now."""
        return (
            self.service in (service, "*")
            and self.operation in (operation, "*")
            and (self.count is None or self.count > 0)
            and time.monotonic() < self.until
        )

    def error(self, service: str) -> tuple[AwsError, int] | None:
        """What a call of `service` is answered with, and the HTTP status, if it is an error."""
        if self.kind not in ERRORS:
            return None
        codes, usual, message, status = ERRORS[self.kind]
        return AwsError(codes.get(service, usual), message), status

    def described(self) -> dict[str, Any]:
        """The misbehaviour as a JSON object."""
        left = None if math.isinf(self.until) else max(0.0, self.until - time.monotonic())
        return {
            "kind": self.kind,
            "service": self.service,
            "operation": self.operation,
            "seconds": self.seconds,
            "count": self.count,
            "for": left,
        }


def _named(service: str, operation: str) -> tuple[str, str]:
    """The name that requests to the service are signed for, and the operation as in its model.

    disable-key and disablekey are DisableKey. Raises BadOrder for what does not exist.
    """
    if service == "*":
        return service, operation
    try:
        known = model(service.lower())
    except UnknownServiceError:
        raise BadOrder(f"there is no service {service!r}") from None
    if operation == "*":
        return known.signing_name, operation
    for each in known.operation_names:
        if each.lower() == operation.replace("-", "").lower():
            return known.signing_name, each
    raise BadOrder(f"{service} has no operation {operation!r}")


@dataclass
class Misbehaviours:
    """The misbehaviours that were ordered. Callers hold the world's lock."""

    _ordered: list[ApiMisbehaviour] = field(default_factory=list)
    _states: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    """Key ARN → since when (time.monotonic) it has been in which state, oldest first."""

    def add(self, order: dict[str, Any], keys: Iterable[Key]) -> ApiMisbehaviour:
        """Orders a misbehaviour; raises BadOrder."""
        misbehaviour = ApiMisbehaviour.ordered(order)
        self._ordered.append(misbehaviour)
        self.remember_states(keys)
        return misbehaviour

    def clear(self) -> None:
        """Ends all misbehaviours."""
        self._ordered.clear()
        self._states.clear()

    def active(self) -> list[ApiMisbehaviour]:
        """Those that can still affect a call."""
        return [f for f in self._ordered if f.meets(f.service, f.operation)]

    def take(self, service: str, operation: str) -> list[ApiMisbehaviour]:
        """The misbehaviours that affect this call; each counts the call."""
        met = [
            misbehaviour for misbehaviour in self._ordered if misbehaviour.meets(service, operation)
        ]
        for misbehaviour in met:
            if misbehaviour.count is not None:
                misbehaviour.count -= 1
        return met

    @property
    def needs_states(self) -> bool:
        """Whether the states of keys have to be remembered, for stale answers."""
        return any(misbehaviour.kind == "stale" for misbehaviour in self._ordered)

    def remember_states(self, keys: Iterable[Key]) -> None:
        """Remembers what state each key is in now."""
        now = time.monotonic()
        for key in keys:
            known = self._states.setdefault(key.arn, [])
            if not known or known[-1][1] != key.shown_state:
                known.append((now, key.shown_state))

    def make_stale(self, answer: dict[str, Any], met: list[ApiMisbehaviour]) -> dict[str, Any]:
        """DescribeKey's answer with the state of some seconds ago, if `met` has such an order."""
        ages = [misbehaviour.seconds for misbehaviour in met if misbehaviour.kind == "stale"]
        if not ages:
            return answer
        metadata = answer["KeyMetadata"]
        then = time.monotonic() - max(ages)
        known = self._states.get(metadata["Arn"]) or [(then, metadata["KeyState"])]
        state = ([old for since, old in known if since <= then] or [known[0][1]])[-1]
        return {"KeyMetadata": metadata | {"KeyState": state, "Enabled": state == "Enabled"}}
