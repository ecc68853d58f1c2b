"""A `Child` that is forked, where there is a process that has imported its program."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from chaosaws_kms_ext.files import open_private
from chaosaws_kms_ext.processes import LIFELINE, Child
from tests.support import forks

__all__ = ["ForkedChild"]

FORKERS = {
    "locust": "tests.support.forked_locust",
    "chaosaws_kms_lab": "tests.support.forked_labs",
    "chaosaws_kms_ext.undo.watchdog": "tests.support.forked_chaos",
}
"""Module that is run as a program → who forks it."""


class ForkedChild(Child):
    """As a Child, for the programs of FORKERS."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path | IO[bytes],
        env: Mapping[str, str] | None = None,
        stdout: IO[bytes] | int | None = None,
    ) -> None:
        forker = FORKERS.get(command[2], "")
        if not (forker and forks.POSSIBLE and forks.ready(forker)):
            super().__init__(command, log=log, env=env, stdout=stdout)
            return
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(open_private(log, "a")) if isinstance(log, Path) else log
            theirs, self._lifeline = os.pipe()
            stack.callback(os.close, theirs)
            to = out if stdout is None else stdout
            self.process = forks.fork(  # type: ignore[assignment]
                forker,
                command[1:],
                to if isinstance(to, int) else to.fileno(),
                out.fileno(),
                environment=env,
                kept={LIFELINE: theirs},
            )
