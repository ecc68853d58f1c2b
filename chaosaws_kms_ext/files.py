"""Files that are there whole or not at all, whenever we are killed; private to this user."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path
from typing import IO, Any

__all__ = [
    "NotPrivate",
    "check_private",
    "lock",
    "open_private",
    "private_folder",
    "read_plain",
    "read_private",
    "sync_folder",
    "unlock",
    "write_whole",
]

TRIES = 100
"""How often a lock may be taken and let go of by others while we open it."""
LARGEST = 16 * 2**20
"""Bytes of a file that is read at once."""

OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
"""An access control list for writing shows as the group's right."""


class NotPrivate(PermissionError):
    """Others own a file or folder, or can write it: one sentence that says what to do."""

    def __str__(self) -> str:
        return str(self.args[0])


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes `content` to `path` in one step, safely on disk; raises OSError."""
    new = path.with_suffix(".new")
    try:
        with open_private(new, "w" if isinstance(content, str) else "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Makes a change of the folder itself survive a power cut; raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_private(path: Path, mode: str, buffering: int = -1) -> IO[Any]:
    """Opens a file for writing (`w`, `a`, `wb`, `xb`); if it is new, only this user may read it.

    Whatever the umask. Raises OSError.
    """
    encoding = None if "b" in mode else "utf-8"
    return open(path, mode, buffering, encoding=encoding, opener=_for_us)


def private_folder(path: Path) -> None:
    """Makes a folder, and those above it that are missing, which only this user may enter.

    Whatever the umask; what is there already stays as it is. Raises OSError: FileExistsError only
    where a file is in its place.
    """
    for folder in reversed([path, *path.parents]):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)


def read_private(path: Path) -> str:
    """The text of a file that nobody else can have written; raises NotPrivate or OSError.

    What is looked at is the file that was opened, whatever is at `path` by then.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        said = os.fstat(file.fileno())
        if not stat.S_ISREG(said.st_mode):
            raise NotPrivate(f"{path} is no plain file")
        _check(path, said)
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise NotPrivate(f"{path} is larger than {LARGEST} bytes: it is none of ours")
    return text.decode()


def read_plain(path: Path) -> bytes:
    """The bytes of a plain file of at most LARGEST bytes, whoever wrote it; raises OSError.

    Waits for nobody: a pipe or a device in its place is an error.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path} is no plain file")
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OSError(f"{path} is larger than {LARGEST} bytes: it is none of ours")
    return content


def check_private(folder: Path) -> None:
    """Raises NotPrivate if others own this folder, or can put something into it; OSError."""
    _check(folder, folder.stat())


def _check(path: Path, said: os.stat_result) -> None:
    if said.st_uid not in (os.geteuid(), 0):
        raise NotPrivate(f"{path} belongs to another user (uid {said.st_uid}): it is not believed")
    if said.st_mode & OTHERS_MAY_WRITE:
        raise NotPrivate(
            f"others can write {path}: look into it, and if it is right, `chmod go-w` it"
        )


def _for_us(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe has no end


def lock(path: Path) -> IO[str]:
    """Opens a file that is there only while somebody holds it, and holds it for this process.

    It goes with the process, or by `unlock`. Raises BlockingIOError, with whoever's words are in
    it, where another process holds it; OSError.
    """
    for _ in range(TRIES):
        file = open_private(path, "a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except BlockingIOError:
            file.seek(0)
            words = file.read().strip()
            file.close()
            raise BlockingIOError(words) from None
        except FileNotFoundError:
            pass
        file.close()  # it was unlocked, and so removed, since we opened it
    raise BlockingIOError


def unlock(path: Path, file: IO[str]) -> None:
    """Removes a file that `lock` opened, and lets go of it."""
    with contextlib.suppress(OSError):
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):  # else it is another's
            path.unlink()
    file.close()
