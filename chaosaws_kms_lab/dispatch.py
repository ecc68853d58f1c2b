"""Who answers a call to AWS: a service of the lab, moto, both together, or nobody."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from werkzeug.wrappers import Response

from chaosaws_kms_lab import (
    browsers,
    cloudformation,
    cloudtrail,
    encrypted,
    kms,
    moto_iam,
    moto_services,
    performance_insights,
    permissions,
    policy_simulator,
    rds,
    scheduler,
    secrets_manager,
    sts,
    tagging,
    trust_policies,
    unsupported,
    wire,
)
from chaosaws_kms_lab.answers import UNREADABLE, aws_json, not_implemented
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.cloudtrail import Trail
from chaosaws_kms_lab.encrypted import Encrypted
from chaosaws_kms_lab.event_bus import Bus
from chaosaws_kms_lab.misbehaviours import ApiMisbehaviour, Misbehaviours
from chaosaws_kms_lab.scheduler import Scheduler
from chaosaws_kms_lab.secrets_manager import Moto
from chaosaws_kms_lab.wire import Envelope
from chaosaws_kms_lab.world import World

__all__ = ["Dispatch"]

logger = logging.getLogger(__name__)

OWN: dict[str, Collection[str]] = {
    "cloudtrail": cloudtrail.OPERATIONS,
    "iam": policy_simulator.OPERATIONS,
    "kms": kms.OPERATIONS,
    "pi": performance_insights.OPERATIONS,
    "rds": rds.OPERATIONS,
    "scheduler": scheduler.OPERATIONS,
    "sts": sts.OPERATIONS,
}
"""Service → its operations that the lab answers."""

WITH_MOTO: dict[str, Collection[str]] = {
    "secretsmanager": secrets_manager.OPERATIONS,
    "tagging": tagging.OPERATIONS,
}
"""Service → its operations that the lab and moto answer together."""

NEVER_MOTO = frozenset({"kms", "pi", "rds", "rds-data", "scheduler"})
"""In these services moto answers nothing: its keys, clusters and schedules are not the lab's."""

UNVERIFIABLE = frozenset({("sts", "GetSessionToken"), ("sts", "GetFederationToken")})
"""moto's answers have access keys that belong to nobody, so no signature could be verified."""

ASSUME_ROLE = ("sts", "AssumeRole")

ClientsOf = Callable[[str, str], Callable[[str], Any]]
"""Access key and Region → service → a client of the lab that calls as whoever has the key."""


