"""Whether a request was signed with the secret of the access key that it names.

The signature is made again by botocore's own signers and compared. General Reference, "Signature
Version 4 signing process"; S3 User Guide, "Signing and authenticating REST requests" (version 2, of
which only URLs are taken).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from botocore.auth import HmacV1Auth, S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from werkzeug.wrappers import Request

__all__ = ["Credential", "credential", "is_signed"]

WINDOW = timedelta(minutes=15)
"""How far the date of a signature may be off (General Reference: "within 5 minutes" of most
services, 15 of S3)."""

HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,]+)/(\d{8})/([^/,]+)/([^/,]+)/aws4_request, ?"
    r"SignedHeaders=([\w;.-]+), ?Signature=([0-9a-f]{64})"
)
SCOPE = re.compile(r"([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request")
OLD = frozenset({"AWSAccessKeyId", "Signature"})
"""Parameters of a URL of S3 that is signed with version 2, beside Expires."""
SIGNS = OLD | {"X-Amz-Credential", "X-Amz-Signature"}
WEEK = 604800
"""Seconds that a signed URL lasts at most."""
INSTANT = "%Y%m%dT%H%M%SZ"
OF_HEADERS = ("content-md5", "content-type", "x-amz-")
UNCHECKED = "UNSIGNED-PAYLOAD"
STREAMED = "STREAMING-"
"""The beginning of a payload's hash if it is signed in chunks, or not at all."""


class Credential(NamedTuple):
    """The access key of a signature, and the service that it is for."""

    access_key: str
    region: str
    service: str


def credential(request: Request) -> Credential | None:
    """The credential in a request's header or URL; None: it is not signed.

    With credentials in both places it counts as not signed: they could contradict each other.
    """
    said, signs = request.args, SIGNS & request.args.keys()
    if "Authorization" in request.headers:
        found = HEADER.fullmatch(request.headers["Authorization"])
        return Credential(found[1], found[3], found[4].lower()) if found and not signs else None
    if "X-Amz-Signature" in signs and not signs & OLD:
        found = SCOPE.fullmatch(said.get("X-Amz-Credential", ""))
        return Credential(found[1], found[3], found[4].lower()) if found else None
    if signs == OLD and "Expires" in said:
        return Credential(said["AWSAccessKeyId"], "us-east-1", "s3")  # no Region is named
    return None


def is_signed(request: Request, body: bytes, secret: str, now: datetime | None = None) -> bool:
    """Whether the signature of `credential` is right for this secret, and not too old."""
    now = now or datetime.now(UTC)
    if credential(request) is None:
        return False
    if found := HEADER.fullmatch(request.headers.get("Authorization", "")):
        return _by_header(request, body, secret, found, now)
    if "X-Amz-Signature" in request.args:
        return _by_url(request, body, secret, now)
    return _by_old_url(request, secret, now)


def _by_header(
    request: Request, body: bytes, secret: str, found: re.Match[str], now: datetime
) -> bool:
    key, day, region, service, names, signature = found.groups()
    stamp = request.headers.get("X-Amz-Date", "")
    if not stamp.startswith(day) or not _near(stamp, now):
        return False
    told = request.headers.get("X-Amz-Content-SHA256")
    checked = told and told != UNCHECKED and not told.startswith(STREAMED)
    if checked and told != hashlib.sha256(body).hexdigest():
        return False
    wanted = names.split(";")
    if not _all_signed(request, wanted):
        return False
    headers = {name: request.headers.get(name, "") for name in wanted}
    query = request.query_string.decode("latin-1")
    asked = _asked(request, query, headers, body)
    return _same(asked, key, secret, service, region, stamp, names, signature)


