"""Which operation a request asks for, and the parameters in its path, by botocore's models."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from functools import cache
from itertools import zip_longest
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from botocore.exceptions import UnknownServiceError
from werkzeug.wrappers import Request

from chaosaws_kms_lab.service_models import NAMES, model_named

__all__ = ["Requested", "form", "query_form", "requested", "service_models"]

LABEL = re.compile(r"\{(\w+)\+?\}")


class Requested(NamedTuple):
    """What a request asks for."""

    model: Any
    """The service's model."""
    operation: str
    path_parameters: dict[str, str]
    """URI parameter → value."""


def requested(service: str, request: Request, body: bytes) -> Requested | None:
    """What a request that is signed for `service` asks for; None: there is no such service.

    Several services can be signed for by the same name: then the first whose model knows the
    operation, else the last.
    """
    candidates = [(model, *_operation(model, request, body)) for model in service_models(service)]
    if not candidates:
        return None
    found = next((each for each in candidates if each[3]), candidates[-1])
    return Requested(*found[:3])


def service_models(service: str) -> Iterable[Any]:
    """The models of the services whose requests are signed for `service`."""
    for name in NAMES.get(service, (service,)):
        with contextlib.suppress(UnknownServiceError):
            yield model_named(name)


def query_form(request: Request, body: bytes) -> bytes:
    """The form of a request of the query protocol: its body, or its URL if that is signed."""
    return body or request.query_string


def form(body: bytes, keep_blank_values: bool = False) -> dict[str, str]:
    """The fields of a form."""
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=keep_blank_values))


def _operation(model: Any, request: Request, body: bytes) -> tuple[str, dict[str, str], bool]:
    """The operation that a request asks for if it is for this model, the parameters in its path,
    and whether the model knows such a request."""
    if target := request.headers.get("X-Amz-Target"):
        prefix, _, operation = target.rpartition(".")
        return operation, {}, prefix == model.metadata.get("targetPrefix")
    if model.protocol.startswith("rest"):
        operation, named = _rest_operation(model, request)
        return operation, named, operation in model.operation_names
    fields = form(query_form(request, body))
    operation = fields.get("Action") or f"{request.method} {request.path}"
    return operation, {}, fields.get("Version") == model.api_version


def _rest_operation(model: Any, request: Request) -> tuple[str, dict[str, str]]:
    """The operation that a REST request asks for, and the parameters in its path.

    Where several routes match, the most specific one counts; where none does, the operation has a
    name that no service has.
    """
    for route in _routes(model.service_name):
        if (parameters := route.match(request)) is not None:
            return route.operation, parameters
    return f"{request.method} {request.path}", {}


class Route(NamedTuple):
    """How a request for an operation of a REST service looks."""

    operation: str
    method: str
    path: re.Pattern[str]
    labels: list[str]
    """The parameters in the path, in their order."""
    query: dict[str, str]
    """Parameter of the URL → the value that it must have; "": any."""
    headers: list[str]
    """Those that it must have."""

    def match(self, request: Request) -> dict[str, str] | None:
        """The parameters in the request's path; None: it is no such request."""
        path = self.path.fullmatch(request.path)
        if self.method != request.method or path is None:
            return None
        for name, value in self.query.items():
            if name not in request.args or value not in ("", request.args[name]):
                return None
        if any(name not in request.headers for name in self.headers):
            return None
        return {label: path[f"label{n}"] for n, label in enumerate(self.labels)}


@cache
def _routes(service: str) -> list[Route]:
    """The routes of a REST service, the most specific first: by path, then by conditions.

    A path arrives decoded, so a parameter at its end may have slashes in it (an ARN).
    """
    model = model_named(service)
    found = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        path, _, asked = operation.http["requestUri"].partition("?")
        literals = [re.escape(part) for part in LABEL.sub("\0", path).split("\0")]
        labels = [f"(?P<label{n}>[^/]+)" for n in range(len(literals) - 1)]
        if labels and path.endswith("}"):
            labels[-1] = labels[-1].replace("[^/]", ".")
        pattern = re.compile("".join(map("".join, zip_longest(literals, labels, fillvalue=""))))
        query = dict(parse_qsl(asked, keep_blank_values=True))
        query |= dict.fromkeys(_required(operation, "querystring"), "")
        headers = _required(operation, "header")
        route = Route(name, operation.http["method"], pattern, LABEL.findall(path), query, headers)
        found.append((sum(map(len, literals)), len(query) + len(headers), route))
    found.sort(key=lambda each: (-each[0], -each[1]))
    return [each[2] for each in found]


def _required(operation: Any, location: str) -> list[str]:
    """The names of the parameters that the operation requires at this place of a request."""
    shape = operation.input_shape
    if shape is None:
        return []
    members = [(name, shape.members[name].serialization) for name in shape.required_members]
    return [where.get("name", name) for name, where in members if where.get("location") == location]
