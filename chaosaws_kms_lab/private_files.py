"""Files of the lab that only its own user may read, whatever the umask."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO

__all__ = ["make_passable", "open_private"]


def make_passable(folder: Path, parents: bool = False, exist_ok: bool = False) -> None:
    """Makes a folder that the servers' account can pass through, but not list."""
    folder.mkdir(parents=parents, exist_ok=exist_ok)
    folder.chmod(0o711)


def open_private(path: Path) -> TextIO:
    """Opens a text file to append to, line by line."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return os.fdopen(descriptor, "a", buffering=1)
