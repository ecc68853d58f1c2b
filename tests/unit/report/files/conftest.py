"""The run that these files are made from."""

from __future__ import annotations

from tests.support.found import evil, found

__all__ = ["evil", "found"]
