"""Whether a lab that something was written down about is still there."""

from __future__ import annotations

import json
import socket
import time
from urllib.parse import urlsplit

__all__ = ["is_endpoint", "is_gone", "is_there", "which"]

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
    except OSError:
        return False  # it may be about to answer


def is_there(endpoint: str, lab: str) -> bool:
    """Whether this lab answers there; a slow one is not there."""
    try:
        return is_endpoint(endpoint) and _identity(endpoint) == lab
    except OSError:
        return False


def which(endpoint: str) -> str:
    """The id of the lab that answers there; empty: none does, or it is slow."""
    try:
        return _identity(endpoint) if is_endpoint(endpoint) else ""
    except OSError:
        return ""


def _identity(endpoint: str) -> str:
    """Which lab answers; empty: what answers is none. Raises OSError, also where it takes long."""
    address = urlsplit(endpoint)
    asked = f"GET {IDENTITY} HTTP/1.0\r\nHost: {address.netloc}\r\n\r\n"
    end, said = time.monotonic() + WITHIN, b""
    with socket.create_connection((address.hostname, address.port), timeout=WITHIN) as lab:
        lab.sendall(asked.encode())
        while len(said) < LONGEST:
            if (left := end - time.monotonic()) <= 0:
                raise TimeoutError
            lab.settimeout(left)  # of one packet: whoever sends them slowly gets no more time
            if not (more := lab.recv(LONGEST)):
                break
            said += more
    try:
        return str(json.loads(said.partition(b"\r\n\r\n")[2])["lab"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
