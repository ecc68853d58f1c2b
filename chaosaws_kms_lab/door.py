"""The lab's front door: a request in, our handler's or moto's answer out, one line logged."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from werkzeug.wrappers import Request, Response

from chaosaws_kms_lab import (
    browsers,
    data_misbehaviours,
    identity,
    kms,
    permissions,
    rds,
    scheduler,
    secrets_manager,
    simulator,
    tagging,
    trail,
    trust,
    unsupported,
    wire,
)
from chaosaws_kms_lab.bus import Bus
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.misbehaviours import ApiMisbehaviour, BadOrder, Misbehaviours
from chaosaws_kms_lab.private import open_private
from chaosaws_kms_lab.scheduler import Scheduler
from chaosaws_kms_lab.secrets_manager import Moto, Secrets
from chaosaws_kms_lab.signatures import credential, is_signed
from chaosaws_kms_lab.trail import Trail
from chaosaws_kms_lab.world import Cluster, DataMisbehaviour, World

__all__ = ["Door"]

logger = logging.getLogger(__name__)


class Door:
    """The WSGI application that plays AWS."""

    def __init__(
        self,
        world: World,
        service: rds.Rds,
        schedules: Scheduler,
        lab_id: str,
        log: Path,
        address: str,
        keys: wire.Secrets,
        iam: bool = False,
    ) -> None:
        """`address`: where it is asked, host and port; `keys`: what requests are signed with."""
        port = address.rpartition(":")[2]
        self._addresses = frozenset({address, f"localhost:{port}"})
        self._keys = keys
        self._iam = iam
        self._world = world
        self._lab_id = lab_id
        self._rds = service
        self.misbehaviours = Misbehaviours()
        self._trail = Trail(world, wire.shapes)
        world.audit = self._trail.record
        world.publish = Bus(wire.has_rules, wire.emit).put
        self._services: dict[str, Callable[[Call], dict[str, Any]]] = {
            "cloudtrail": partial(trail.handle, self._trail),
            "iam": partial(simulator.handle, wire.attached_policies),
            "kms": partial(kms.handle, world),
            "rds": partial(rds.handle, service),
            "scheduler": partial(scheduler.handle, schedules),
            "sts": identity.handle,
        }
        secrets = Secrets(world)
        self._together: dict[str, Callable[[Call, Moto], dict[str, Any]]] = {
            "secretsmanager": partial(secrets_manager.handle, secrets),
            "tagging": self._tagged,
        }
        self._moto = wire.moto()
        self._log = open_private(log)
        self._log_lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI."""
        request = Request(dict(environ))
        if why := browsers.refusal(request, self._addresses):
            return Response(f"{why}\n", 403, content_type="text/plain")(environ, start)
        try:
            body = _body(environ)
        except (ValueError, OSError):
            return Response("Content-Length is not a length", 400)(environ, start)
        if request.path in CONTROL:
            return CONTROL[request.path](self, request, body)(environ, start)
        if request.path.startswith(MOTOS_OWN):
            return NOT_HERE(environ, start)
        signed = credential(request)
        if signed is None:
            public = wire.reads_a_public_object(request)
            answer = self._unnamed(wire.for_s3(environ)) if public else UNSIGNED
            return answer(environ, start)
        wrong = not is_signed(request, body, self._keys.of(signed.access_key))
        try:
            envelope = wire.read(request, body, signed)
        except Exception:  # a protocol that the service does not speak
            logger.debug("unreadable", exc_info=True)
            return UNREADABLE(environ, start)
        environ["wsgi.input"] = io.BytesIO(body)
        if wrong:
            refused = envelope.answer(_wrongly_signed(envelope)) if envelope else WRONGLY_SIGNED
            return refused(environ, start)
        if envelope is None:
            return self._unnamed(environ)(environ, start)
        answer = self._respond(envelope, environ)
        self._write(envelope, answer)
        return answer(environ, start)

    # What goes wrong by order

    def _respond(self, envelope: wire.Envelope, environ: dict[str, Any]) -> Response:
        """The answer in the service's own protocol, whatever happens."""
        try:
            return self._apply_misbehaviours(envelope, environ)
        except AwsError as error:
            return envelope.answer(error)
        except Exception:
            logger.exception("%s:%s failed", envelope.service, envelope.operation)
            why = f"The lab failed in {envelope.service}:{envelope.operation}; its log says how."
            return envelope.answer(AwsError("InternalFailure", why), 500)

    def _apply_misbehaviours(self, envelope: wire.Envelope, environ: dict[str, Any]) -> Response:
        with self._world.lock:
            met = self.misbehaviours.take(envelope.service, envelope.operation)
        errors = {misbehaviour.kind: misbehaviour.error(envelope.service) for misbehaviour in met}
        for misbehaviour in met:
            if misbehaviour.kind == "delay":
                time.sleep(misbehaviour.seconds)
        if "cut" in errors:
            return _cut(environ)
        if error := errors.get("throttling") or errors.get("expired-token") or errors.get("error"):
            return envelope.answer(*error)
        answer = self._dispatch(envelope, environ, met)
        if "cut-after" in errors:
            return _cut(environ)
        if error := errors.get("error-after"):
            return envelope.answer(*error)
        return answer

    def _control_misbehaviours(self, request: Request, body: bytes) -> Response:
        signed = credential(request)
        ours = signed and (signed.access_key, signed.service) == ("lab", CONTROL_SERVICE)
        if not ours or not is_signed(request, body, self._keys.lab):
            return _said(
                {"error": "only who has the lab's secret access key orders a misbehaviour"}, 403
            )
        if request.method == "POST" and request.mimetype != "application/json":
            return _said({"error": "an order is JSON (application/json)"}, 415)
        with self._world.lock:
            if request.method == "DELETE":
                self._clear_misbehaviours()
            elif request.method == "POST":
                try:
                    return _said({"misbehaviours": [_described(self._order(json.loads(body)))]})
                except (BadOrder, ValueError, AttributeError, TypeError, RecursionError) as problem:
                    return _said({"error": str(problem)}, 400)
            ordered = self._world.data_misbehaviours
            for misbehaviour in ordered:
                misbehaviour.over = misbehaviour.over or self._is_gone(misbehaviour.about)
            ordered[:] = [misbehaviour for misbehaviour in ordered if not misbehaviour.over]
            holding: list[ApiMisbehaviour | DataMisbehaviour] = [
                *self.misbehaviours.holding(),
                *ordered,
            ]
            return _said({"misbehaviours": [_described(each) for each in holding]})

    def _order(self, order: dict[str, Any]) -> ApiMisbehaviour | DataMisbehaviour:
        """One of the data, if it is about a cluster or of such a kind, or of the API.

        Raises BadOrder.
        """
        if "cluster" not in order and str(order.get("kind")) not in data_misbehaviours.KINDS:
            regions = self._world.regions()
            return self.misbehaviours.add(
                order, [k for region in regions for k in region.keys.values()]
            )
        misbehaviour = data_misbehaviours.order(self._world, order)
        if misbehaviour.about and misbehaviour.kind in data_misbehaviours.AT_RETURN:
            try:
                self._rds.servers.misbehave(misbehaviour.about, misbehaviour)
            except BadOrder:
                self._world.data_misbehaviours.remove(misbehaviour)
                raise
        return misbehaviour

    def _clear_misbehaviours(self) -> None:
        self.misbehaviours.clear()
        for misbehaviour in self._world.data_misbehaviours:
            misbehaviour.over = True

    def _is_gone(self, cluster: Cluster | None) -> bool:
        if cluster is None:
            return False
        return cluster not in self._world.region(cluster.region).clusters.values()

    def _control_identity(self, request: Request, body: bytes) -> Response:
        return _said({"lab": self._lab_id})

    # Who answers

    def _dispatch(
        self, envelope: wire.Envelope, environ: dict[str, Any], met: list[ApiMisbehaviour]
    ) -> Response:
        if envelope.operation in OURS.get(envelope.service, ()):
            return self._handle_own(envelope, met)
        if envelope.service in ALONE or (envelope.service, envelope.operation) in UNKNOWN_KEYS:
            return _not_implemented(envelope)
        call = _readable(envelope)
        if refused := self._refused(envelope, call):
            return refused
        if envelope.operation in TOGETHER.get(envelope.service, ()):
            answer = self._both(envelope, environ)
        elif call and (what := unsupported.reason(call, envelope.parameters, wire.stored_template)):
            return _not_implemented(envelope, what)
        else:
            answer = self._motos(envelope, environ)
        self._note(call, answer)
        return answer

    def _refused(self, envelope: wire.Envelope, call: Call | None) -> Response | None:
        """What IAM answers instead of moto, if it was asked to and has to; a service is always
        held to what trusts it."""
        try:
            asked = call or (envelope.bare_call() if self._iam else None)
            if asked is None:
                return None
            if (asked.service, asked.operation) == ASSUME_ROLE:
                if self._iam or asked.caller.is_service:
                    role = str(asked.params.get("RoleArn"))
                    trust.check(self._world, asked, wire.trust_policy(role))
            elif self._iam:
                permissions.check(self._world, asked)
        except AwsError as error:
            return envelope.answer(error)
        return None

    def _both(self, envelope: wire.Envelope, environ: dict[str, Any]) -> Response:
        """What the lab and moto answer together."""

        def moto(operation: str, params: dict[str, Any]) -> dict[str, Any]:
            body = json.dumps(params, default=_base64).encode()
            prefix = environ["HTTP_X_AMZ_TARGET"].rpartition(".")[0]
            asked = environ | {
                "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)),
                "HTTP_X_AMZ_TARGET": f"{prefix}.{operation}",
            }  # fmt: skip
            answered = self._motos(envelope, asked)
            said = dict(json.loads(answered.get_data()))
            if answered.status_code >= 400:
                message = said.get("message") or said.get("Message", "")
                raise AwsError(said["__type"], message, answered.status_code)
            return said

        try:
            call = envelope.call()
            return _json_answer(self._together[call.service](call, moto))
        except AwsError as error:
            return envelope.answer(error)

    def _tagged(self, call: Call, moto: Moto) -> dict[str, Any]:
        handler = tagging.OPERATIONS[call.operation]
        return handler(self._world, call, partial(moto, call.operation))

    def _note(self, call: Call | None, answer: Response) -> None:
        """A call that moto answered, for CloudTrail; of S3 it has no more than of what cannot be
        read, since most of it are data events."""
        if call is None or call.service == "s3":
            return
        bad = answer.status_code >= 400
        misbehaviour = AwsError(str(answer.status_code), "refused by moto") if bad else None
        with self._world.lock:
            self._trail.record(call, None, misbehaviour)

    def _handle_own(self, envelope: wire.Envelope, met: list[ApiMisbehaviour]) -> Response:
        try:
            call = envelope.call()
        except AwsError as error:
            return envelope.answer(error)
        except Exception as problem:
            return envelope.answer(AwsError("MalformedQueryString", f"Cannot be read: {problem}"))
        try:
            with self._world.lock:
                result = self.misbehaviours.aged(self._handle_and_audit(call), met)
            return envelope.answer(result)  # which takes its time where the answer is long
        except AwsError as error:
            return envelope.answer(error)

    def _handle_and_audit(self, call: Call) -> dict[str, Any]:
        """Handles the call and tells CloudTrail."""
        try:
            if self._iam:
                permissions.check(self._world, call)
            result = self._services[call.service](call)
        except AwsError as error:
            self._trail.record(call, None, error)
            raise
        self._trail.record(call, result, None)
        return result

    def _motos(self, envelope: wire.Envelope, environ: dict[str, Any]) -> Response:
        if envelope.service == "s3" and "HTTP_AUTHORIZATION" not in environ:
            environ = wire.for_s3(environ)  # it was signed in its URL
        try:
            answer = Response.from_app(self._moto, environ, buffered=True)
        except Exception:
            logger.debug("moto failed", exc_info=True)
            return _not_implemented(envelope)
        browsers.without_cors(answer.headers)
        # What moto does not know it answers with an HTML page; some good answers say HTML as well.
        if answer.status_code >= (400 if answer.mimetype == "text/html" else 500):
            return _not_implemented(envelope)
        return answer

    def _unnamed(self, environ: dict[str, Any]) -> Response:
        """A request that names no service that we know: by its path moto may."""
        try:
            answer = Response.from_app(self._moto, environ, buffered=True)
        except Exception:
            logger.debug("moto failed", exc_info=True)
            return UNREADABLE
        browsers.without_cors(answer.headers)
        return answer

    def _write(self, envelope: wire.Envelope, answer: Response) -> None:
        told = {
            "at": time.monotonic_ns(),
            "service": envelope.service,
            "operation": envelope.operation,
            "region": envelope.region,
            "caller": envelope.access_key,
            "status": answer.status_code,
        }
        with self._log_lock:
            self._log.write(json.dumps(told) + "\n")


