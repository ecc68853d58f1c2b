"""The lab's front door: a request in, our handler's or moto's answer out, one line logged."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from werkzeug.wrappers import Request, Response

from chaosaws_kms_ext.lab import kms, rds, wire
from chaosaws_kms_ext.lab.world import Call, Fault, World

__all__ = ["Door"]

logger = logging.getLogger(__name__)

IDENTITY = "/chaos-kms-lab"
"""Answers which lab this is; no AWS service has such a path."""


class Door:
    """The WSGI application that plays AWS."""

    def __init__(self, world: World, service: rds.Rds, lab_id: str, log: Path) -> None:
        self._world = world
        self._rds = service
        self._lab_id = lab_id
        self._moto = wire.moto()
        self._log = log.open("a", buffering=1)
        self._log_lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI."""
        try:
            body = _body(environ)
        except ValueError:
            return Response("Content-Length is not a length", 400)(environ, start)
        request = Request(dict(environ))
        if request.path == IDENTITY:
            answer = Response(json.dumps({"lab": self._lab_id}), content_type="application/json")
            return answer(environ, start)
        if wire.unsigned(request, body):
            return UNSIGNED(environ, start)
        try:
            envelope = wire.read(request, body)
        except Exception:  # a protocol that the service does not speak
            logger.debug("unreadable", exc_info=True)
            return UNREADABLE(environ, start)
        if envelope is None:
            environ["wsgi.input"] = io.BytesIO(body)
            return self._unnamed(environ)(environ, start)
        if envelope.service in OURS:
            answer = self._ours(envelope)
        else:
            environ["wsgi.input"] = io.BytesIO(body)
            answer = self._motos(envelope, environ)
        self._write(envelope, answer)
        return answer(environ, start)

    def _ours(self, envelope: wire.Envelope) -> Response:
        if envelope.operation not in OURS[envelope.service]:
            return _not_implemented(envelope)
        try:
            call = envelope.call()
        except Fault as fault:
            return envelope.answer(fault)
        except Exception as problem:
            return envelope.answer(Fault("MalformedQueryString", f"Cannot be read: {problem}"))
        try:
            with self._world.lock:
                result = self._handle(call)
            return envelope.answer(result)  # which takes its time where the answer is long
        except Fault as fault:
            return envelope.answer(fault)
        except Exception:
            logger.exception("%s:%s failed", envelope.service, envelope.operation)
            why = f"The lab failed in {envelope.service}:{envelope.operation}; its log says how."
            return envelope.answer(Fault("InternalFailure", why), 500)

    def _handle(self, call: Call) -> dict[str, Any]:
        if call.service == "kms":
            return kms.handle(self._world, call)
        return rds.handle(self._rds, call)

    def _motos(self, envelope: wire.Envelope, environ: dict[str, Any]) -> Response:
        try:
            answer = Response.from_app(self._moto, environ, buffered=True)
        except Exception:
            logger.debug("moto failed", exc_info=True)
            return _not_implemented(envelope)
        # What moto does not know it answers with an HTML page; some good answers say HTML as well.
        if answer.status_code >= (400 if answer.mimetype == "text/html" else 500):
            return _not_implemented(envelope)
        return answer

    def _unnamed(self, environ: dict[str, Any]) -> Response:
        """A request that names no service that we know: by its path moto may."""
        try:
            return Response.from_app(self._moto, environ, buffered=True)
        except Exception:
            logger.debug("moto failed", exc_info=True)
            return UNREADABLE

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


OURS: dict[str, Collection[str]] = {"kms": kms.OPERATIONS, "rds": rds.OPERATIONS}


def _not_implemented(envelope: wire.Envelope) -> Response:
    name = f"{envelope.service}:{envelope.operation}"
    # 501: an SDK does not try again, as it would after a 500.
    return envelope.answer(Fault("NotImplemented", f"The lab does not do {name}."), 501)


def _json(code: str, message: str, status: int) -> Response:
    said = json.dumps({"__type": code, "message": message})
    return Response(said, status, content_type="application/x-amz-json-1.1")


UNSIGNED = _json(
    "MissingAuthenticationTokenException",
    "The lab takes calls that are signed in their Authorization header (Signature Version 4).",
    403,
)
UNREADABLE = _json("UnknownOperationException", "The lab cannot read this request.", 400)


def _body(environ: dict[str, Any]) -> bytes:
    """Raises ValueError for a length that is none."""
    if environ.get("wsgi.input_terminated"):
        return bytes(environ["wsgi.input"].read())
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length < 0:
        raise ValueError
    return bytes(environ["wsgi.input"].read(length))
