"""AWS' wire protocols: requests to plain calls, answers and errors back to bytes.

The only file that imports moto's internals; `check` fails when they are not what we know.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from botocore.exceptions import UnknownServiceError
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import determine_request_protocol
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.wrappers import Request, Response

from chaosaws_kms_ext.lab.world import Call, Caller, Fault, administrator

__all__ = ["Envelope", "MotoRequestHandler", "Wsgi", "check", "moto", "read"]

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
TARGET_PREFIX = re.compile(r"^.*\.")

# Where the name a request is signed with is not the name of botocore's model.
MODELS = {"monitoring": "cloudwatch", "tagging": "resourcegroupstaggingapi"}


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

    def call(self) -> Call:
        """The request with its parameters as a handler gets them."""
        self._check_body()
        form = dict(parse_qsl(self._body.decode("utf-8", "replace"), keep_blank_values=True))
        parser = PROTOCOL_PARSERS[self._protocol](
            self._model.operation_model(self.operation), map_type=dict
        )
        parsed = parser.parse({
            "method": self._request.method,
            "values": form,
            "headers": self._request.headers,
            "body": self._body,
            "url_path": self._request.path,
            "url_params": {},
        })  # fmt: skip
        who = _caller(self.access_key, dict(self._request.headers))
        return Call(self.service, self.operation, dict(parsed), self.region, who)

    def _check_body(self) -> None:
        """A body that is no JSON object would be taken for an empty one."""
        if not self._protocol.startswith("json") or not self._body:
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
        return Response(sent["body"], status or sent["status_code"], dict(sent["headers"]))


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
        model = get_service_model(MODELS.get(service, service))
    except UnknownServiceError:
        return None
    if "X-Amz-Target" in request.headers:
        operation = TARGET_PREFIX.sub("", request.headers["X-Amz-Target"])
    else:
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        operation = form.get("Action") or f"{request.method} {request.path}"
    protocol = determine_request_protocol(model, request.content_type)
    return Envelope(service, operation, region, access_key, request, body, model, protocol)


def _caller(access_key: str, headers: dict[str, str]) -> Caller:
    """Whose access key it is: a user's or a role session's of moto's IAM, else an administrator's.

    Signatures are not checked.
    """
    if not {"moto.iam.models", "moto.sts.models"} & set(sys.modules):
        return administrator()  # nobody has used IAM, so there is nobody: and no import of it
    from moto.iam.access_control import CreateAccessKeyFailure, IAMPolicy, create_access_key
    from moto.iam.exceptions import NotFoundException
    from moto.iam.models import get_account_id_from, iam_backends

    account = get_account_id_from(access_key)
    iam = iam_backends[account]["aws"]
    session = _session(account, access_key)
    if session is None and access_key not in iam.access_keys:
        return administrator(account)
    nobody = Caller(f"arn:aws:iam::{account}:user/unknown", account, policies=())
    try:
        known = create_access_key(account, "aws", access_key, headers)
        policies = tuple(IAMPolicy(policy)._policy_json for policy in known.collect_policies())
        if session is not None:
            role = iam.get_role_by_arn(session.role_arn).arn
            narrowed = (json.loads(session.policy),) if session.policy else None
            return Caller(known.arn, account, policies, role=role, session_policies=narrowed)
        inactive = iam.access_keys[access_key].status == "Inactive"
        user = iam.get_user(known._owner_user_name).arn
        return Caller(user, account, () if inactive else policies)
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
