"""A file of a history to which one line after the other is appended, from any thread."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from chaosaws_kms_ext.files import open_private

__all__ = ["Lines", "whole_lines"]


def whole_lines(path: Path) -> list[bytes]:
    """The lines of such a file, but for one that is torn off at the end; none where there is no
    file. Raises OSError."""
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


class Lines:
    """Lines of JSON. Those of the time before the file is opened are kept until then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[str] = []
        self._file: IO[str] | None = None
        self._closed = False

    def write(self, content: Mapping[str, Any]) -> None:
        """Appends one; raises OSError. Nothing is written after the end."""
        line = json.dumps(content) + "\n"
        with self._lock:
            if self._file is not None:
                self._file.write(line)
            elif not self._closed:
                self._kept.append(line)

    def open(self, path: Path) -> None:
        """Makes the file, with what was kept; raises OSError."""
        with self._lock:
            # Line by line, so that a crash leaves every line before it.
            self._file = open_private(path, "a", buffering=1)
            self._file.writelines(self._kept)
            self._kept = []

    def close(self) -> None:
        """Nothing is written any more; safe to call again."""
        with self._lock:
            file, self._file, self._kept, self._closed = self._file, None, [], True
            if file is not None:
                file.close()