def _by_url(request: Request, body: bytes, secret: str, now: datetime) -> bool:
    said = request.args
    found = SCOPE.fullmatch(said.get("X-Amz-Credential", ""))
    stamp, names = said.get("X-Amz-Date", ""), said.get("X-Amz-SignedHeaders", "")
    lasts = said.get("X-Amz-Expires", "")
    if not found or not lasts.isascii() or not lasts.isdigit():
        return False
    if not _all_signed(request, names.split(";")):
        return False
    key, day, region, service = found.groups()
    if not stamp.startswith(day) or not _near(stamp, now, timedelta(seconds=min(int(lasts), WEEK))):
        return False
    headers = {name: request.headers.get(name, "") for name in names.split(";")}
    if service == "s3":
        headers["X-Amz-Content-SHA256"] = UNCHECKED
    raw = request.query_string.decode("latin-1")
    query = "&".join(part for part in raw.split("&") if not part.startswith("X-Amz-Signature="))
    asked = _asked(request, query, headers, b"" if service == "s3" else body)
    signature = said["X-Amz-Signature"]
    return _same(asked, key, secret, service, region, stamp, names, signature)


def _all_signed(request: Request, names: Sequence[str]) -> bool:
    """Whether every header that must be signed is; an unsigned one could be anybody's."""
    own = {name.lower() for name, _ in request.headers if name.lower().startswith("x-amz-")}
    return "host" in names and own <= set(names)


def _asked(request: Request, query: str, headers: Mapping[str, str], body: bytes) -> AWSRequest:
    host = request.headers.get("Host", "")
    url = f"http://{host}{_path(request)}" + (f"?{query}" if query else "")
    return AWSRequest(method=request.method, url=url, headers=dict(headers), data=body)


def _same(
    asked: AWSRequest,
    key: str,
    secret: str,
    service: str,
    region: str,
    stamp: str,
    names: str,
    signature: str,
) -> bool:
    kind = _S3 if service == "s3" else _Other
    signer = kind(Credentials(key, secret), service, region, names)
    asked.context["timestamp"] = stamp
    text = signer.string_to_sign(asked, signer.canonical_request(asked))
    return hmac.compare_digest(signer.signature(text, asked).encode(), signature.encode())


class _Named:
    """A signer that signs only the headers that are named."""

    def __init__(self, credentials: Credentials, service: str, region: str, names: str) -> None:
        super().__init__(credentials, service, region)  # type: ignore[call-arg]
        self._names = names.split(";")

    def headers_to_sign(self, request: AWSRequest) -> object:
        """Those of botocore's signer that are named."""
        found = super().headers_to_sign(request)  # type: ignore[misc]
        for name in set(found.keys()):
            if name.lower() not in self._names:
                del found[name]
        return found


class _Other(_Named, SigV4Auth):
    pass


class _S3(_Named, S3SigV4Auth):
    pass


def _by_old_url(request: Request, secret: str, now: datetime) -> bool:
    said = request.args
    until = said.get("Expires", "")
    if not until.isascii() or not until.isdigit() or int(until) < now.timestamp():
        return False
    signer = _ByUrl(Credentials(said.get("AWSAccessKeyId", ""), secret), until)
    url = urlsplit(f"http://s3{_path(request)}?{request.query_string.decode('latin-1')}")
    # Headers that botocore signs are parameters of the URL.
    headers = {name: value for name, value in said.items() if name.lower().startswith(OF_HEADERS)}
    headers |= {name: value for name, value in request.headers if value}
    asked = AWSRequest(method=request.method, headers=headers)
    signature = signer.get_signature(request.method, url, asked.headers)
    return hmac.compare_digest(signature.encode(), said["Signature"].encode())


class _ByUrl(HmacV1Auth):
    """Signs when a URL expires, in place of the date in a header."""

    def __init__(self, credentials: Credentials, until: str) -> None:
        super().__init__(credentials)
        self._until = until

    def _get_date(self) -> str:
        return self._until


def _path(request: Request) -> str:
    """The path as it was sent."""
    raw = str(request.environ.get("RAW_URI") or "")
    return urlsplit(raw).path if raw.startswith("/") else quote(request.path, safe="/~")


def _near(stamp: str, now: datetime, after: timedelta = WINDOW) -> bool:
    """Whether an instant is at most WINDOW ahead, and at most `after` ago."""
    try:
        then = datetime.strptime(stamp, INSTANT).replace(tzinfo=UTC)
    except ValueError:
        return False
    return -WINDOW <= now - then <= max(after, timedelta())
