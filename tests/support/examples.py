"""How many examples a property is tried with: a third in `make test`, all in `make soak`."""

from __future__ import annotations

import os

__all__ = ["examples"]

ALL = "TESTS_ALL_EXAMPLES"
"""Variable that asks for all of them."""


def examples(number: int) -> int:
    """So many of `number`, now."""
    return number if os.environ.get(ALL) else -(-number // 3)
