"""Whether a lab that something was written down about is still there."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

__all__ = ["is_endpoint", "is_gone", "is_there"]

LONGEST = 4096
"""Bytes that are read of what it says."""

IDENTITY = "/chaos-kms-lab"
"""Where a lab says which one it is."""

WITHIN = 5.0
"""Seconds for its answer."""


def is_endpoint(endpoint: str) -> bool:
    """Whether a lab can be there: a port of this machine, and nothing more."""
    try:
        address = urlsplit(endpoint)
        return endpoint in (f"http://{host}:{address.port}" for host in ("127.0.0.1", "localhost"))
    except ValueError:
        return False


def is_gone(endpoint: str, lab: str) -> bool:
    """Whether nobody listens where the lab was, or something else does; a slow one is not gone."""
    if not is_endpoint(endpoint):
        return True  # no lab ever was there
    try:
        return _identity(endpoint) != lab
    except ConnectionRefusedError:
        return True
    except (OSError, http.client.HTTPException):
        return False  # it may be about to answer


def is_there(endpoint: str, lab: str) -> bool:
    """Whether this lab answers there; a slow one is not there."""
    try:
        return is_endpoint(endpoint) and _identity(endpoint) == lab
    except (OSError, http.client.HTTPException):
        return False


def _identity(endpoint: str) -> str:
    """Which lab answers; empty: what answers is none. Raises OSError, HTTPException."""
    address = urlsplit(endpoint)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=WITHIN)
    try:
        connection.request("GET", IDENTITY)
        said = connection.getresponse().read(LONGEST)
        return str(json.loads(said)["lab"])
    except (ValueError, KeyError, TypeError):
        return ""
    finally:
        connection.close()