def _described(ordered: ApiMisbehaviour | DataMisbehaviour) -> dict[str, Any]:
    if isinstance(ordered, DataMisbehaviour):
        return data_misbehaviours.described(ordered)
    return ordered.described()


CONTROL_SERVICE = "chaos-kms-lab"
"""What orders of misbehaviours are signed for."""

# Paths that no AWS service has: which lab this is, and the misbehaviours that are ordered.
CONTROL: dict[str, Callable[[Door, Request, bytes], Response]] = {
    "/chaos-kms-lab": Door._control_identity,
    "/chaos-kms-lab/misbehaviours": Door._control_misbehaviours,
}

OURS: dict[str, Collection[str]] = {
    "cloudtrail": trail.OPERATIONS,
    "iam": simulator.OPERATIONS,
    "kms": kms.OPERATIONS,
    "rds": rds.OPERATIONS,
    "scheduler": scheduler.OPERATIONS,
    "sts": identity.OPERATIONS,
}
TOGETHER: dict[str, Collection[str]] = {
    "secretsmanager": secrets_manager.OPERATIONS,
    "tagging": tagging.OPERATIONS,
}
"""What the lab and moto answer together."""
ALONE = frozenset({"kms", "rds", "rds-data", "scheduler"})
"""Of these services nothing is moto's: its keys, clusters and schedules would be others."""


