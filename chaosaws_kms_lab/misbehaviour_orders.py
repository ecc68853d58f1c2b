"""Checks of an order for a misbehaviour, of the API or of the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["BadOrder", "check_fields"]


class BadOrder(Exception):
    """An order for a misbehaviour that makes no sense; one sentence says why."""


def check_fields(order: dict[str, Any], known: Sequence[str]) -> None:
    """Raises BadOrder for an unknown field, which may be a misspelt one."""
    if unknown := [name for name in order if name not in known]:
        raise BadOrder(f"such a misbehaviour has no {unknown[0]!r}: {', '.join(known)}")
