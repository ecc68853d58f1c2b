"""Whether AWS is a lab that plays it: never where any call would go elsewhere."""

from __future__ import annotations

import http.server
import threading

import pytest

from chaosaws_kms_ext.lab_client import presence
from chaosaws_kms_ext.undo import played_aws
from chaosaws_kms_ext.undo.played_aws import PlayedAws

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers]

REGION = "eu-west-1"


@pytest.fixture(autouse=True)
def _on_lab(lab, monkeypatch):
    monkeypatch.setattr(played_aws, "LOOK_AGAIN", 0.0)
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)


def test_a_lab_says_which_it_is_and_is_there(lab):
    found = PlayedAws.find(REGION)
    assert found == PlayedAws(lab.endpoint, lab.id)
    assert not found.is_gone()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL", None),
        ("AWS_ENDPOINT_URL", "https://kms.eu-west-1.amazonaws.com"),
        ("AWS_ENDPOINT_URL", "http://localhost.example.com:1"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1/proxy"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ENDPOINT_URL", "nonsense"),
        ("AWS_ENDPOINT_URL_KMS", "https://kms.eu-west-1.amazonaws.com"),
        ("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1"),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
    ],
)
def test_where_any_call_goes_elsewhere_it_is_aws(monkeypatch, name, value):
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    assert PlayedAws.find(REGION) is None


class Other(http.server.BaseHTTPRequestHandler):
    """A server on this machine that is no lab: a tunnel, another stand-in."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"lab": ""}')

    def log_message(self, *_):
        pass


@pytest.fixture
def other():
    server = http.server.HTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_what_does_not_say_that_it_is_a_lab_is_none(monkeypatch, other):
    monkeypatch.setenv("AWS_ENDPOINT_URL", other)
    assert PlayedAws.find(REGION) is None


def test_it_is_gone_where_nobody_or_somebody_else_listens(lab, other):
    assert PlayedAws("http://127.0.0.1:1", lab.id).is_gone()
    assert PlayedAws(other, lab.id).is_gone()
    assert PlayedAws(lab.endpoint, "another").is_gone()


def test_one_that_is_slow_or_away_for_a_moment_is_not_gone(lab, monkeypatch):
    answers = iter([True, False])
    monkeypatch.setattr(presence, "is_gone", lambda *_: next(answers))
    assert not PlayedAws(lab.endpoint, lab.id).is_gone()

    def slow(_):
        raise TimeoutError

    monkeypatch.undo()
    monkeypatch.setattr(presence, "_identity", slow)
    assert not PlayedAws(lab.endpoint, lab.id).is_gone()
