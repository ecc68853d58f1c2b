"""What a type of resource is: how one is made, changed and removed, by calls of AWS' APIs."""

from __future__ import annotations

import json
import secrets
import string
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from chaosaws_kms_lab.calls import AwsError
from chaosaws_kms_lab.cloudformation.template import Made

__all__ = ["Cancelled", "Kind", "Maker", "Properties", "as_json", "tags"]

Properties = Mapping[str, Any]

LONGEST_WAIT = 3600.0
"""Seconds of this machine until a resource has to be there, or gone."""

LOOK_EVERY = 0.1
"""Seconds between two looks."""

LETTERS = string.ascii_uppercase + string.digits


class Cancelled(Exception):
    """The stack is to be deleted while something of it is made."""


@dataclass(frozen=True)
class Maker:
    """Makes the calls for one resource, in the name of whoever ordered the stack."""

    stack: str
    logical: str
    clients: Callable[[str], Any]
    """Service → a client of it."""
    cancelled: Callable[[], bool]
    begun: list[Made] = field(default_factory=list)
    """What is there already, of a resource that takes more than one call."""

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """An API call, with parameters in the types of the service's model.

        Raises AwsError for what the model does not know, and ClientError.
        """
        client = self.clients(service)
        shape = client.meta.service_model.operation_model(operation).input_shape
        answer = getattr(client, xform_name(operation))(**(_fitted(shape, params) if shape else {}))
        return dict(answer)

    def begin(self, ref: str, **attributes: str) -> Made:
        """What is there now: if a later call fails, it is deleted again."""
        self.begun.append(Made(ref, attributes))
        return self.begun[-1]

    def gone(self, code: str, service: str, operation: str, **params: Any) -> bool:
        """Whether a call ends with this error, which says that something is not there."""
        try:
            self.call(service, operation, **params)
        except ClientError as problem:
            if problem.response["Error"]["Code"] == code:
                return True
            raise
        return False

    def wait(self, what: str, over: Callable[[], bool]) -> None:
        """Until it is over; raises AwsError after LONGEST_WAIT, and Cancelled."""
        end = time.monotonic() + LONGEST_WAIT
        while not over():
            if self.cancelled():
                raise Cancelled
            if time.monotonic() > end:
                raise AwsError("NotStabilized", f"{what} did not stabilize.")
            time.sleep(LOOK_EVERY)

    def name(self, most: int = 63) -> str:
        """A name for a resource that has none (User Guide, "Name type")."""
        suffix = "".join(secrets.choice(LETTERS) for _ in range(12))
        return f"{self.stack}-{self.logical}"[: most - len(suffix) - 1] + f"-{suffix}"


@dataclass(frozen=True)
class Kind:
    """A type of resource."""

    create: Callable[[Maker, Properties], Made]
    delete: Callable[[Maker, Made, Properties], None]
    update: Callable[[Maker, Made, Properties], None] | None = None
    """Without one a resource whose properties change is replaced."""
    changeable: Collection[str] = ()
    """The properties that `update` can change; another makes it a replacement."""


def as_json(document: Any) -> str:
    """A policy or a pattern, which a template has as JSON or as text."""
    return document if isinstance(document, str) else json.dumps(document)


def tags(properties: Properties, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """A resource's tags, by the names that its service has for key and value."""
    return [{key: each["Key"], value: each["Value"]} for each in properties.get("Tags") or []]


def _fitted(shape: Any, value: Any) -> Any:
    """`value` in the types of a model: a template has text where a number or a flag is meant."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, Mapping):
        if unknown := sorted(set(value) - set(shape.members)):
            raise AwsError("InvalidRequest", f"Encountered unsupported property {unknown[0]}")
        return {name: _fitted(shape.members[name], each) for name, each in value.items()}
    if kind == "list" and isinstance(value, list):
        return [_fitted(shape.member, each) for each in value]
    if kind == "map" and isinstance(value, Mapping):
        return {name: _fitted(shape.value, each) for name, each in value.items()}
    if kind == "boolean" and isinstance(value, str):
        return value.lower() == "true"
    if kind in ("integer", "long") and isinstance(value, str):
        return int(value)
    if kind in ("float", "double") and isinstance(value, str):
        return float(value)
    if kind == "string" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return value
