"""Child processes that cannot outlive us, however we end.

A child runs in a session of its own, so that a Ctrl-C in the terminal reaches only us and we decide
in which order things stop. It holds the read end of a pipe, its lifeline, whose write end only we
hold: when we end, by SIGKILL too, the kernel closes the pipe and the child sees the end of file.
(PR_SET_PDEATHSIG would not do: it is bound to the thread that forked.)
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from chaosaws_kms_ext.files import open_private

__all__ = ["LIFELINE", "Child", "first_line"]

LIFELINE = "CHAOSAWS_KMS_LIFELINE"
"""The environment variable that tells a child its lifeline's file descriptor."""


def first_line(descriptor: int, timeout: float) -> str:
    """The line that a child prints, or what there is of it after `timeout` seconds."""
    said, end = b"", time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while b"\n" not in said and (left := end - time.monotonic()) > 0:
            if selector.select(left):
                chunk = os.read(descriptor, 65536)
                if not chunk:
                    break
                said += chunk
    return said.decode(errors="replace").strip()


class Child:
    """A program of ours, running in the background."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path | IO[bytes],
        env: Mapping[str, str] | None = None,
        stdout: IO[bytes] | int | None = None,
    ) -> None:
        """Starts `command`; what it prints goes to `log`, or its standard output to `stdout`."""
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(open_private(log, "a")) if isinstance(log, Path) else log
            theirs, self._lifeline = os.pipe()
            stack.callback(os.close, theirs)
            self.process = subprocess.Popen(
                command,
                env={**(os.environ if env is None else env), LIFELINE: str(theirs)},
                stdin=subprocess.DEVNULL,
                stdout=out if stdout is None else stdout,
                stderr=out,
                pass_fds=(theirs,),
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    def tell(self, word: bytes) -> None:
        """Writes to the child's lifeline; it reads it there if it is still there."""
        with contextlib.suppress(OSError):
            os.write(self._lifeline, word)

    def stop(self, grace: float = 5, ask: Callable[[], None] | None = None) -> int:
        """Ends the process and returns its exit code; safe to call again.

        Asks first (by closing the lifeline, or as `ask` says), and after `grace` seconds kills
        its whole session.
        """
        if ask is None:
            self.let_go()
        else:
            with contextlib.suppress(ProcessLookupError):
                ask()
        try:
            return self.process.wait(grace)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Closes the lifeline, as our end would; safe to call again."""
        lifeline, self._lifeline = self._lifeline, -1
        if lifeline >= 0:
            os.close(lifeline)