UNKNOWN_KEYS = frozenset({("sts", "GetSessionToken"), ("sts", "GetFederationToken")})
"""Of moto's they give keys of nobody, whose signatures nothing can verify."""

ASSUME_ROLE = ("sts", "AssumeRole")


def _readable(envelope: wire.Envelope) -> Call | None:
    """The call, if its parameters can be read; what is wrong with the others moto says."""
    try:
        return envelope.call()
    except Exception:
        logger.debug("unreadable", exc_info=True)
        return None


def _not_implemented(envelope: wire.Envelope, what: str | None = None) -> Response:
    name = what or f"{envelope.service}:{envelope.operation}"
    # 501: an SDK does not try again, as it would after a 500.
    return envelope.answer(AwsError("NotImplemented", f"The lab does not do {name}."), 501)


def _json_answer(answer: dict[str, Any]) -> Response:
    return Response(json.dumps(answer), content_type="application/x-amz-json-1.1")


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _json(code: str, message: str, status: int) -> Response:
    said = json.dumps({"__type": code, "message": message})
    return Response(said, status, content_type="application/x-amz-json-1.1")


def _said(what: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(what), status, content_type="application/json")


def _cut(environ: dict[str, Any]) -> Response:
    """Ends the connection without an answer."""
    if connection := environ.get("werkzeug.socket"):
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    return Response(status=500)


