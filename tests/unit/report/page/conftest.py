"""The run that the page is made of."""

from __future__ import annotations

from tests.support.found import evil, found

__all__ = ["evil", "found"]
