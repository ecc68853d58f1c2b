"""The lab's front door: an HTTP request comes in, an answer goes out, one line is logged.

This file decides who may ask: no web page, nobody without a signature. dispatch.py decides who
answers.
"""

from __future__ import annotations

import functools
import io
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from werkzeug.wrappers import Request, Response

from chaosaws_kms_lab import answers, browsers, moto_iam, moto_services, own_clients, wire
from chaosaws_kms_lab.calls import AwsError
from chaosaws_kms_lab.control import Control
from chaosaws_kms_lab.dispatch import Dispatch
from chaosaws_kms_lab.misbehaviours import Misbehaviours
from chaosaws_kms_lab.moto_iam import Secrets
from chaosaws_kms_lab.private_files import open_private
from chaosaws_kms_lab.rds import Rds
from chaosaws_kms_lab.scheduler import Scheduler
from chaosaws_kms_lab.signatures import credential, is_signed
from chaosaws_kms_lab.somebody import Somebody
from chaosaws_kms_lab.wire import Envelope
from chaosaws_kms_lab.world import World

__all__ = ["Door"]

logger = logging.getLogger(__name__)

MOTO_CONTROL = "/moto-api"
"""moto's own paths, for its own tests: one of them resets everything, for whoever asks."""


class Door:
    """The WSGI application that plays AWS."""

    def __init__(
        self,
        world: World,
        service: Rds,
        schedules: Scheduler,
        lab_id: str,
        log: Path,
        address: str,
        keys: Secrets,
        iam: bool = False,
    ) -> None:
        """`log`: the file of the request log; `address`: its own host and port; `keys`: what
        requests are signed with; `iam`: whether callers are held to their IAM policies."""
        port = address.rpartition(":")[2]
        self._addresses = frozenset({address, f"localhost:{port}"})
        self._keys = keys
        self._world = world
        self.misbehaviours = Misbehaviours()
        self._address = address
        self._send = own_clients.sender(self, address)
        self.dispatch = Dispatch(
            world, service, schedules, self.misbehaviours, iam, self._clients_of
        )
        somebody = Somebody(world, self.dispatch.handle_and_audit)
        self._control = Control(lab_id, keys.lab, service, self.misbehaviours, somebody)
        self._log = open_private(log)
        self._log_lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI."""
        try:
            return self._answer(environ)(environ, start)
        finally:
            self._world.called.set()

    def _clients_of(self, access_key: str, region: str) -> Callable[[str], Any]:
        """Service → a client that calls as whoever has an access key; each is made once."""
        return functools.cache(
            lambda service: own_clients.client(
                self._send,
                self._address,
                service,
                region,
                aws_access_key_id=access_key,
                aws_secret_access_key=self._keys.of(access_key),
                aws_session_token=moto_iam.session_token(access_key),
            )
        )

    def _answer(self, environ: dict[str, Any]) -> Response:
        request = Request(dict(environ))
        if why := browsers.refusal(request, self._addresses):
            return Response(f"{why}\n", 403, content_type="text/plain")
        try:
            body = _body(environ)
        except (ValueError, OSError):
            return Response("Content-Length is not a length", 400)
        environ["wsgi.input"] = io.BytesIO(body)
        if (answer := self._control.answer(request, body)) is not None:
            return answer
        if request.path.startswith(MOTO_CONTROL):
            return answers.NOTHING_THERE
        return self._answer_aws(request, body, environ)

    def _answer_aws(self, request: Request, body: bytes, environ: dict[str, Any]) -> Response:
        """The answer to a request for AWS, if its signature is right."""
        signed = credential(request)
        if signed is None:
            if moto_services.reads_a_public_object(request):
                return self.dispatch.answer_unnamed(moto_services.for_s3(environ))
            return answers.NOT_SIGNED
        try:
            envelope = wire.read(request, body, signed)
        except Exception:  # a protocol that the service does not speak
            logger.debug("unreadable", exc_info=True)
            return answers.UNREADABLE
        if not is_signed(request, body, self._keys.of(signed.access_key)):
            if envelope is None:
                return answers.WRONGLY_SIGNED
            return envelope.answer(answers.wrongly_signed(envelope.service))
        if envelope is None:
            return self.dispatch.answer_unnamed(environ)
        answer = self._respond(envelope, environ)
        self._write_to_log(envelope, answer)
        return answer

    def _respond(self, envelope: Envelope, environ: dict[str, Any]) -> Response:
        """The answer in the service's own protocol, whatever happens."""
        try:
            return self._apply_misbehaviours(envelope, environ)
        except AwsError as error:
            return envelope.answer(error)
        except Exception:
            logger.exception("%s:%s failed", envelope.service, envelope.operation)
            why = f"The lab failed in {envelope.service}:{envelope.operation}; its log says how."
            return envelope.answer(AwsError("InternalFailure", why), 500)

    def _apply_misbehaviours(self, envelope: Envelope, environ: dict[str, Any]) -> Response:
        """The answer, with whatever was ordered to go wrong before and after it."""
        with self._world.lock:
            met = self.misbehaviours.take(envelope.service, envelope.operation)
        errors = {misbehaviour.kind: misbehaviour.error(envelope.service) for misbehaviour in met}
        for misbehaviour in met:
            if misbehaviour.kind == "delay":
                time.sleep(misbehaviour.seconds)
        if "cut" in errors:
            return answers.cut(environ)
        if error := errors.get("throttling") or errors.get("expired-token") or errors.get("error"):
            return envelope.answer(*error)
        answer = self.dispatch.answer(envelope, environ, met)
        if "cut-after" in errors:
            return answers.cut(environ)
        if error := errors.get("error-after"):
            return envelope.answer(*error)
        return answer

    def _write_to_log(self, envelope: Envelope, answer: Response) -> None:
        entry = {
            "at": time.monotonic_ns(),
            "service": envelope.service,
            "operation": envelope.operation,
            "region": envelope.region,
            "caller": envelope.access_key,
            "status": answer.status_code,
        }
        with self._log_lock:
            self._log.write(json.dumps(entry) + "\n")


def _body(environ: dict[str, Any]) -> bytes:
    """Raises ValueError if the length that the request says is none."""
    if environ.get("wsgi.input_terminated"):
        return bytes(environ["wsgi.input"].read())
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length < 0:
        raise ValueError
    return bytes(environ["wsgi.input"].read(length))
