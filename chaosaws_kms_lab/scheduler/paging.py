"""Lists in pages, as EventBridge Scheduler cuts them: parameters MaxResults and NextToken."""

from __future__ import annotations

from typing import Any

from chaosaws_kms_lab.calls import Paging

__all__ = ["page"]

HUNDRED = Paging("MaxResults", 100, 1, 100, "ValidationException", "ValidationException")


def page(name: str, items: list[Any], params: dict[str, Any]) -> dict[str, Any]:
    """An answer with the page of `items` that `params` asks for, called `name`."""
    cut, token = HUNDRED.cut(items, {**params, "Marker": params.get("NextToken")})
    return {name: cut, **({"NextToken": token} if token else {})}
