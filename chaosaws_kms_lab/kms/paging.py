"""Lists in pages, as KMS cuts them: the API reference, parameter Limit of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chaosaws_kms_lab.calls import Paging

__all__ = ["FIFTY", "HUNDRED", "TAGS", "page"]

HUNDRED = Paging("Limit", 100, 1, 1000, "ValidationException", "InvalidMarkerException")
FIFTY = Paging("Limit", 50, 1, 100, "ValidationException", "InvalidMarkerException")
TAGS = Paging("Limit", 50, 1, 50, "ValidationException", "InvalidMarkerException")


def page(paging: Paging, name: str, items: Iterable[Any], params: dict[str, Any]) -> dict[str, Any]:
    """An answer with the page of `items` that `params` asks for, called `name`."""
    cut, marker = paging.cut(items, params)
    more = {"NextMarker": marker} if marker else {}
    return {name: cut, "Truncated": marker is not None, **more}
