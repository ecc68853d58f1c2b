"""Long work on data in the background."""

from __future__ import annotations

import logging
import subprocess
import tarfile
import threading
from collections.abc import Callable

import psycopg

from chaosaws_kms_lab.data_plane.postgres import ServerFailed
from chaosaws_kms_lab.data_plane.sealed import Broken

__all__ = ["Job"]

EXPECTED = (
    Broken,
    ServerFailed,
    OSError,
    psycopg.Error,
    tarfile.TarError,
    subprocess.SubprocessError,
)
"""Exceptions of servers and files that are no bugs of the lab."""


class Job:
    """One piece of work, started at once."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._error: str | None = None
        self._finished = threading.Event()
        threading.Thread(target=self._run, args=(work,), daemon=True, name=name).start()

    @property
    def done(self) -> bool:
        """Whether it has ended, successfully or not."""
        return self._finished.is_set()

    @property
    def error(self) -> str | None:
        """Why it failed, in one sentence, once it is done."""
        return self._error if self.done else None

    def wait(self, timeout: float) -> bool:
        """Waits at most `timeout` seconds; whether it is done."""
        return self._finished.wait(timeout)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except EXPECTED as problem:
            self._error = " ".join(str(problem).split()) or type(problem).__name__
        except Exception as problem:
            logging.exception("a bug of the lab in the background")
            self._error = f"{type(problem).__name__}: {problem}"
        finally:
            self._finished.set()