class Dispatch:
    """Finds who answers a call, and tells CloudTrail of it."""

    def __init__(
        self,
        world: World,
        service: rds.Rds,
        schedules: Scheduler,
        misbehaviours: Misbehaviours,
        iam: bool,
        clients_of: ClientsOf,
    ) -> None:
        """`iam`: whether callers that IAM knows are held to their policies in every service."""
        self._world = world
        self._misbehaviours = misbehaviours
        self._iam = iam
        self._trail = Trail(world, wire.shapes)
        world.audit = self._trail.record
        world.publish = Bus(moto_services.has_rules, moto_services.emit).put
        self._own: dict[str, Callable[[Call], dict[str, Any]]] = {
            "cloudtrail": partial(cloudtrail.handle, self._trail),
            "iam": partial(policy_simulator.handle, moto_iam.attached_policies),
            "kms": partial(kms.handle, world),
            "pi": partial(performance_insights.handle, world),
            "rds": partial(rds.handle, service),
            "scheduler": partial(scheduler.handle, schedules),
            "sts": sts.handle,
        }
        self._with_moto: dict[str, Callable[[Call, Moto], dict[str, Any]]] = {
            "secretsmanager": partial(secrets_manager.handle, service.secrets),
            "tagging": partial(tagging.handle, world),
        }
        self._encrypted = Encrypted(world)
        self._stacks = cloudformation.Stacks(
            world.clock.utc,
            lambda call: clients_of(call.caller.access_key, call.region),
            moto_services.stored_template,
            moto_services.stacks,
        )
        self._moto = moto_services.moto()

    def answer(
        self, envelope: Envelope, environ: dict[str, Any], met: list[ApiMisbehaviour]
    ) -> Response:
        """The answer to a call; `met`: the misbehaviours that affect it."""
        name = (envelope.service, envelope.operation)
        if envelope.operation in OWN.get(envelope.service, ()):
            return self._handle_own(envelope, met)
        if envelope.service in NEVER_MOTO or name in UNVERIFIABLE:
            return not_implemented(envelope)
        call = _readable(envelope)
        if (refused := self._refusal(envelope, call)) is not None:
            return refused
        if call and call.service == "cloudformation" and self._stacks.takes(call):
            return self._handle_stack(envelope, call)
        if envelope.operation in WITH_MOTO.get(envelope.service, ()):
            answer = self._handle_with_moto(envelope, environ)
        elif call and envelope.operation in encrypted.OPERATIONS.get(envelope.service, ()):
            answer = self._ask_under_keys(envelope, environ, call)
        elif call and (what := self._unsupported(envelope, call)):
            return not_implemented(envelope, what)
        else:
            answer = self._ask_moto(envelope, environ)
        self._audit_moto(call, answer)
        return answer

    def answer_unnamed(self, environ: dict[str, Any]) -> Response:
        """The answer to a request that names no known service: moto may know it by its path."""
        try:
            answer = Response.from_app(self._moto, environ, buffered=True)
        except Exception:
            logger.debug("moto failed", exc_info=True)
            return UNREADABLE
        browsers.without_cors(answer.headers)
        return answer

    # The lab's own services

    def _handle_own(self, envelope: Envelope, met: list[ApiMisbehaviour]) -> Response:
        try:
            call = envelope.call()
        except AwsError as error:
            return envelope.answer(error)
        except Exception as problem:
            return envelope.answer(AwsError("MalformedQueryString", f"Cannot be read: {problem}"))
        try:
            with self._world.lock:
                result = self._misbehaviours.make_stale(self.handle_and_audit(call), met)
            return envelope.answer(result)  # not under the lock: a long answer takes its time
        except AwsError as error:
            return envelope.answer(error)

    def handle_and_audit(self, call: Call) -> dict[str, Any]:
        """Handles a call of the lab's own services and tells CloudTrail; raises AwsError.

        Callers hold the world's lock.
        """
        try:
            if self._iam:
                permissions.check(self._world, call)
            result = self._own[call.service](call)
        except AwsError as error:
            self._trail.record(call, None, error)
            raise
        self._trail.record(call, result, None)
        return result

    def _handle_stack(self, envelope: Envelope, call: Call) -> Response:
        """The answer to a call about a stack with keys or clusters."""
        if call.operation not in cloudformation.OPERATIONS:
            return not_implemented(envelope, f"{_name(call)} of a stack with keys or clusters")
        with self._world.lock:
            try:
                result = cloudformation.handle(self._stacks, call)
            except AwsError as error:
                self._trail.record(call, None, error)
                return envelope.answer(error)
            self._trail.record(call, result, None)
        return envelope.answer(result)

    # moto

    def _refusal(self, envelope: Envelope, call: Call | None) -> Response | None:
        """What IAM answers if it does not allow a call to moto; None: it does.

        `call` is None if its parameters cannot be read. A role's trust policy always counts for a
        service, and IAM for people only if the lab was asked to enforce it.
        """
        try:
            asked = call or (envelope.call_without_parameters() if self._iam else None)
            if asked is None:
                return None
            if (asked.service, asked.operation) == ASSUME_ROLE:
                if self._iam or asked.caller.is_service:
                    role = str(asked.params.get("RoleArn"))
                    trust_policies.check(self._world, asked, moto_iam.trust_policy(role))
            elif self._iam:
                permissions.check(self._world, asked)
        except AwsError as error:
            return envelope.answer(error)
        return None

    def _unsupported(self, envelope: Envelope, call: Call) -> str | None:
        """What of a call to moto the lab does not do."""
        return unsupported.reason(call, envelope.parameters, moto_services.stored_template)

    def _handle_with_moto(self, envelope: Envelope, environ: dict[str, Any]) -> Response:
        """The answer of the lab and moto together."""

        def moto(operation: str, params: dict[str, Any]) -> dict[str, Any]:
            body = json.dumps(params, default=_base64).encode()
            prefix = environ["HTTP_X_AMZ_TARGET"].rpartition(".")[0]
            request = environ | {
                "wsgi.input": io.BytesIO(body),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_X_AMZ_TARGET": f"{prefix}.{operation}",
            }
            answer = self._ask_moto(envelope, request)
            result = dict(json.loads(answer.get_data()))
            if answer.status_code >= 400:
                message = result.get("message") or result.get("Message", "")
                raise AwsError(result["__type"], message, answer.status_code)
            return result

        try:
            call = envelope.call()
            return aws_json(self._with_moto[call.service](call, moto))
        except AwsError as error:
            return envelope.answer(error)

    def _ask_under_keys(self, envelope: Envelope, environ: dict[str, Any], call: Call) -> Response:
        """moto's answer, if KMS lets the service use the key of what the call is about."""
        try:
            self._encrypted.prepare(call)
        except AwsError as error:
            return envelope.answer(error)
        return self._ask_moto(envelope, environ)

    def _ask_moto(self, envelope: Envelope, environ: dict[str, Any]) -> Response:
        if envelope.service == "s3" and "HTTP_AUTHORIZATION" not in environ:
            environ = moto_services.for_s3(environ)  # its URL was signed
        try:
            answer = Response.from_app(self._moto, environ, buffered=True)
        except Exception:
            logger.debug("moto failed", exc_info=True)
            return not_implemented(envelope)
        browsers.without_cors(answer.headers)
        # moto answers with an HTML page what it does not know; some of its good answers say that
        # they are HTML as well.
        if answer.status_code >= (400 if answer.mimetype == "text/html" else 500):
            return not_implemented(envelope)
        return answer

    def _audit_moto(self, call: Call | None, answer: Response) -> None:
        """Tells CloudTrail of a call that moto answered.

        Not of one that cannot be read, and not of S3, most of whose calls are data events.
        """
        if call is None or call.service == "s3":
            return
        bad = answer.status_code >= 400
        error = AwsError(str(answer.status_code), "refused by moto") if bad else None
        with self._world.lock:
            self._trail.record(call, None, error)


def _readable(envelope: Envelope) -> Call | None:
    """The call; None: its parameters cannot be read, and moto says what is wrong with them."""
    try:
        return envelope.call()
    except Exception:
        logger.debug("unreadable", exc_info=True)
        return None


def _name(call: Call) -> str:
    return f"{call.service}:{call.operation}"


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