UNSIGNED = _json(
    "MissingAuthenticationTokenException",
    "The lab takes calls that are signed (Signature Version 4), in their header or their URL.",
    403,
)
WRONG_SIGNATURE = (
    "The request signature we calculated does not match the signature you provided. Check your AWS "
    "Secret Access Key and signing method."
)
WRONGLY_SIGNED = _json("SignatureDoesNotMatch", WRONG_SIGNATURE, 403)
NOT_HERE = _json("UnknownOperationException", "The lab has nothing there.", 404)
MOTOS_OWN = "/moto-api"
"""What moto has for its own tests: it would forget everything for whoever asks."""
INVALID_SIGNATURE = frozenset({"kms", "scheduler", "secretsmanager", "tagging", "events"})
"""Services that call it so; RDS, IAM, STS and S3 say SignatureDoesNotMatch."""


def _wrongly_signed(envelope: wire.Envelope) -> AwsError:
    json_service = envelope.service in INVALID_SIGNATURE
    code = "InvalidSignatureException" if json_service else "SignatureDoesNotMatch"
    return AwsError(code, WRONG_SIGNATURE, 403)


UNREADABLE = _json("UnknownOperationException", "The lab cannot read this request.", 400)


def _body(environ: dict[str, Any]) -> bytes:
    """Raises ValueError for a length that is none."""
    if environ.get("wsgi.input_terminated"):
        return bytes(environ["wsgi.input"].read())
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length < 0:
        raise ValueError
    return bytes(environ["wsgi.input"].read(length))
