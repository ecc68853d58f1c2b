"""Who is answered: the page that was opened by its whole address, and nobody else."""

from __future__ import annotations

import socket

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.ioloop import IOLoop
from tornado.websocket import websocket_connect

from chaosaws_kms_ext.report.live.server import CannotServe, LivePage
from chaosaws_kms_ext.report.live.watched import Watched
from tests.support.live_page import ask, served_folder
from tests.support.live_runs import LiveRun


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return LiveRun(tmp_path_factory.mktemp("reports"), ago=10)


@pytest.fixture(scope="module")
def page(run):
    with served_folder(run.folder) as its:
        yield its


def test_the_page_is_there_and_asks_nobody_else(page):
    status, text, headers = ask(page.address)
    assert status == 200
    assert text.count("<script") == 3 + 1  # Bokeh, its two of the document, and our own
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["Access-Control-Allow-Origin"] is None
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Server" not in headers
    script = page.address.split(str(page.port))[1] + "static/js/bokeh.min.js"
    assert ask(page.address, script)[0] == 200


def test_it_listens_on_loopback_only(page):
    with socket.socket() as other, pytest.raises(OSError, match="refused"):
        other.connect(("127.0.0.2", page.port))


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1:{port}.evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["", "static/js/bokeh.min.js", "report.html", "ws"])
def test_other_web_pages_are_refused(page, headers, path):
    here = {name: value.format(port=page.port) for name, value in headers.items()}
    where = page.address.split(str(page.port))[1] + path
    status, text, answered = ask(page.address, where, **here)
    assert status == 403
    assert "Bokeh" not in text
    assert answered["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_page_itself_is_answered_by_either_name(page, host):
    its = f"{host}:{page.port}"
    headers = {"Host": its, "Origin": f"http://{its}", "Sec_Fetch_Site": "same-origin"}
    assert ask(page.address, **headers)[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/", "/favicon.ico", "/ws", "/static/js/bokeh.min.js", "/report.html", "{}",
        "{}/metadata", "{}/autoload.js", "{}/static/../../etc/passwd", "{}/../report.html",
        "{}/summary.json", "{}/history/run.json", "{}/static/extensions/x.js", "{}x/",
    ],
)  # fmt: skip
def test_without_the_whole_address_there_is_nothing(page, path):
    secret = page.address.split(str(page.port))[1].rstrip("/")
    status, text, _ = ask(page.address, path.format(secret))
    assert status == 403
    assert text == "There is nothing here.\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_sent_to_it(page, method):
    assert ask(page.address, method=method)[0] in (403, 405)


def test_a_web_page_cannot_open_its_websocket_whatever_the_environment_says(page, monkeypatch):
    monkeypatch.setenv("BOKEH_ALLOW_WS_ORIGIN", "evil.example")
    address = f"{page.address.replace('http', 'ws')}ws"
    request = HTTPRequest(address, headers={"Origin": "http://evil.example"})

    async def connect():
        await websocket_connect(request, subprotocols=["bokeh", "x"])

    with pytest.raises(HTTPClientError, match="403"):
        IOLoop(make_current=False).run_sync(connect)


def test_two_pages_have_two_addresses(run, page):
    with served_folder(run.folder) as other:
        assert other.address.split("/")[3] != page.address.split("/")[3]
        assert len(page.address.split("/")[3]) >= 22


def test_the_report_is_there_when_the_run_has_left_it(tmp_path):
    run = LiveRun(tmp_path, ago=5)
    with served_folder(run.folder) as its:
        where = its.address.split(str(its.port))[1] + "report.html"
        assert ask(its.address, where)[0] == 404
        (run.folder / "report.html").write_text("<!doctype html><title>ü</title>")
        status, text, headers = ask(its.address, where)
        assert (status, text) == (200, "<!doctype html><title>ü</title>")
        assert headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("port", ["taken", 1])
def test_a_port_that_cannot_be_used_is_said(run, page, port, monkeypatch):
    if port == "taken":
        with pytest.raises(CannotServe, match=f"port {page.port} of 127.0.0.1 cannot be used"):
            LivePage(Watched(run.folder, lambda: None, ""), page.port)
