"""Serves the page of a run that goes on, on a loopback address, to whoever has been told where.

Other users of the machine and other web pages are told nothing: the address has a secret part, and
a request with a foreign Host (DNS rebinding), a foreign Origin, or from a page of another site
(`Sec-Fetch-Site`; W3C, Fetch Metadata Request Headers) is refused.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from jinja2 import Environment, PackageLoader, StrictUndefined
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.web import OutputTransform, RequestHandler

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.report.live.viewer import LIVE, WHOLE, open_page
from chaosaws_kms_ext.report.live.watched import Watched
from chaosaws_kms_ext.report.page.timeline import TIME
from chaosaws_kms_ext.report.run_files import PAGE

__all__ = ["CannotServe", "LivePage"]

HOST = "127.0.0.1"

SECRET = 16
"""Random bytes of the address."""

LOOK = 0.5
"""Seconds between two looks at the records."""

STALE = 6.0
"""Seconds without any news after which a page says so."""

MOST_BYTES = 1 << 20
"""Of a message of a page: it sends where it has zoomed to."""

SAME_SITE = ("none", "same-origin")
"""Of an address that somebody typed, and of the page itself."""


class CannotServe(PlainError):
    """There is no page, and why: one sentence."""


class LivePage:
    """The server of one run's page."""

    def __init__(self, watched: Watched, port: int = 0) -> None:
        """Takes the port, 0: a free one; raises CannotServe."""
        for name in ("bokeh", "tornado"):
            logging.getLogger(name).setLevel(logging.ERROR)  # who was refused, for one
        for name in [name for name in os.environ if name.startswith("BOKEH_")]:
            del os.environ[name]  # some let a page ask other hosts, and others ask ours
        self._watched = watched
        secret = secrets.token_urlsafe(SECRET)
        try:
            sockets = bind_sockets(port, HOST)
        except (OSError, OverflowError) as problem:
            raise CannotServe(
                f"port {port} of {HOST} cannot be used: {problem}; give another --port, or none"
            ) from None
        self.port = sockets[0].getsockname()[1]
        hosts = frozenset(f"{name}:{self.port}" for name in (HOST, "localhost"))
        self.address = f"http://{HOST}:{self.port}/{secret}/"
        application = _Guarded(
            hosts, secret, {"/": Application(FunctionHandler(self._open))},
            extra_patterns=[(f"/{PAGE}", _Report, {"watched": watched})],
            use_index=False, redirect_root=False, include_headers=[], include_cookies=[],
            websocket_max_message_size_bytes=MOST_BYTES,
        )  # fmt: skip
        self._loop = IOLoop.current()
        http = HTTPServer(application, max_buffer_size=MOST_BYTES)
        http.add_sockets(sockets)
        self._server = BaseServer(self._loop, application, http)
        self._page = Environment(
            loader=PackageLoader("chaosaws_kms_ext.report.live", "."),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        ).get_template("live.html.jinja")

    def serve(self, goes_on: Callable[[], bool]) -> None:
        """Serves until `goes_on`, which is asked twice a second, says no."""

        def look() -> None:
            if not goes_on():
                self._loop.stop()
                return
            more = self._watched.look()
            # What is left is read as fast as it goes, with room for the pages in between.
            self._loop.call_later(0.01 if more else LOOK, look)

        self._loop.add_callback(look)
        self._server.start()
        try:
            self._loop.start()
        finally:
            self._server.stop(wait=False)

    def _open(self, document: Any) -> None:
        document.title = "chaos kms watch"
        document.template = self._page
        document.template_variables.update(
            script="static/js/bokeh.min.js", axis=TIME, live=LIVE, whole=WHOLE,
            report=PAGE, stale=STALE,
        )  # fmt: skip
        open_page(document, self._watched)


class _Guarded(BokehTornado):
    """Answers what the page needs, and nothing else."""

    def __init__(
        self, hosts: frozenset[str], secret: str, pages: Mapping[str, Any], **more: Any
    ) -> None:
        super().__init__(pages, prefix=secret, extra_websocket_origins=list(hosts), **more)
        self._hosts, self._secret = hosts, secret
        self.add_transform(_headers_for(sorted(hosts)))

    def find_handler(self, request: Any, **more: Any) -> Any:
        """The handler of a request, or one that refuses it."""
        if why := self._refusal(request):
            return self.get_handler_delegate(request, _Refused, {"why": why})
        return super().find_handler(request, **more)

    def _refusal(self, request: Any) -> str:
        headers = request.headers
        if headers.get("Host", "") not in self._hosts:
            return "This page answers at its own address only."
        origin = headers.get("Origin")
        if origin is not None and origin.removeprefix("http://") not in self._hosts:
            return "This page answers no other web page."
        if headers.get("Sec-Fetch-Site", "none") not in SAME_SITE:
            return "This page answers no other web page: type its address."
        path, allowed = request.path, f"/{self._secret}/"
        rest = path.removeprefix(allowed) if path.startswith(allowed) else None
        known = rest in ("", "ws", PAGE) or str(rest).startswith("static/js/")
        return "" if rest is not None and known else "There is nothing here."


def _headers_for(hosts: Sequence[str]) -> type[OutputTransform]:
    """Keeps the page from asking anybody else, and from standing in another page."""
    websockets = " ".join(f"ws://{host}" for host in hosts)
    policy = (
        "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        f"img-src data: blob:; font-src data:; connect-src 'self' {websockets}; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )

    class Headers(OutputTransform):
        def transform_first_chunk(
            self, status_code: int, headers: Any, chunk: bytes, finishing: bool
        ) -> tuple[int, Any, bytes]:
            headers["Content-Security-Policy"] = policy
            headers["Referrer-Policy"] = "no-referrer"
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Cache-Control"] = "no-store"
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
            headers.pop("Server", None)
            return status_code, headers, chunk

    return Headers


class _Refused(RequestHandler):
    def initialize(self, why: str) -> None:
        self._why = why

    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{self._why}\n")


class _Report(RequestHandler):
    """The page that the run has left."""

    def initialize(self, watched: Watched) -> None:
        self._watched = watched

    def get(self) -> None:
        folder = self._watched.folder
        try:
            text = (folder or Path(os.devnull)).joinpath(PAGE).read_bytes()
        except OSError:
            self.set_status(404)
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish("The run has not left its report yet.\n")
            return
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(text)
