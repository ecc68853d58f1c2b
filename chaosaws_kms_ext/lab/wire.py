"""AWS' wire protocols: requests to plain calls, answers and errors back to bytes.

The only file that imports moto's internals; `check` fails when they are not what we know.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import zip_longest
from typing import Any
from urllib.parse import parse_qsl

from botocore.exceptions import UnknownServiceError
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import determine_request_protocol
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model, utcnow
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.wrappers import Request, Response

from chaosaws_kms_ext.lab.models import NAMES
from chaosaws_kms_ext.lab.world import Call, Caller, Fault, administrator

__all__ = ["Envelope", "MotoRequestHandler", "Wsgi", "check", "moto", "read"]

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
TARGET_PREFIX = re.compile(r"^.*\.")
LABEL = re.compile(r"\{(\w+)\+?\}")

EXPIRED = {"rds": "ExpiredToken", "iam": "ExpiredToken", "sts": "ExpiredToken"}
"""Service → what it says of a session that is over; the others ExpiredTokenException."""


@dataclass(frozen=True)
class Envelope:
    """A request that is AWS': to whom it goes, and how its answer has to look."""

    service: str
    operation: str
    region: str
    access_key: str
    _request: Request
    _body: bytes
    _model: Any
    _protocol: str
    _named: dict[str, str]
    """What the path names: URI parameter → value."""

    def call(self) -> Call:
        """The request with its parameters as a handler gets them."""
        self._check_body()
        rest = self._protocol.startswith("rest")
        form = dict(parse_qsl(self._body.decode("utf-8", "replace"), keep_blank_values=True))
        parser = PROTOCOL_PARSERS[self._protocol](
            self._model.operation_model(self.operation), map_type=dict
        )
        parsed = parser.parse({
            "method": self._request.method,
            "values": self._request.args if rest else form,
            "headers": self._request.headers,
            "body": self._body,
            "url_path": self._request.path,
            "url_params": self._named,
        })  # fmt: skip
        who = _caller(self.service, self.access_key, dict(self._request.headers))
        return Call(self.service, self.operation, _in_utc(dict(parsed)), self.region, who)

    def bare_call(self) -> Call:
        """The request without its parameters: who wants to do what."""
        who = _caller(self.service, self.access_key, dict(self._request.headers))
        return Call(self.service, self.operation, {}, self.region, who)

    def _check_body(self) -> None:
        """A body that is no JSON object would be taken for an empty one."""
        if "json" not in self._protocol or not self._body:
            return
        try:
            read = json.loads(self._body)
        except (ValueError, RecursionError):
            read = None
        if not isinstance(read, dict):
            raise Fault("SerializationException", "The body is not a JSON object.")

    def answer(self, result: dict[str, Any] | Fault, status: int | None = None) -> Response:
        """What AWS would send for `result`; an error's HTTP status can be given."""
        name = self.operation
        if name not in self._model.operation_names:
            name = self._model.operation_names[0]  # an error looks the same for every operation
        serializer = get_serializer_class(self._model.service_name, self._protocol)
        sent = serializer(self._model.operation_model(name)).serialize(result)
        own = result.status if isinstance(result, Fault) else None
        return Response(sent["body"], status or own or sent["status_code"], dict(sent["headers"]))


def _in_utc(parsed: Any) -> Any:
    """Parameters whose dates say that they are UTC: moto's parsers leave it out."""
    if isinstance(parsed, dict):
        return {name: _in_utc(value) for name, value in parsed.items()}
    if isinstance(parsed, list):
        return [_in_utc(value) for value in parsed]
    if isinstance(parsed, datetime) and parsed.tzinfo is None:
        return parsed.replace(tzinfo=UTC)
    return parsed


def unsigned(request: Request, body: bytes) -> bool:
    """Whether it is a call of the kind that KMS and RDS take, but for a signature in its header.

    Other services have requests without one (an object of S3, say, by a URL that was signed).
    """
    if CREDENTIAL.search(request.headers.get("Authorization", "")):
        return False
    named = "X-Amz-Target" in request.headers or "Action" in request.args
    return named or (request.path == "/" and body.startswith(b"Action="))


def read(request: Request, body: bytes) -> Envelope | None:
    """The AWS request in an HTTP request, or None when it is none (or is not signed)."""
    signed = CREDENTIAL.search(request.headers.get("Authorization", ""))
    if not signed:
        return None
    access_key, region, service = signed.groups()
    service = service.lower()
    try:
        model = get_service_model(NAMES.get(service, service))
    except UnknownServiceError:
        return None
    named: dict[str, str] = {}
    if "X-Amz-Target" in request.headers:
        operation = TARGET_PREFIX.sub("", request.headers["X-Amz-Target"])
    elif model.protocol == "rest-json":
        operation, named = _routed(model, request.method, request.path)
    else:
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        operation = form.get("Action") or f"{request.method} {request.path}"
    protocol = determine_request_protocol(model, request.content_type)
    return Envelope(service, operation, region, access_key, request, body, model, protocol, named)


