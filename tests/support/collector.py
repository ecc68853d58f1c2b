"""A collector of traces: takes OTLP over HTTP, as protobuf, and keeps the spans."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

__all__ = ["Collector", "collector", "traced"]

PAGE = Path(__file__).parents[2] / "docs" / "other-tools.md"


def traced(experiment: dict[str, Any]) -> dict[str, Any]:
    """The experiment, with the control of Chaos Toolkit's that the page shows as its first."""
    (control,) = re.findall(r"```json\n(.*?chaostracing.*?)```", PAGE.read_text(), re.DOTALL)
    return {**experiment, "controls": [json.loads(control), *experiment["controls"]]}


class Collector:
    """What came so far."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.spans: list[Span] = []
        self.bytes = b""

    def named(self, name: str) -> list[Span]:
        """The spans of this name."""
        return [each for each in self.spans if each.name == name]

    def above(self, span: Span) -> list[str]:
        """The names of the spans that it is in, the nearest first."""
        by_id = {each.span_id: each for each in self.spans}
        found = []
        while (parent := by_id.get(span.parent_span_id)) is not None:
            found.append(parent.name)
            span = parent
        return found


@contextlib.contextmanager
def collector() -> Iterator[Collector]:
    """Listens on a loopback port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            request = ExportTraceServiceRequest.FromString(body)
            taken.bytes += body
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    taken.spans.extend(scope.spans)
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        taken = Collector(server.server_port)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield taken
        server.shutdown()
        thread.join(10)
