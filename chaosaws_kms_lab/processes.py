"""Finds, freezes and kills processes of servers, without their parents' help."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

__all__ = [
    "alive",
    "free_shared_memory",
    "freeze_trees",
    "kill_everything_in",
    "kill_trees",
    "thaw_trees",
]

IPC_RMID = 0  # sys/ipc.h
LINUX = sys.platform == "linux"


def alive(process: psutil.Process) -> bool:
    """Whether it still runs; a zombie does not."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def freeze_trees(roots: Iterable[int]) -> None:
    """Stops these processes and everything below them.

    PostgreSQL's processes lead sessions of their own, so no signal to a group reaches them.
    """
    roots = _stopped(roots)
    stopped = set(roots)
    while new := [p for p in _trees(roots) if p.pid not in stopped]:
        for process in new:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
            stopped.add(process.pid)


def thaw_trees(roots: Iterable[int]) -> None:
    """Lets these processes and everything below them go on; what is at the bottom first."""
    for process in reversed(list(_trees(list(roots)))):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def kill_trees(roots: Iterable[int], timeout: float = 5) -> None:
    """SIGKILL to these processes and everything below them, frozen or not; waits for their end.

    A postmaster that is killed alone leaves children which keep the next one from starting.
    """
    victims = list(_trees(_stopped(roots)))
    for process in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _wait_for_the_end_of(victims, timeout)


def _wait_for_the_end_of(processes: list[psutil.Process], timeout: float) -> None:
    """As psutil.wait_procs, which also waits for a zombie until its parent has looked at it."""
    end = time.monotonic() + timeout
    while any(alive(process) for process in processes) and time.monotonic() < end:
        time.sleep(0.002)


def _stopped(roots: Iterable[int]) -> list[int]:
    """The roots, after SIGSTOP: they must not fork while their children are looked up."""
    found = []
    for root in roots:
        with contextlib.suppress(ProcessLookupError):
            os.kill(root, signal.SIGSTOP)
            found.append(root)
    return found


def _trees(roots: list[int]) -> Iterator[psutil.Process]:
    for root in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(root)
            yield top
            yield from top.children(recursive=True)


QUIT_WITHIN = 1.5
"""Seconds for servers to give back shared memory, which they cannot do after SIGKILL."""


def kill_everything_in(directory: Path) -> None:
    """Ends every process that works inside `directory`: frozen servers and their orphans too.

    Every process of a PostgreSQL server has its data directory as working directory, so this
    finds them without any pid file and without their parent.
    """
    root = str(directory.resolve())
    asked = _working_in(root)
    for number in (signal.SIGQUIT, signal.SIGCONT):  # PostgreSQL: shut down at once
        for process in asked:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
    _wait_for_the_end_of(asked, QUIT_WITHIN)
    try:
        _kill_what_is_left_in(root)
    finally:
        for lock in directory.rglob("postmaster.pid"):
            free_shared_memory(lock.parent)


def free_shared_memory(data: Path) -> None:
    """Removes the System V segment that a killed server leaves (its number is in line 7)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        line = (data / "postmaster.pid").read_text().splitlines()[6]
        ctypes.CDLL(None).shmctl(int(line.split()[1]), IPC_RMID, None)


def _kill_what_is_left_in(root: str) -> None:
    for _ in range(20):  # a postmaster may fork while it is looked for
        found = _working_in(root)
        if not found:
            return
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        _wait_for_the_end_of(found, 0.1)


def _working_in(root: str) -> list[psutil.Process]:
    """The processes whose working directory it is, or one inside."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):
            if _is_in(_working_directory(pid), root):
                process = psutil.Process(pid)
                # Once more, of this very process: the number may have been given to another.
                if _is_in(process.cwd(), root) and alive(process):
                    found.append(process)
    return found


def _working_directory(pid: int) -> str:
    """Nearly all of hundreds of processes are others', and psutil asks more of each."""
    if LINUX:
        return os.readlink(f"/proc/{pid}/cwd").removesuffix(" (deleted)")
    return str(psutil.Process(pid).cwd())


def _is_in(directory: str, root: str) -> bool:
    return directory == root or directory.startswith(root + os.sep)
