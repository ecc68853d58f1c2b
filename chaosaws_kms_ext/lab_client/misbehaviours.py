"""Orders what a running lab does wrong: in its API (throttling, cut connections), in its data."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.lab_client.local_lab import LocalLab

__all__ = ["Misbehaviours", "NotALab", "order_all"]

PATH = "/chaos-kms-lab/misbehaviours"
SERVICE = "chaos-kms-lab"
"""What its requests are signed for."""
JSON = {"Content-Type": "application/json"}
TIMEOUT = 10.0
"""Seconds."""


class NotALab(PlainError):
    """One sentence: why no misbehaviour could be ordered."""


class Misbehaviours:
    """What goes wrong in the lab at `endpoint`, which has to be on this machine."""

    def __init__(self, endpoint: str, access_key: str = "", secret_key: str = "") -> None:
        """The keys are those that the lab printed; by default they are in the environment."""
        address = urlsplit(endpoint)
        if address.scheme != "http" or address.hostname not in ("127.0.0.1", "localhost"):
            what = f"{endpoint} is not a lab on this machine" if endpoint else "No lab is named"
            raise NotALab(
                f"{what}: paste what 'chaos kms lab' printed, or give --endpoint after 'fault'"
            )
        self._url = endpoint.rstrip("/") + PATH
        self._keys = Credentials(
            access_key or os.environ.get("AWS_ACCESS_KEY_ID", ""),
            secret_key or os.environ.get("AWS_SECRET_ACCESS_KEY", ""),
        )

    @classmethod
    def of(cls, lab: LocalLab) -> Misbehaviours:
        """What goes wrong in a lab that runs."""
        return cls(lab.endpoint, lab.access_key, lab.secret_key)

    def order(self, **wanted: Any) -> list[dict[str, Any]]:
        """Orders one more, and returns it as it is taken.

        The lab's misbehaviours.py and data_misbehaviours.py say which there are.
        """
        return self._ask("POST", {k: v for k, v in wanted.items() if v is not None})

    def holding(self) -> list[dict[str, Any]]:
        """Those that hold now."""
        return self._ask("GET")

    def clear(self) -> list[dict[str, Any]]:
        """Ends all of them."""
        return self._ask("DELETE")

    def _ask(self, method: str, body: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        data = None if body is None else json.dumps(body).encode()
        # Signed, so that the secret goes to nobody, whoever answers there.
        asked = AWSRequest(method=method, url=self._url, data=data or b"", headers=JSON)
        SigV4Auth(self._keys, SERVICE, "local").add_auth(asked)
        headers = dict(asked.headers.items())
        request = urllib.request.Request(self._url, data=data, method=method, headers=headers)
        # No proxy: it is this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=TIMEOUT) as answer:
                return list(json.load(answer)["misbehaviours"])
        except urllib.error.HTTPError as refused:
            raise NotALab(_reason(refused)) from None
        except (OSError, ValueError, KeyError) as problem:
            raise NotALab(f"no lab answers at {self._url}: {problem}") from None


def _reason(refused: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(refused)["error"])
    except (ValueError, KeyError, TypeError):
        return f"what answers at {refused.url} is no lab: HTTP {refused.code}"


def order_all(lab: LocalLab, orders: Iterable[Mapping[str, Any]]) -> None:
    """Orders what CHAOS_LAB_FAULTS says; raises NotALab."""
    try:
        for each in orders:
            Misbehaviours.of(lab).order(**each)
    except (NotALab, TypeError) as problem:
        raise NotALab(f"CHAOS_LAB_FAULTS: {problem}") from None
