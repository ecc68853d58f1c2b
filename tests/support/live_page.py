"""A live page that is served beside a test, and what asks it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bokeh.client import pull_session

from chaosaws_kms_ext.report.live.server import LivePage
from chaosaws_kms_ext.report.live.viewer import WHOLE
from chaosaws_kms_ext.report.live.watched import Watched


@contextlib.contextmanager
def served(watched: Watched) -> Iterator[LivePage]:
    """Until the end of the block."""
    ended, ready, pages = threading.Event(), threading.Event(), list[LivePage]()

    def serve() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        pages.append(LivePage(watched))
        ready.set()
        pages[0].serve(lambda: not ended.is_set())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        assert ready.wait(30)
        yield pages[0]
    finally:
        ended.set()
        thread.join(30)
        assert not thread.is_alive()


def served_folder(folder: Path) -> contextlib.AbstractContextManager[LivePage]:
    return served(Watched(folder, lambda: None, ""))


def ask(
    address: str, path: str | None = None, method: str = "GET", **headers: str
) -> tuple[int, str, http.client.HTTPMessage]:
    """The status, the text and the headers of an answer; `Sec_Fetch_Site` for Sec-Fetch-Site."""
    parts = urlsplit(address)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, parts.path if path is None else path, headers=named)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace"), answer.headers
    finally:
        connection.close()


class Viewer:
    """A page that is open, as Bokeh's own client sees it."""

    def __init__(self, address: str) -> None:
        self._session = pull_session(url=address.rstrip("/"))
        self._document = self._session.document

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def hear(self, seconds: float = 0.1) -> None:
        """Takes what the server sends for so long, and the next message after that."""
        end = time.monotonic() + seconds
        self._session._connection._loop_until(lambda: time.monotonic() > end)

    def until(self, condition: Callable[[], Any], timeout: float = 30) -> None:
        """Until this holds; fails the test after `timeout` seconds."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"not within {timeout:g} s: {self.view}"
            self.hear()

    def until_state(self, state: str, timeout: float = 60) -> None:
        self.until(lambda: self.view["state"] == state, timeout)

    @property
    def view(self) -> dict[str, Any]:
        """What it shows beside the timeline."""
        (said,) = self._document.get_model_by_name("live").tags
        view: dict[str, Any] = json.loads(said)
        return view

    def columns(self, source: str) -> dict[str, list[Any]]:
        """Of a data source of the timeline."""
        (found,) = (m for m in self._document.models if m.name == source and hasattr(m, "data"))
        return {name: list(its) for name, its in found.data.items()}

    @property
    def axis(self) -> Any:
        """None: there is no timeline yet."""
        return self._document.get_model_by_name("time")

    def zoom(self, start: float, end: float) -> None:
        """As by a tool of the timeline."""
        self.axis.update(start=start, end=end)
        self._session.force_roundtrip()

    def show_whole(self) -> None:
        """As by the button."""
        self.axis.tags = [WHOLE, time.monotonic_ns()]
        self._session.force_roundtrip()
