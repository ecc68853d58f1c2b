"""Parameters and answers are trees: reads them, however deep they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["strings"]


def strings(value: Any) -> Iterator[str]:
    """Every string in a value, in its order, without the names in mappings."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            waiting += reversed(list(value.values()))
        elif isinstance(value, list | tuple):
            waiting += reversed(value)
