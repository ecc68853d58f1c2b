"""Time that passes only when somebody sleeps, for the modules of the extension alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

__all__ = ["EPOCH", "Sleeper", "virtual_time"]

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""What the clocks show when nobody has slept yet."""


class Sleeper(Protocol):
    """Whose time it is."""

    def now(self) -> float:
        """Seconds that have passed."""

    def sleep(self, seconds: float) -> None:
        """Lets seconds pass, and what is due in them happen."""


class _Time:
    """In place of the module `time`."""

    def __init__(self, whose: Sleeper) -> None:
        self._whose = whose
        self.sleep = whose.sleep

    def monotonic(self) -> float:
        return self._whose.now()

    def monotonic_ns(self) -> int:
        return round(self._whose.now() * 1e9)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def _datetime(whose: Sleeper) -> type[datetime]:
    """In place of the class `datetime`."""

    class Kind(type):
        def __instancecheck__(cls, found: Any) -> bool:
            return isinstance(found, datetime)

    class Virtual(datetime, metaclass=Kind):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return (EPOCH + timedelta(seconds=whose.now())).astimezone(tz)

    return Virtual


@contextmanager
def virtual_time(whose: Sleeper) -> Iterator[None]:
    """Inside, every module of the extension that is imported has this time."""
    shim, virtual = _Time(whose), _datetime(whose)
    put = {"time": (time, shim), "datetime": (datetime, virtual)}
    changed = [
        (module, attribute, real)
        for name, module in list(sys.modules.items())
        if name.startswith("chaosaws_kms_ext")
        for attribute, (real, _) in put.items()
        if getattr(module, attribute, None) is real
    ]
    for module, attribute, _ in changed:
        setattr(module, attribute, put[attribute][1])
    try:
        yield
    finally:
        for module, attribute, real in changed:
            setattr(module, attribute, real)
