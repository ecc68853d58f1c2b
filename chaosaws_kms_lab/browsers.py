"""Keeps web pages out: a browser on this machine can be led to the lab by any of them.

An SDK sends none of this. A page can: by a name that its owner lets point to this machine (DNS
rebinding: `Host`), by a script (`Origin`, preflights), by a form, an image or a link
(`Sec-Fetch-Site`, which browsers add to every request that a page makes; W3C, Fetch Metadata
Request Headers).
"""

from __future__ import annotations

from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request

__all__ = ["refusal", "without_cors"]

BY_HAND = "none"
"""Of `Sec-Fetch-Site`: somebody typed the address."""


def refusal(request: Request, addresses: frozenset[str]) -> str:
    """Why a request is not for the lab, in a sentence; empty if it may be.

    `addresses`: what `Host` can be.
    """
    headers = request.headers
    if headers.get("Host", "") not in addresses:
        return "The lab answers at its own address only: http://127.0.0.1 and its port."
    if "Origin" in headers or request.method == "OPTIONS":
        return "The lab answers no web page."
    if headers.get("Sec-Fetch-Site", BY_HAND) != BY_HAND:
        return "The lab answers no web page."
    return ""


def without_cors(headers: Headers) -> None:
    """Takes away what would let a web page read an answer (moto adds it to all of its own)."""
    for name in [name for name, _ in headers if name.lower().startswith("access-control-")]:
        headers.remove(name)
