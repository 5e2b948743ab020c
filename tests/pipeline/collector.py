"""An OpenTelemetry collector for tests: takes spans by OTLP over HTTP, as protobuf, and keeps them."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class Received:
    """One span, and the service that it is of."""

    span: Span
    service: str

    @property
    def trace_id(self) -> str:
        return self.span.trace_id.hex()

    @property
    def parent_id(self) -> str:
        return self.span.parent_span_id.hex()

    @property
    def attributes(self) -> dict[str, str | int]:
        return {each.key: _value(each) for each in self.span.attributes}


@dataclass
class Collector:
    """What has come so far. url: the base, as it is set in workers."""

    url: str
    spans: list[Received] = field(default_factory=list)

    def named(self, name: str) -> list[Received]:
        return [each for each in self.spans if each.span.name == name]


@contextmanager
def collector() -> Iterator[Collector]:
    """Run a collector on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            right = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
            if right:
                running.spans += _spans(ExportTraceServiceRequest.FromString(body))
            self.send_response(200 if right else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()


def _spans(request: ExportTraceServiceRequest) -> list[Received]:
    return [
        Received(span, str({each.key: _value(each) for each in resource.resource.attributes}["service.name"]))
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _value(attribute: KeyValue) -> str | int:
    kind = attribute.value.WhichOneof("value")
    assert kind in ("string_value", "int_value"), attribute
    found: str | int = getattr(attribute.value, kind)
    return found
