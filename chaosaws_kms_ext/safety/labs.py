"""Whether a lab that something was written down about is still there."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

__all__ = ["is_gone"]

IDENTITY = "/chaos-kms-lab"
"""Where a lab says which one it is."""


def is_gone(endpoint: str, lab: str) -> bool:
    """Whether nobody listens where the lab was, or another lab does; a slow one is not gone."""
    address = urlsplit(endpoint)
    connection = http.client.HTTPConnection(
        address.hostname or "127.0.0.1", address.port or 80, timeout=5
    )
    try:
        connection.request("GET", IDENTITY)
        said = json.loads(connection.getresponse().read())
        return bool(said["lab"] != lab)
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        return False
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
        return True  # something answers, and it is no lab
    finally:
        connection.close()
