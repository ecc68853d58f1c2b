"""botocore's models of services, each loaded once."""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.session import get_session

__all__ = ["NAMES", "model"]

NAMES = {"monitoring": "cloudwatch", "tagging": "resourcegroupstaggingapi"}
"""Name that requests are signed for → name of the model, where they differ."""


@cache
def model(service: str) -> Any:
    """The model of a service, by either name; raises botocore's UnknownServiceError."""
    return get_session().get_service_model(NAMES.get(service, service))
