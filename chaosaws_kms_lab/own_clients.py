"""Clients of the lab for the lab itself: requests go through the door, and over no network."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from werkzeug.test import Client

__all__ = ["client", "sender"]

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

Send = Callable[..., AWSResponse]

ONCE = Config(retries={"total_max_attempts": 1})


def sender(door: Wsgi, address: str) -> Send:
    """What answers botocore's requests by `door`, which is at `address` (host and port)."""
    http = Client(door)

    def send(request: Any, **_: Any) -> AWSResponse:
        sent = urlsplit(request.url)
        answer = http.open(
            path=sent.path or "/",
            base_url=f"http://{address}",
            query_string=sent.query,
            method=request.method,
            headers=_plain(request.headers),
            data=request.body,
        )
        raw = _Raw(answer.get_data())
        return AWSResponse(request.url, answer.status_code, dict(answer.headers), raw)

    return send


def client(
    send: Send,
    address: str,
    service: str,
    region: str,
    config: Config = ONCE,
    **credentials: str | None,
) -> Any:
    """A client whose requests `send` answers, with credentials as boto3's."""
    made = boto3.client(
        service, endpoint_url=f"http://{address}", region_name=region, config=config, **credentials
    )
    made.meta.events.register("before-send", send)
    return made


class _Raw(io.BytesIO):
    def stream(self, *_: Any) -> Iterable[bytes]:
        yield self.read()


def _plain(headers: Mapping[str, Any]) -> dict[str, str]:
    return {k: v.decode() if isinstance(v, bytes) else str(v) for k, v in headers.items()}
