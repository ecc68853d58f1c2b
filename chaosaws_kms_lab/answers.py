"""Answers of the door itself: to requests that reach no service, and in place of an answer."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any

from werkzeug.wrappers import Response

from chaosaws_kms_lab.calls import AwsError
from chaosaws_kms_lab.wire import Envelope

__all__ = [
    "NOTHING_THERE",
    "NOT_SIGNED",
    "UNREADABLE",
    "WRONGLY_SIGNED",
    "as_json",
    "aws_json",
    "cut",
    "not_implemented",
    "wrongly_signed",
]

AWS_JSON = "application/x-amz-json-1.1"


def aws_json(body: dict[str, Any], status: int = 200) -> Response:
    """An answer as the services with a JSON protocol send it."""
    return Response(json.dumps(body), status, content_type=AWS_JSON)


def as_json(body: dict[str, Any], status: int = 200) -> Response:
    """An answer of the lab's own, which no AWS service has."""
    return Response(json.dumps(body), status, content_type="application/json")


def _refusal(code: str, message: str, status: int) -> Response:
    return aws_json({"__type": code, "message": message}, status)


NOT_SIGNED = _refusal(
    "MissingAuthenticationTokenException",
    "The lab takes calls that are signed (Signature Version 4), in their header or their URL.",
    403,
)
UNREADABLE = _refusal("UnknownOperationException", "The lab cannot read this request.", 400)
NOTHING_THERE = _refusal("UnknownOperationException", "The lab has nothing there.", 404)

WRONG_SIGNATURE = (
    "The request signature we calculated does not match the signature you provided. Check your AWS "
    "Secret Access Key and signing method."
)
WRONGLY_SIGNED = _refusal("SignatureDoesNotMatch", WRONG_SIGNATURE, 403)

INVALID_SIGNATURE = frozenset({"kms", "scheduler", "secretsmanager", "tagging", "events"})
"""Services that answer InvalidSignatureException; RDS, IAM, STS and S3: SignatureDoesNotMatch."""


def wrongly_signed(service: str) -> AwsError:
    """What a service answers if the signature is wrong."""
    invalid = service in INVALID_SIGNATURE
    code = "InvalidSignatureException" if invalid else "SignatureDoesNotMatch"
    return AwsError(code, WRONG_SIGNATURE, 403)


def not_implemented(envelope: Envelope, what: str | None = None) -> Response:
    """That the lab does not do `what`, or this operation."""
    name = what or f"{envelope.service}:{envelope.operation}"
    # 501: an SDK does not try again, as it would after a 500.
    return envelope.answer(AwsError("NotImplemented", f"The lab does not do {name}."), 501)


def cut(environ: dict[str, Any]) -> Response:
    """Ends the connection without an answer."""
    if connection := environ.get("werkzeug.socket"):
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    return Response(status=500)
