"""Keeps web pages out: any page can make a browser on this machine send requests to the lab.

A page can use a name that its owner has pointed to this machine (DNS rebinding: seen in `Host`), a
script (seen in `Origin`, and in preflights), a form, an image or a link (seen in `Sec-Fetch-Site`,
which browsers add to every request of a page; W3C, Fetch Metadata Request Headers). An SDK sends
none of these.
"""

from __future__ import annotations

from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request

__all__ = ["refusal", "without_cors"]

BY_HAND = "none"
"""The value of `Sec-Fetch-Site` if somebody typed the address."""


def refusal(request: Request, addresses: frozenset[str]) -> str:
    """Why the lab does not answer a request, in a sentence; empty if it does.

    `addresses`: the allowed values of `Host`.
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
    """Removes the headers that let a web page read an answer (moto adds them to all of its own)."""
    for name in [name for name, _ in headers if name.lower().startswith("access-control-")]:
        headers.remove(name)
