"""RDS' side of IAM database authentication: asks for a token, verifies it, and lets in."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import struct
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qsl, quote, urlsplit

from chaosaws_kms_lab.data_plane.certificates import Certificates
from chaosaws_kms_lab.data_plane.tls_proxy import TlsProxies
from tests.support.postgres import free_port

LIFETIME = timedelta(minutes=15)
CLEARTEXT = b"R" + struct.pack("!ii", 8, 3)
BEHIND = "127.128.0.1"
"""Where nobody looks, behind what takes TLS off."""


@contextlib.contextmanager
def standing_before(
    server: tuple[str, int], region: str, secret: str, folder: Path
) -> Iterator[TokenGate]:
    """A gate at 127.0.0.1 under TLS, whose certificate authority is `folder`/tls/ca.pem."""
    fronts = TlsProxies(Certificates.make(folder / "tls", ["127.0.0.1"]).context())
    with TokenGate(server, free_port(), region, secret) as gate, contextlib.closing(fronts):
        fronts.new_proxy().open(["127.0.0.1"], gate.port, BEHIND)
        yield gate


class TokenGate:
    """Stands before a server that trusts everybody."""

    def __init__(self, server: tuple[str, int], port: int, region: str, secret: str) -> None:
        """Tokens must be for `signed_for`, in `region`, signed with the `secret` access key."""
        self._server, self.port, self._region = server, port, region
        self.secret = secret
        self.signed_for = f"127.0.0.1:{port}"
        self.lifetime = LIFETIME
        self.taken: list[datetime] = []
        """When the tokens were signed that were good."""
        self.refused: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> TokenGate:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, BEHIND, self.port, backlog=200)

    async def _close(self) -> None:
        self._listener.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            startup = await _message(reader)
            words = startup[8:].split(b"\0")
            parameters = dict(zip(words[::2], words[1::2], strict=False))
            writer.write(CLEARTEXT)
            assert await reader.readexactly(1) == b"p"
            token = (await _message(reader))[4:-1].decode()
            if why := self.wrong(token, parameters[b"user"].decode()):
                self.refused.append(why)
                writer.write(_fatal(f"PAM authentication failed: {why}"))
                await writer.drain()
                writer.close()
                return
            there_reader, there_writer = await asyncio.open_connection(*self._server)
            there_writer.write(startup)
            await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        except (OSError, EOFError, asyncio.CancelledError):
            writer.transport.abort()

    def wrong(self, token: str, user: str) -> str:
        """What is wrong with a token; nothing if it is good (General Reference, "Signature Version
        4 signing process", with the parameters in the query)."""
        url = urlsplit(f"https://{token}")
        query = dict(parse_qsl(url.query, strict_parsing=True))
        signature = query.pop("X-Amz-Signature", "")
        signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        scope = f"{signed:%Y%m%d}/{self._region}/rds-db/aws4_request"
        for said, wanted in (
            (url.netloc, self.signed_for),
            (query["Action"], "connect"),
            (query["DBUser"], user),
            (query["X-Amz-Credential"].partition("/")[2], scope),
            (signature, self._signature(query, scope)),
        ):
            if said != wanted:
                return f"{said} is not {wanted}"
        if datetime.now(UTC) - signed > self.lifetime:
            return "it has expired"
        self.taken.append(signed)
        return ""

    def _signature(self, query: dict[str, str], scope: str) -> str:
        ordered = "&".join(f"{quote(k, '')}={quote(v, '')}" for k, v in sorted(query.items()))
        nothing = hashlib.sha256(b"").hexdigest()
        request = f"GET\n/\n{ordered}\nhost:{self.signed_for}\n\nhost\n{nothing}"
        digest = hashlib.sha256(request.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{digest}"
        key = f"AWS4{self.secret}".encode()
        for part in (*scope.split("/"), to_sign):
            key = hmac.digest(key, part.encode(), "sha256")
        return key.hex()


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(4)
    return head + await reader.readexactly(struct.unpack("!i", head)[0] - 4)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


def _fatal(message: str) -> bytes:
    fields = b"".join(part.encode() + b"\0" for part in ("SFATAL", "C28000", f"M{message}", ""))
    return b"E" + struct.pack("!i", len(fields) + 4) + fields


def asks(data, user, how="scram-sha-256"):
    """From the next reload on, the server asks this user for a password."""
    hba = data / "pg_hba.conf"
    hba.write_text(f"host all {user} all {how}\n{hba.read_text()}")