def _routed(model: Any, method: str, path: str) -> tuple[str, dict[str, str]]:
    """The operation that a REST request means and its path's parameters.

    Where several fit it is the one that says more of the path; where none does, an operation that
    no service has.
    """
    for operation, asked, pattern in _routes(model.service_name):
        if asked == method and (fits := pattern.fullmatch(path)):
            values = fits.groupdict()
            uri = model.operation_model(operation).http["requestUri"].partition("?")[0]
            names = LABEL.findall(uri)
            return operation, {name: values[f"label{n}"] for n, name in enumerate(names)}
    return f"{method} {path}", {}


@cache
def _routes(service: str) -> list[tuple[str, str, re.Pattern[str]]]:
    """Operation, method and path of each operation of a REST service, the longest path first.

    A path arrives decoded, so that a parameter at its end may have slashes of its own (an ARN).
    """
    model = get_service_model(service)
    found = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path = http["requestUri"].partition("?")[0]
        literals = [re.escape(part) for part in LABEL.sub("\0", path).split("\0")]
        labels = [f"(?P<label{n}>[^/]+)" for n in range(len(literals) - 1)]
        if labels and path.endswith("}"):
            labels[-1] = labels[-1].replace("[^/]", ".")
        pattern = "".join(map("".join, zip_longest(literals, labels, fillvalue="")))
        found.append((sum(map(len, literals)), name, http["method"], re.compile(pattern)))
    found.sort(key=lambda each: -each[0])
    return [each[1:] for each in found]


def _caller(service: str, access_key: str, headers: dict[str, str]) -> Caller:
    """Whose access key it is: a user's or a role session's of moto's IAM, else an administrator's.

    Signatures are not checked.
    """
    if not {"moto.iam.models", "moto.sts.models"} & set(sys.modules):
        # Nobody has used IAM, so there is nobody; and no import of it.
        return administrator(access_key=access_key)
    from moto.iam.access_control import CreateAccessKeyFailure, IAMPolicy, create_access_key
    from moto.iam.exceptions import NotFoundException
    from moto.iam.models import get_account_id_from, iam_backends

    account = get_account_id_from(access_key)
    iam = iam_backends[account]["aws"]
    session = _session(account, access_key)
    if session is None and access_key not in iam.access_keys:
        return administrator(account, access_key)
    nobody = Caller(
        f"arn:aws:iam::{account}:user/unknown", account, policies=(), access_key=access_key
    )
    try:
        known = create_access_key(account, "aws", access_key, headers)
        policies = tuple(IAMPolicy(policy)._policy_json for policy in known.collect_policies())
        if session is not None:
            if session.expiration < utcnow():
                expired = "The security token included in the request is expired"
                raise Fault(EXPIRED.get(service, "ExpiredTokenException"), expired)
            role = iam.get_role_by_arn(session.role_arn).arn
            narrowed = (json.loads(session.policy),) if session.policy else None
            return Caller(
                known.arn, account, policies, role=role, session_policies=narrowed,
                access_key=access_key,
            )  # fmt: skip
        inactive = iam.access_keys[access_key].status == "Inactive"
        user = iam.get_user(known._owner_user_name).arn
        return Caller(user, account, () if inactive else policies, access_key=access_key)
    except (CreateAccessKeyFailure, NotFoundException):
        return nobody  # a session without its token or its role, a key without its user


def _session(account: str, access_key: str) -> Any:
    """The session of a role that an access key was made for, if there is one."""
    from moto.sts.models import sts_backends

    sessions = sts_backends[account]["aws"].assumed_roles
    return next((each for each in sessions if each.access_key_id == access_key), None)


def moto() -> Wsgi:
    """Everything of AWS that is not ours."""
    return DomainDispatcherApplication(create_backend_app)  # type: ignore[no-any-return]


def check() -> None:
    """Raises RuntimeError unless moto still parses and serialises as we rely on."""
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=lab/20260101/eu-west-1/{}/aws4_request",
        "X-Amz-Target": "TrentService.DescribeKey",
        "Content-Type": "application/x-amz-json-1.1",
    }
    try:
        kms = read(_request(headers, "kms"), b'{"KeyId": "k"}')
        rds = read(_request({"Authorization": headers["Authorization"]}, "rds"), QUERY)
        assert kms is not None
        assert rds is not None
        assert kms.call().params == {"KeyId": "k"}
        assert rds.call().params == {"DBClusterIdentifier": "c"}
        assert b"NotFoundException" in kms.answer(Fault("NotFoundException", "no")).data
        assert b"<Status>up</Status>" in rds.answer({"DBClusters": [{"Status": "up"}]}).data
    except Exception as error:
        raise RuntimeError(f"this version of moto is not one the lab knows: {error!r}") from error


QUERY = b"Action=DescribeDBClusters&Version=2014-10-31&DBClusterIdentifier=c"


def _request(headers: dict[str, str], service: str) -> Request:
    environ = {f"HTTP_{k.upper().replace('-', '_')}": v.format(service) for k, v in headers.items()}
    environ |= {"REQUEST_METHOD": "POST", "PATH_INFO": "/", "wsgi.url_scheme": "http"}
    environ |= {"CONTENT_TYPE": headers.get("Content-Type", "application/x-www-form-urlencoded")}
    return Request(environ)
