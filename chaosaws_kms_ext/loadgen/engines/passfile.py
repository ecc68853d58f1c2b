"""A libpq password file that ends with this process: on Linux in memory, in no folder.

libpq reads it at every connect, also in the load's process, so a new connection has the newest
password. libpq wants a plain file that nobody else may read (PostgreSQL manual, "The Password
File"); memory with a file descriptor is one, of which nothing is left after a SIGKILL. Where the
system has no such memory (macOS), it is a file in a folder of its own, which a SIGKILL leaves.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["Line", "Passfile", "fits", "password_in"]


class Line(NamedTuple):
    """A user's password, and for which host and port; `*` is every one."""

    user: str
    password: str
    host: str = "*"
    port: str = "*"

    def __str__(self) -> str:
        return ":".join(
            _escaped(part) for part in (self.host, self.port, "*", self.user, self.password)
        )

    def __repr__(self) -> str:
        return f"Line(user={self.user!r}, password=…, host={self.host!r}, port={self.port!r})"


class Passfile:
    """The file; empty at first."""

    def __init__(self) -> None:
        """Raises OSError."""
        if sys.platform == "linux":
            self._file: _InMemory | _InFolder = _InMemory()
        else:
            self._file = _InFolder()
        self._lock = threading.Lock()
        self._open = True

    @property
    def path(self) -> str:
        """What to call it in a conninfo, for any process of this user while this one lives."""
        return self._file.path

    def write(self, lines: Iterable[Line]) -> None:
        """Replaces the content in one step: a reader gets all old lines or all new ones.

        Without effect after `close`. Raises OSError.
        """
        with self._lock:
            if self._open:
                self._file.replace("".join(f"{line}\n" for line in lines))

    def close(self) -> None:
        """Removes the file; safe to call again."""
        with self._lock:
            if self._open:
                self._open = False
                self._file.remove()


def fits(password: str) -> bool:
    """Whether a line can contain this password."""
    try:
        return bool(password) and not set(b"\r\n\0") & set(password.encode())
    except UnicodeEncodeError:
        return False


def password_in(path: Path, options: Mapping[str, str]) -> str:
    """What libpq would find for these options (PostgreSQL manual, "The Password File"); empty if
    nothing."""
    asked = [options.get(name, "") for name in ("host", "port", "dbname", "user")]
    try:
        if os.stat(path).st_mode & 0o077:
            return ""  # libpq does not read what others may
        # A password may have what `splitlines` takes for the end of a line, and libpq does not.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError):
        return ""
    for line in lines:
        *names, password = _fields(line)
        if (
            not line.startswith("#")
            and len(names) == len(asked)
            and all(name in ("*", wanted) for name, wanted in zip(names, asked, strict=True))
        ):
            return password
    return ""


if sys.platform == "linux":

    class _InMemory:
        """A nameless file in memory; other programs do not inherit its descriptor."""

        def __init__(self) -> None:
            self._descriptor = self._new("")
            self.path = f"/proc/{os.getpid()}/fd/{self._descriptor}"

        def replace(self, text: str) -> None:
            new = self._new(text)
            try:
                os.dup2(new, self._descriptor, inheritable=False)
            finally:
                os.close(new)

        def remove(self) -> None:
            os.close(self._descriptor)

        @staticmethod
        def _new(text: str) -> int:
            descriptor = os.memfd_create("passfile", os.MFD_CLOEXEC)
            try:
                os.fchmod(descriptor, 0o600)
                with os.fdopen(descriptor, "w", encoding="utf-8", closefd=False) as file:
                    file.write(text)
            except BaseException:
                os.close(descriptor)
                raise
            return descriptor


class _InFolder:
    """A file in a folder that only this user enters."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="chaos-kms-"))
        self.path = str(self._folder / "passfile")
        self.replace("")

    def replace(self, text: str) -> None:
        descriptor, new = tempfile.mkstemp(dir=self._folder)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(new, self.path)

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _escaped(part: str) -> str:
    return part.replace("\\", "\\\\").replace(":", "\\:")


def _fields(line: str) -> list[str]:
    """The fields between the colons; a backslash escapes the next character."""
    fields, escaped = [""], False
    for letter in line:
        if not escaped and letter == "\\":
            escaped = True
            continue
        if letter == ":" and not escaped and len(fields) < 5:
            fields.append("")
        else:
            fields[-1] += letter
        escaped = False
    return fields
