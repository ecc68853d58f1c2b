"""Words of others in our own sentences."""

from __future__ import annotations

__all__ = ["printable", "shortened"]

LONGEST = 2000
"""Characters of others' words that are shown to a person: summary.json has all of them."""


def printable(text: str) -> str:
    """The text with nothing in it that a terminal obeys: it may come from a file, or from AWS."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def shortened(text: str, most: int = LONGEST) -> str:
    """The same, with an ellipsis in place of what is more than `most` characters."""
    said = printable(text[: most + 1])
    return said if len(said) <= most else f"{said[: most - 1]}…"
