"""AWS' wire protocols: requests to plain calls, answers and errors back to bytes.

Only this file, service_models.py and those called moto_… import moto's internals; `check` fails at
the start if they are not as the lab knows them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import determine_request_protocol
from moto.core.serialize import get_serializer_class
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request, Response

from chaosaws_kms_lab import moto_iam
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.requested_operation import form, query_form, requested, service_models
from chaosaws_kms_lab.signatures import Credential

__all__ = ["Envelope", "check", "read", "shapes"]


@dataclass(frozen=True)
class Envelope:
    """A request to an AWS service: what it asks for, and how its answer has to look."""

    service: str
    operation: str
    region: str
    access_key: str
    _request: Request
    _body: bytes
    _model: Any
    _protocol: str
    _path_parameters: dict[str, str]
    """URI parameter → value."""

    def call(self) -> Call:
        """The request with its parameters as a handler gets them."""
        self._check_body()
        rest = self._protocol.startswith("rest")
        query = query_form(self._request, self._body)
        parser = PROTOCOL_PARSERS[self._protocol](
            self._model.operation_model(self.operation), map_type=dict
        )
        parts = {
            "method": self._request.method,
            "values": self._request.args if rest else form(query, keep_blank_values=True),
            "headers": _headers(self._request),
            "body": self._body,
            "url_path": self._request.path,
            "url_params": self._path_parameters,
        }
        return self._call(_in_utc(dict(parser.parse(parts))))

    def call_without_parameters(self) -> Call:
        """The request without its parameters: only who wants to do what."""
        return self._call({})

    def _call(self, parameters: dict[str, Any]) -> Call:
        headers = dict(_headers(self._request))
        who = moto_iam.caller(self.service, self.access_key, headers)
        return Call(self.service, self.operation, parameters, self.region, who)

    @property
    def parameters(self) -> Any:
        """The shape of the operation's parameters in the model; None: it has none."""
        return self._model.operation_model(self.operation).input_shape

    def _check_body(self) -> None:
        """Raises AwsError for a body that is no JSON object: moto would take it as empty."""
        if "json" not in self._protocol or not self._body:
            return
        try:
            read = json.loads(self._body)
        except (ValueError, RecursionError):
            read = None
        if not isinstance(read, dict):
            raise AwsError("SerializationException", "The body is not a JSON object.")

    def answer(self, result: dict[str, Any] | AwsError, status: int | None = None) -> Response:
        """What AWS would send for `result`; `status`: an error's HTTP status."""
        name = self.operation
        if name not in self._model.operation_names:
            # An error looks the same for every operation.
            name = self._model.operation_names[0]
        serializer = get_serializer_class(self._model.service_name, self._protocol)
        sent = serializer(self._model.operation_model(name)).serialize(result)
        own = result.status if isinstance(result, AwsError) else None
        return Response(sent["body"], status or own or sent["status_code"], dict(sent["headers"]))


def read(request: Request, body: bytes, signed: Credential) -> Envelope | None:
    """The AWS request in an HTTP request; None: there is no such service."""
    access_key, region, service = signed
    found = requested(service, request, body)
    if found is None:
        return None
    protocol = determine_request_protocol(found.model, request.content_type)
    return Envelope(
        service=service,
        operation=found.operation,
        region=region,
        access_key=access_key,
        _request=request,
        _body=body,
        _model=found.model,
        _protocol=protocol,
        _path_parameters=found.path_parameters,
    )


@cache
def shapes(service: str, operation: str) -> tuple[Any, Any]:
    """The shapes of an operation's parameters and of its answer; None: no model has it."""
    for model in service_models(service):
        if operation in model.operation_names:
            known = model.operation_model(operation)
            return known.input_shape, known.output_shape
    return None, None


def _headers(request: Request) -> Headers:
    """The headers of a request; a signed URL has some of them as parameters."""
    headers = Headers(list(request.headers))
    for name, value in request.args.items():
        if name.lower().startswith("x-amz-"):
            headers.setdefault(name.title(), value)
    return headers


def _in_utc(parsed: Any) -> Any:
    """The parameters with UTC in their dates, which moto's parsers leave out."""
    if isinstance(parsed, dict):
        return {name: _in_utc(value) for name, value in parsed.items()}
    if isinstance(parsed, list):
        return [_in_utc(value) for value in parsed]
    if isinstance(parsed, datetime) and parsed.tzinfo is None:
        return parsed.replace(tzinfo=UTC)
    return parsed


def check() -> None:
    """Raises RuntimeError unless moto still parses and serialises as we rely on."""
    headers = {
        "X-Amz-Target": "TrentService.DescribeKey",
        "Content-Type": "application/x-amz-json-1.1",
    }
    try:
        signed = Credential("lab", "eu-west-1", "kms")
        kms = read(_request(headers), b'{"KeyId": "k"}', signed)
        rds = read(_request({}), QUERY, signed._replace(service="rds"))
        assert kms is not None
        assert rds is not None
        assert kms.call().params == {"KeyId": "k"}
        assert rds.call().params == {"DBClusterIdentifier": "c"}
        assert b"NotFoundException" in kms.answer(AwsError("NotFoundException", "no")).data
        assert b"<Status>up</Status>" in rds.answer({"DBClusters": [{"Status": "up"}]}).data
    except Exception as error:
        raise RuntimeError(f"this version of moto is not one the lab knows: {error!r}") from error


QUERY = b"Action=DescribeDBClusters&Version=2014-10-31&DBClusterIdentifier=c"


def _request(headers: dict[str, str]) -> Request:
    environ = {f"HTTP_{k.upper().replace('-', '_')}": v for k, v in headers.items()}
    environ |= {"REQUEST_METHOD": "POST", "PATH_INFO": "/", "wsgi.url_scheme": "http"}
    environ |= {"CONTENT_TYPE": headers.get("Content-Type", "application/x-www-form-urlencoded")}
    return Request(environ)
