"""AWS' wire protocols: requests to plain calls, answers and errors back to bytes.

The only file that imports moto's internals; `check` fails when they are not what we know.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import zip_longest
from typing import Any, NamedTuple
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
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request, Response

from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call, Caller, administrator
from chaosaws_kms_lab.models import NAMES
from chaosaws_kms_lab.scheduler import roles
from chaosaws_kms_lab.signatures import Credential

__all__ = [
    "Envelope",
    "MotoRequestHandler",
    "Secrets",
    "Wsgi",
    "attached_policies",
    "check",
    "emit",
    "for_s3",
    "has_rules",
    "moto",
    "read",
    "reads_a_public_object",
    "shapes",
    "stored_template",
    "trust_policy",
]

logger = logging.getLogger(__name__)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

S3 = "moto.s3.models"
NO_MORE = "SignedHeaders=host, Signature=0"
LABEL = re.compile(r"\{(\w+)\+?\}")

SERVICES = {roles.ACCESS_KEY: roles.PRINCIPAL}
"""Access key → the service of the lab that signs with it."""

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
        form = {} if rest else _form(_asked(self._request, self._body), keep_blank_values=True)
        parser = PROTOCOL_PARSERS[self._protocol](
            self._model.operation_model(self.operation), map_type=dict
        )
        parsed = parser.parse({
            "method": self._request.method,
            "values": self._request.args if rest else form,
            "headers": _headers(self._request),
            "body": self._body,
            "url_path": self._request.path,
            "url_params": self._named,
        })  # fmt: skip
        who = _caller(self.service, self.access_key, dict(_headers(self._request)))
        return Call(self.service, self.operation, _in_utc(dict(parsed)), self.region, who)

    @property
    def parameters(self) -> Any:
        """The shape of the operation's parameters in the model; None: it has none."""
        return self._model.operation_model(self.operation).input_shape

    def bare_call(self) -> Call:
        """The request without its parameters: who wants to do what."""
        who = _caller(self.service, self.access_key, dict(_headers(self._request)))
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
            raise AwsError("SerializationException", "The body is not a JSON object.")

    def answer(self, result: dict[str, Any] | AwsError, status: int | None = None) -> Response:
        """What AWS would send for `result`; an error's HTTP status can be given."""
        name = self.operation
        if name not in self._model.operation_names:
            name = self._model.operation_names[0]  # an error looks the same for every operation
        serializer = get_serializer_class(self._model.service_name, self._protocol)
        sent = serializer(self._model.operation_model(name)).serialize(result)
        own = result.status if isinstance(result, AwsError) else None
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


@dataclass(frozen=True)
class Secrets:
    """The secret access keys that signatures are made with."""

    lab: str = field(repr=False)
    """Of every access key that IAM does not know."""
    own: str = field(repr=False)
    """Of the lab's own services."""

    def of(self, access_key: str) -> str:
        """The secret of an access key: of the lab's services, of IAM's users and of sessions."""
        if access_key in SERVICES:
            return self.own
        if not {"moto.iam.models", "moto.sts.models"} & set(sys.modules):
            return self.lab
        from moto.iam.models import get_account_id_from, iam_backends

        account = get_account_id_from(access_key)
        if (session := _session(account, access_key)) is not None:
            return str(session.secret_access_key)
        known = iam_backends[account]["aws"].access_keys.get(access_key)
        return str(known.secret_access_key) if known else self.lab


def reads_a_public_object(request: Request) -> bool:
    """Whether it asks for an object of S3 that everybody may read, without a signature."""
    bucket, _, key = request.path.removeprefix("/").partition("/")
    bare = not request.args and not {"Authorization", "X-Amz-Target"} & set(request.headers.keys())
    if request.method not in ("GET", "HEAD") or not (bare and key) or S3 not in sys.modules:
        return False
    from moto.s3.exceptions import MissingBucket
    from moto.s3.models import s3_backends

    try:
        found = s3_backends[ACCOUNT]["aws"].get_object(bucket, key)
    except MissingBucket:
        return False
    return bool(found and found.acl and found.acl.public_read)


def for_s3(environ: dict[str, Any]) -> dict[str, Any]:
    """The same request, which nothing in it can make one to another service of moto's.

    moto goes by what is in a header or a body; whoever may ask has been looked at before.
    """
    meant = f"AWS4-HMAC-SHA256 Credential=lab/20260101/us-east-1/s3/aws4_request, {NO_MORE}"
    return environ | {"HTTP_AUTHORIZATION": meant}


