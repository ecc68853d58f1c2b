"""Words of others in our own sentences."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """The text with nothing in it that a terminal obeys: it may come from a file, or from AWS."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
