"""Labs that are forked; tests of how the program starts and ends, or of what it takes, start it
themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from chaosaws_kms_ext.lab_client import local_lab
from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from tests.support.forked_child import ForkedChild

__all__ = ["new_lab", "prepare"]


def new_lab(speed: float, profile: str = "observed", **more: Any) -> LocalLab:
    """As LocalLab.start."""
    with patch.object(local_lab, "Child", ForkedChild):
        return LocalLab.start(speed, profile, **more)


def prepare() -> Callable[[], int]:
    """In the process that forks."""
    from moto.moto_api._internal import mock_random

    from chaosaws_kms_lab import __main__ as program
    from chaosaws_kms_lab import serving, wire

    assert serving
    wire.check()

    def main() -> int:
        mock_random.seed()
        return program.main()

    return main
