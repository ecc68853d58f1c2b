"""Whether a lab that something was written down about is still there."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

__all__ = ["is_gone"]

LONGEST = 4096
"""Bytes that are read of what it says."""

IDENTITY = "/chaos-kms-lab"
"""Where a lab says which one it is."""


def is_gone(endpoint: str, lab: str) -> bool:
    """Whether nobody listens where the lab was, or something else does; a slow one is not gone."""
    try:
        address = urlsplit(endpoint)
        host, port = address.hostname or "127.0.0.1", address.port or 80
    except ValueError:
        return True  # no lab ever was there
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", IDENTITY)
        said = connection.getresponse().read(LONGEST)
    except ConnectionRefusedError:
        return True
    except (OSError, http.client.HTTPException):
        return False  # it may be about to answer
    finally:
        connection.close()
    try:
        return bool(json.loads(said)["lab"] != lab)
    except (ValueError, KeyError, TypeError):
        return True  # something answers, and it is no lab