def read(request: Request, body: bytes, signed: Credential) -> Envelope | None:
    """The AWS request in an HTTP request; None if it is for no service that there is."""
    access_key, region, service = signed
    models = list(_models(service))
    if not models:
        return None
    meant = [(model, *_meant(model, request, body)) for model in models]
    model, operation, named, _ = next((each for each in meant if each[3]), meant[-1])
    protocol = determine_request_protocol(model, request.content_type)
    return Envelope(service, operation, region, access_key, request, body, model, protocol, named)


def _headers(request: Request) -> Headers:
    """The headers of a request, with those that a signed URL has instead."""
    headers = Headers(list(request.headers))
    for name, value in request.args.items():
        if name.lower().startswith("x-amz-"):
            headers.setdefault(name.title(), value)
    return headers


def _asked(request: Request, body: bytes) -> bytes:
    """The form of a request that is one: its body, or its URL if that is signed."""
    return body or request.query_string


@cache
def shapes(service: str, operation: str) -> tuple[Any, Any]:
    """What an operation's parameters and its answer look like in the model; None: nobody knows."""
    for model in _models(service):
        if operation in model.operation_names:
            known = model.operation_model(operation)
            return known.input_shape, known.output_shape
    return None, None


def _models(service: str) -> Iterable[Any]:
    """The models of the services that sign their requests so."""
    for name in NAMES.get(service, (service,)):
        with contextlib.suppress(UnknownServiceError):
            yield get_service_model(name)


def _meant(model: Any, request: Request, body: bytes) -> tuple[str, dict[str, str], bool]:
    """The operation that a request means if it is for this model, what its path names, and whether
    the model knows such a request."""
    if target := request.headers.get("X-Amz-Target"):
        prefix, _, operation = target.rpartition(".")
        return operation, {}, prefix == model.metadata.get("targetPrefix")
    if model.protocol.startswith("rest"):
        operation, named = _routed(model, request)
        return operation, named, operation in model.operation_names
    form = _form(_asked(request, body))
    operation = form.get("Action") or f"{request.method} {request.path}"
    return operation, {}, form.get("Version") == model.api_version


def _form(body: bytes, keep_blank_values: bool = False) -> dict[str, str]:
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=keep_blank_values))


def _routed(model: Any, request: Request) -> tuple[str, dict[str, str]]:
    """The operation that a REST request means and its path's parameters.

    Where several fit it is the one that says more of the request; where none does, an operation
    that no service has.
    """
    for route in _routes(model.service_name):
        if route.method == request.method and (fits := route.path.fullmatch(request.path)):
            asked = all(
                name in request.args and value in ("", request.args[name])
                for name, value in route.query.items()
            )
            if asked and all(name in request.headers for name in route.headers):
                values = fits.groupdict()
                named = {name: values[f"label{n}"] for n, name in enumerate(route.labels)}
                return route.operation, named
    return f"{request.method} {request.path}", {}


class Route(NamedTuple):
    """How an operation of a REST service is asked for."""

    operation: str
    method: str
    path: re.Pattern[str]
    labels: list[str]
    query: dict[str, str]
    """Parameter of the URL → the value that it has to have; "": any."""
    headers: list[str]


@cache
def _routes(service: str) -> list[Route]:
    """The operations of a REST service, the one with the longest path and most conditions first.

    A path arrives decoded, so that a parameter at its end may have slashes of its own (an ARN).
    """
    model = get_service_model(service)
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
        query |= dict.fromkeys(_needed(operation, "querystring"), "")
        headers = _needed(operation, "header")
        route = Route(name, operation.http["method"], pattern, LABEL.findall(path), query, headers)
        found.append((sum(map(len, literals)), len(query) + len(headers), route))
    found.sort(key=lambda each: (-each[0], -each[1]))
    return [each[2] for each in found]


def _needed(operation: Any, location: str) -> list[str]:
    """What a request of this operation cannot do without, as it is called at that place."""
    shape = operation.input_shape
    if shape is None:
        return []
    members = [(name, shape.members[name].serialization) for name in shape.required_members]
    return [said.get("name", name) for name, said in members if said.get("location") == location]


