"""What of the programs is another one for all tests."""

from __future__ import annotations

from functools import cache

from chaosaws_kms_ext import processes
from tests.support import forks
from tests.support.forked_child import ForkedChild
from tests.support.models import models_once
from tests.support.schemas import check_every_summary

__all__ = ["before_the_imports"]


@cache
def before_the_imports() -> None:
    """Replaces what a test module may import by its name; a worker inherits it."""
    models_once()
    if forks.POSSIBLE:
        processes.Child = ForkedChild  # type: ignore[misc]
    check_every_summary()
