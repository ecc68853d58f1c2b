"""What goes wrong, as far as it is told to a person in a sentence."""

from __future__ import annotations

__all__ = ["PlainError"]


class PlainError(Exception):
    """One sentence that says what is wrong, and where it can, what to do: never a traceback."""
