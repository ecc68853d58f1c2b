"""A PostgreSQL of our own, and what is done to it: the truth that every tool is compared with."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil
import psycopg

from bench.tool import QUERY
from tests.support.postgres import a_postgres

__all__ = ["Server", "a_server"]

Times = tuple[float, float]
"""Begin and end, CLOCK_MONOTONIC seconds."""

ROWS = 10_000


class Server:
    """The server, with the table that is asked."""

    def __init__(self, postgres: Any) -> None:
        self._postgres = postgres
        self.conninfo: str = postgres.conninfo
        with self._connected() as connection:
            connection.execute("CREATE TABLE bench (id int PRIMARY KEY, value text)")
            connection.execute(
                "INSERT INTO bench SELECT n, md5(n::text) FROM generate_series(1, %s) n", (ROWS,)
            )
            assert connection.execute(QUERY).fetchone()

    def sessions(self, name: str) -> int:
        """How many a tool has, by the name that it gave."""
        asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        with self._connected() as connection:
            row = connection.execute(asked, (name,)).fetchone()
        return int(row[0]) if row else 0

    def freeze(self, seconds: float) -> Times:
        """SIGSTOP to every process, and SIGCONT."""
        postmaster = self._postgres.postmaster.pid
        stopped = [postmaster, *_children(postmaster)]
        begin = _all(stopped, signal.SIGSTOP)
        # Those that it had started between the look and the signal.
        late = [pid for pid in _children(postmaster) if pid not in stopped]
        _all(late, signal.SIGSTOP)
        time.sleep(seconds)
        return begin, _all([*stopped, *late], signal.SIGCONT)

    def freeze_half(self, seconds: float) -> Times:
        """SIGSTOP to every second session of each tool, and to every second that is new."""
        half = self._every_second()
        seen = set(_children(self._postgres.postmaster.pid))
        begin = _all(half, signal.SIGSTOP)
        stop = threading.Event()
        new: list[int] = []

        def look() -> None:
            while not stop.wait(0.01):
                for pid in _children(self._postgres.postmaster.pid):
                    if pid not in seen:
                        seen.add(pid)
                        new.append(pid)
                        if len(new) % 2:
                            _all([pid], signal.SIGSTOP)

        looking = threading.Thread(target=look)
        looking.start()
        time.sleep(seconds)
        stop.set()
        looking.join()
        return begin, _all([*half, *new], signal.SIGCONT)

    def crash(self, seconds: float) -> Times:
        """SIGKILL to every process, and PostgreSQL's own crash recovery some time later."""
        postmaster = self._postgres.postmaster.pid
        os.kill(postmaster, signal.SIGSTOP)  # it starts none while the others end
        began = _all(_children(postmaster), signal.SIGKILL)
        self._postgres.kill()
        time.sleep(max(began + seconds - time.monotonic(), 0))
        self._postgres.start()
        self._postgres.wait_until_ready()
        return began, time.monotonic()

    def _every_second(self) -> list[int]:
        asked = (
            "SELECT pid, row_number() OVER (PARTITION BY application_name ORDER BY pid) "
            "FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        with self._connected() as connection:
            return [pid for pid, number in connection.execute(asked).fetchall() if number % 2 == 0]

    def _connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.conninfo, autocommit=True, application_name="truth")


@contextlib.contextmanager
def a_server() -> Iterator[Server]:
    """A server that is gone afterwards, however this process ends."""
    with a_postgres() as postgres:
        yield Server(postgres)


def _children(pid: int) -> list[int]:
    return [each.pid for each in psutil.Process(pid).children(recursive=True)]


def _all(pids: list[int], number: signal.Signals) -> float:
    """Sends a signal to each; when the last had it."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return time.monotonic()
