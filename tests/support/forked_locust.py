"""Locust that is forked, with what our load imports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["prepare"]


def prepare() -> Callable[[], Any]:
    """In the process that forks."""
    from locust import main as program  # first: it replaces what waits

    from chaosaws_kms_ext.loadgen.client import user

    assert user

    def main() -> Any:
        import gevent

        gevent.reinit()
        return program.main()

    return main
