"""A client's session: its connection stays while the database is away, and gets another one then.

Aurora User Guide, rds-proxy.howitworks, "Failover": "Only connections that are in the middle of a
transaction or SQL statement are canceled", and "When the database writer is unavailable, RDS Proxy
queues up incoming requests".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from typing import TYPE_CHECKING

from chaosaws_kms_lab.data_plane.pg_messages import AUTHENTICATED, READY, message
from chaosaws_kms_lab.data_plane.proxy_borrowed import Borrowed, NotNow, Rejected
from chaosaws_kms_lab.data_plane.proxy_client import Client, Told
from chaosaws_kms_lab.data_plane.proxy_requests import Requests
from chaosaws_kms_lab.data_plane.sessions import CHUNK

if TYPE_CHECKING:
    from chaosaws_kms_lab.data_plane.proxy_endpoint import RdsProxy

__all__ = ["Session"]

logger = logging.getLogger(__name__)

LOGIN_WITHIN = 60.0
"""Seconds that a client has to log in (PostgreSQL manual, authentication_timeout)."""

AGAIN = 0.02
"""Seconds between two attempts to connect to a database that is up."""

# Aurora User Guide, rds-proxy.troubleshooting. The SQL states are not documented: of the first,
# clients report the class "connection exception".
TIMED_OUT = ("08000", "Timed-out waiting to acquire database connection.")
NO_LOGIN = (
    "28000",
    "This RDS proxy has no credentials for the role {user}. Check the credentials for this role "
    "and try again.",
)
OF_DATABASE = "Request returned an error: {why}"

_loop = asyncio.get_running_loop


class Session:
    """One client's."""

    def __init__(self, proxy: RdsProxy, end: socket.socket) -> None:
        self.client = Client(end, proxy.context)
        self.borrowed: Borrowed | None = None
        self._proxy = proxy
        self._requests = Requests()
        self._from_database: asyncio.Task[None] | None = None
        self._from_client: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Runs until the client or the proxy ends it."""
        try:
            async with asyncio.timeout(LOGIN_WITHIN):
                await self.client.begin()
                await self.client.show_password(self._password())
            await self._borrow()
            assert self.borrowed is not None
            # Nothing is cancelled by it, but clients may expect one.
            key = message(b"K", secrets.token_bytes(8))
            await self.client.write(AUTHENTICATED + self.borrowed.greeting + key + READY)
            self._from_client = _loop().create_task(self._up())
            await self._from_client
        except Told as why:
            await self._tell(why)
        except (OSError, EOFError, ValueError) as end:  # a TimeoutError is an OSError
            logger.debug("a session of a proxy ended: %r", end)

    def close(self) -> None:
        """Ends both connections; safe to call again."""
        if self._from_database is None or self._from_database.done():
            self.client.socket.close()
            return
        # It may wait for one of the sockets: another could get the number of one that is closed.
        self._from_database.cancel()
        self._from_database.add_done_callback(lambda _: self.client.socket.close())

    def _password(self) -> str:
        password = self._proxy.logins.get(self.client.user)
        if password is None:
            code, text = NO_LOGIN
            raise Told(code, text.format(user=self.client.user))
        return password

    async def _tell(self, why: Told) -> None:
        with contextlib.suppress(OSError):
            await self.client.write(why.message)
            await self.client.end()

    # The database's side

    async def _borrow(self) -> None:
        """Gets a database connection, as soon as there can be one; raises Told."""
        try:
            async with asyncio.timeout(self._proxy.borrow_timeout):
                while True:
                    address = await self._proxy.writer()
                    with contextlib.suppress(NotNow):
                        self.borrowed = await self._connect(address)
                        break
                    await asyncio.sleep(AGAIN)
        except TimeoutError:
            raise Told(*TIMED_OUT) from None
        except Rejected as why:
            text = OF_DATABASE.format(why=why.failure.message)
            raise Told(why.failure.code or "08000", text) from None
        self._from_database = _loop().create_task(self._down(self.borrowed))

    async def _connect(self, address: tuple[str, int]) -> Borrowed:
        """Raises NotNow, Rejected or Told."""
        with self._proxy.open_sockets() as opened:
            made = await Borrowed.open(address, self.client.parameters, self._password(), opened)
            try:
                await made.prepare(self._requests.begin_again())
            except BaseException:
                made.close()
                raise
            return made

    async def _down(self, borrowed: Borrowed) -> None:
        """Passes on what the database says, until it is gone."""
        try:
            await self._pass_on(borrowed)
        finally:
            self.borrowed = None
            if (self._requests.busy or self._requests.pinned) and self._from_client:
                self._from_client.cancel()
            _loop().call_soon(borrowed.close)  # when nobody waits for its socket any more

    async def _pass_on(self, borrowed: Borrowed) -> None:
        with self._proxy.open_sockets() as opened:
            opened(borrowed.socket)
            with contextlib.suppress(OSError, ValueError):
                while data := await _loop().sock_recv(borrowed.socket, CHUNK):
                    theirs = self._requests.answered(data)
                    if theirs:
                        await self.client.write(data[:theirs])
                    if theirs < len(data):
                        break

    # The client's side

    async def _up(self) -> None:
        """Passes on what the client says; without a database connection it waits for one."""
        try:
            while data := await self.client.read():
                self._requests.asked(data)
                if self.borrowed is None:
                    if self._requests.leaves:
                        return
                    await self._borrow()
                assert self.borrowed is not None
                await self.borrowed.send(data)
        except asyncio.CancelledError:
            if self.borrowed is not None:  # the proxy ends
                raise
            await self._cancelled()

    async def _cancelled(self) -> None:
        """The database went away in the middle of something. What a client sees then is not
        documented; clients report that "the server closed the connection unexpectedly"."""
        with contextlib.suppress(OSError):
            await self.client.end()
