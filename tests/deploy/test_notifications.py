"""What Chaos Toolkit's own notifications say of a run, to a receiver on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from chaosaws_kms_ext.shipped import experiment
from tests.support.labs import program

pytestmark = pytest.mark.deploy

PAGE = Path(__file__).parents[2] / "docs" / "scheduling.md"


@pytest.fixture
def received():
    """What was posted, as it comes."""
    found = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", found
        server.shutdown()


def test_the_settings_of_the_page_tell_a_receiver_the_verdict(tmp_path, received):
    url, found = received
    (text,) = PAGE.read_text().split("```yaml\n")[1:]
    settings = yaml.safe_load(text.split("```")[0])
    settings["notifications"][0]["url"] = url
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    done = subprocess.run(
        [
            program("chaos"), "--no-version-check", "--settings", "settings.yaml",
            "kms", "run", str(experiment("kms-disable")),
        ],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CHAOS_LOAD_RATE": "none"},
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    (told,) = found
    assert told["name"] == "run-failed"
    assert told["payload"]["kms"]["verdict"] == "refused"
