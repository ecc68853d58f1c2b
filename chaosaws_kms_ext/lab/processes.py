"""Processes of servers, found and killed without their parents' help."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import psutil

__all__ = ["alive", "kill_everything_in"]


def alive(process: psutil.Process) -> bool:
    """Whether it still runs; a zombie, which only waits for its parent, does not."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


QUIT_WITHIN = 0.5
"""Seconds for servers to give back what the kernel keeps for them, which SIGKILL would leave."""


def kill_everything_in(directory: Path) -> None:
    """Ends every process that works inside `directory`: frozen servers and their orphans too.

    Every process of a PostgreSQL server has its data directory as working directory, so this
    finds them without any pid file and without their parent.
    """
    root = str(directory.resolve())
    asked = [p for p in psutil.process_iter() if _works_in(p, root)]
    for number in (signal.SIGQUIT, signal.SIGCONT):  # PostgreSQL: shut down at once
        for process in asked:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
    psutil.wait_procs(asked, timeout=QUIT_WITHIN)
    for _ in range(20):  # a postmaster may fork while it is looked for
        found = [p for p in psutil.process_iter() if _works_in(p, root)]
        if not found:
            return
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(found, timeout=0.1)


def _works_in(process: psutil.Process, root: str) -> bool:
    try:
        cwd = process.cwd()
        return (cwd == root or cwd.startswith(root + os.sep)) and alive(process)
    except (psutil.Error, OSError):
        return False