def _caller(service: str, access_key: str, headers: dict[str, str]) -> Caller:
    """Whose access key it is: a user's or a role session's of moto's IAM, else an administrator's.

    Its signature has been checked (signatures.py).
    """
    if access_key in SERVICES:
        return Caller(SERVICES[access_key], ACCOUNT, access_key=access_key)
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
                raise AwsError(EXPIRED.get(service, "ExpiredTokenException"), expired)
            role = iam.get_role_by_arn(session.role_arn).arn
            narrowed = (json.loads(session.policy),) if session.policy else None
            return Caller(
                known.arn, account, policies, role=role, session_policies=narrowed,
                access_key=access_key, user_id=session.user_id,
            )  # fmt: skip
        inactive = iam.access_keys[access_key].status == "Inactive"
        user = iam.get_user(known._owner_user_name)
        return Caller(
            user.arn, account, () if inactive else policies, access_key=access_key, user_id=user.id
        )
    except (CreateAccessKeyFailure, NotFoundException):
        return nobody  # a session without its token or its role, a key without its user


def attached_policies(arn: str) -> tuple[dict[str, Any], ...] | None:
    """What IAM attaches to a user (by its groups too), a group or a role; None: there is no such.

    The ARN is one of the three.
    """
    if "moto.iam.models" not in sys.modules:
        return None  # nobody has used IAM, as in _caller
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
    if found.arn != arn:  # whose path is another
        return None
    groups = iam.get_groups_for_user(name) if kind == "user" else []
    return tuple(
        IAMPolicy(policy)._policy_json
        for holder in (found, *groups)
        for policy in (*holder.policies.values(), *holder.managed_policies.values())
    )


def trust_policy(role_arn: str) -> str | None:
    """Who may assume a role, in JSON; None: there is no such role."""
    from moto.iam.exceptions import NotFoundException
    from moto.iam.models import iam_backends

    if role_arn.count(":") < 5:
        return None
    try:
        role = iam_backends[role_arn.split(":")[4]]["aws"].get_role_by_arn(role_arn)
    except (KeyError, NotFoundException):
        return None
    return str(role.assume_role_policy_document)


def stored_template(url: str) -> str:
    """The CloudFormation template at a URL of moto's S3; raises what moto does without one."""
    from moto.cloudformation.utils import get_stack_from_s3_url

    return str(get_stack_from_s3_url(url, ACCOUNT, "aws"))


def _session(account: str, access_key: str) -> Any:
    """The session of a role that an access key was made for, if there is one."""
    from moto.sts.models import sts_backends

    sessions = sts_backends[account]["aws"].assumed_roles
    return next((each for each in sessions if each.access_key_id == access_key), None)


def has_rules(region: str) -> bool:
    """Whether a rule of EventBridge waits for events on the default bus of a Region."""
    return bool(_rules(region))


def emit(event: dict[str, Any], states: Collection[str]) -> None:
    """Sends an event to the targets of the rules that match it and are in one of these states.

    It never raises: what a target does not take is lost, and logged. Unlike PutEvents it takes a
    source that begins with "aws."; and moto's asks no rule for its state.
    """
    # moto wants seconds and turns them into a date for its targets.
    sent = event | {"time": datetime.fromisoformat(event["time"]).timestamp()}
    for rule in _rules(event["region"]):
        if rule.state not in states:
            continue
        for target in list(rule.targets):
            alone = copy.copy(rule)  # so that the others get it if this one fails
            alone.targets = [target]
            # An event that nothing transforms loses its account in moto's own template.
            transformed = "InputTransformer" in target
            told = sent | {"ingestion-time": time.time()} if transformed else sent
            try:
                alone.send_to_targets(told, transform_input=transformed)
            except Exception:
                logger.exception("%s did not take an event of rule %s", target["Arn"], rule.name)


def _rules(region: str) -> list[Any]:
    """The rules with a pattern on the default bus; none, and no import, if nobody used any."""
    if "moto.events.models" not in sys.modules:
        return []
    from moto.events.models import events_backends

    backends = events_backends[ACCOUNT]
    if region not in backends:
        return []
    rules = list(backends[region].event_buses["default"].rules.values())
    return [rule for rule in rules if rule.event_pattern.dump()]


def moto() -> Wsgi:
    """Everything of AWS that is not ours."""
    return DomainDispatcherApplication(create_backend_app)  # type: ignore[no-any-return]


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
