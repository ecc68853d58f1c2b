"""Labs that are forked; tests of how the program starts and ends, or of what it takes, start it
themselves."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import IO, Any
from unittest.mock import patch

from chaosaws_kms_ext.lab_client import local_lab
from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from chaosaws_kms_ext.processes import LIFELINE, Child
from tests.support import forks

__all__ = ["new_lab", "prepare"]


def new_lab(speed: float, profile: str = "observed", **more: Any) -> LocalLab:
    """As LocalLab.start."""
    with patch.object(local_lab, "Child", Forked if forks.POSSIBLE else Child):
        return LocalLab.start(speed, profile, **more)


class Forked(Child):
    """A lab that was not started as a program."""

    def __init__(self, command: Sequence[str], *, log: IO[bytes], stdout: int) -> None:  # type: ignore[override]
        theirs, self._lifeline = os.pipe()
        try:
            self.process = forks.fork(  # type: ignore[assignment]
                __name__,
                command[command.index("chaosaws_kms_lab") :],
                stdout,
                log.fileno(),
                kept={LIFELINE: theirs},
            )
        finally:
            os.close(theirs)


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
