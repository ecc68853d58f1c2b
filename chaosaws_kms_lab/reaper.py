"""Cleans up after a lab, however it ends: kills its servers and removes its folder.

The reaper is a process of its own. It waits for the end of file on its standard input, which only
the lab holds open; so a Ctrl-C, a closed lifeline and a SIGKILL all end the same way.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TextIO

from chaosaws_kms_lab.private_files import open_private
from chaosaws_kms_lab.processes import kill_everything_in

__all__ = ["Reaper", "new_directory"]

PREFIX = "chaosaws-kms-lab-"

HALF_REMOVED = 60.0
"""Seconds after which a folder without a lock is taken for left behind."""


def new_directory() -> tuple[Path, TextIO]:
    """A folder for a lab, and the lock that shows that it is in use.

    First it removes the folders of labs that ended without their reaper (after a power cut, say).
    """
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        _remove_if_left_behind(old)
    for never_used in Path(tempfile.gettempdir()).glob(f".{PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or just renamed by its lab
            if time.time() - never_used.stat().st_mtime > HALF_REMOVED:
                _remove_if_left_behind(never_used)
    # Until it is locked it has a name that no other lab looks for.
    new = Path(tempfile.mkdtemp(prefix=f".{PREFIX}"))
    new.chmod(0o711)  # the servers' account has to reach its data through it
    lock = open_private(new / "lock")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    directory = new.with_name(new.name.removeprefix("."))
    new.rename(directory)
    return directory, lock


def _remove_if_left_behind(directory: Path) -> None:
    if not _is_ours(directory):
        return
    try:
        with (directory / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _clean(directory)
    except FileNotFoundError:  # being made, or half removed
        with contextlib.suppress(OSError):
            if time.time() - directory.stat().st_mtime > HALF_REMOVED:
                _clean(directory)
    except OSError:  # another user's, or alive
        return


def _is_ours(directory: Path) -> bool:
    """Whether this user made it; its name proves nothing."""
    with contextlib.suppress(OSError):
        found = directory.lstat()
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return False


def _clean(directory: Path) -> None:
    kill_everything_in(directory)
    shutil.rmtree(directory, ignore_errors=True)


class Reaper:
    """A lab's reaper, seen from the lab."""

    def __init__(self, directory: Path, lock: TextIO) -> None:
        self.directory = directory
        # It inherits the lock: so the folder is in use until the reaper has removed it.
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(directory)],
            stdin=subprocess.PIPE,
            pass_fds=(lock.fileno(),),
            start_new_session=True,
        )

    def reap(self, timeout: float = 10) -> None:
        """Lets the reaper clean up, and waits for that, at most `timeout` seconds."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
        if self.directory.exists():  # somebody killed the reaper
            _clean(self.directory)


def main(directory: Path) -> None:
    """Waits for the lab's end, then cleans up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    _clean(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
