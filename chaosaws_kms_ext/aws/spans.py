"""A call of AWS as a span of a tracing system."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from chaosaws_kms_ext.tracing import in_span

__all__ = ["traced"]


class Account(Protocol):
    """What a call is made with."""

    region: str


Call = Callable[[Any, str, str, dict[str, Any]], dict[str, Any]]


def traced(call: Call) -> Call:
    """The same call within a span, with the attributes that OpenTelemetry's conventions have for
    calls of AWS' SDKs; of what is sent and answered nothing."""

    @functools.wraps(call)
    def in_its_span(
        aws: Account, service: str, operation: str, params: dict[str, Any]
    ) -> dict[str, Any]:
        said: Mapping[str, str] = {
            "rpc_system": "aws-api",
            "rpc_service": service,
            "rpc_method": operation,
            "cloud_region": aws.region,
        }
        with in_span(f"{service}.{operation}", client=True, **said):
            return call(aws, service, operation, params)

    return in_its_span
