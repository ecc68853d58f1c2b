"""The load's own connection: it also waits for what `Sql` sends, with one watcher of the hub.

psycopg makes a selector for each wait. Here one libev watcher looks at the socket as long as the
connection lives, and switches to the greenlet that waits for an answer, if one does.
"""

from __future__ import annotations

from typing import Any

import gevent

from chaosaws_kms_ext.loadgen.client.connection import DeadlineConnection, DeadlinePassed

__all__ = ["LoadConnection"]

READ = 1
"""libev's EV_READ."""

SEND_AGAIN = 0.001
"""Seconds until the rest of a query is sent of which the socket did not take all at once."""


class LoadConnection(DeadlineConnection):
    """A DeadlineConnection for the load's greenlets."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.prepared: set[bytes] = set()
        """Names of the statements that `Sql` has prepared."""
        self._waits: Any = None
        """The greenlet that waits for an answer."""
        self._watcher: Any = None

    def answer(self) -> Any:
        """The last result of what was sent by libpq's own functions, as soon as it is whole.

        Raises psycopg.Error; DeadlinePassed closes the connection: `expire` has to be called a few
        times a second for that.
        """
        connection = self.pgconn
        while connection.flush():
            gevent.sleep(SEND_AGAIN)
        if self._watcher is None:
            self._watcher = gevent.get_hub().loop.io(connection.socket, READ)
            self._watcher.start(self._wake_up)
        result = None
        while True:
            while connection.is_busy():
                self._wait_for_more()
                connection.consume_input()
            found = connection.get_result()
            if found is None:
                return result
            result = found

    def expire(self, now: float) -> None:
        """Ends a wait of `answer` that is over its deadline; `now`: time.monotonic()."""
        if self._waits is not None and self.until is not None and now >= self.until:
            gevent.get_hub().loop.run_callback(self._give_up, self._waits)

    def close(self) -> None:
        """As psycopg closes it."""
        self._look_no_more()
        super().close()

    def abandon(self) -> None:
        """Closes it without a word to the server."""
        self._look_no_more()
        super().abandon()

    def _wait_for_more(self) -> None:
        if not self._watcher.active:
            self._watcher.start(self._wake_up)
        self._waits = gevent.getcurrent()
        try:
            gevent.get_hub().switch()
        except DeadlinePassed:
            self.abandon()
            raise
        finally:
            self._waits = None

    def _wake_up(self) -> None:
        if self._waits is not None:
            self._waits.switch()
        else:
            self._watcher.stop()  # nobody asked: the server has closed it, or says something

    def _give_up(self, waits: Any) -> None:
        if self._waits is waits:
            waits.throw(DeadlinePassed("no answer before the deadline"))

    def _look_no_more(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
