"""Spans for OpenTelemetry: from the trace context in an input's header through ingest and decide (docs/metrics.md).

Only inputs and requests that come with a sampled W3C `traceparent` have spans. They are made when the transaction has
committed, in a thread of their own: the event loop does no more than to pick them out. A collector that is away costs a
warning now and then, and the spans.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from atp_stream.stages.notes import Decided, Ingested
from atp_stream.stages.records import traceparent_of
from atp_stream.streaming.bounded import Hung, bounded
from atp_stream.streaming.committed import Committed

log = logging.getLogger(__name__)

_EXPORT_SECONDS: Final = 5.0
#: How long the last spans may take when the worker ends.
_CLOSE_SECONDS: Final = 3.0
#: Spans that are still to be made. While so many are, no other transaction or request is traced.
_MOST_WAITING: Final = 5_000
_WARN_SECONDS: Final = 60.0

_Note = Ingested | Decided


@dataclass(frozen=True, slots=True)
class _Span:
    """A span to be made. parent: the value of a `traceparent` header. start, end: epoch nanoseconds."""

    name: str
    kind: SpanKind
    parent: str
    attributes: Mapping[str, str | int]
    start: int
    end: int
    is_error: bool = False


class Tracing:
    """Makes spans of what was committed and of requests. `clock` gives epoch nanoseconds."""

    def __init__(
        self, exporter: SpanExporter, service: str, group: str, clock: Callable[[], int] = time.time_ns
    ) -> None:
        resource = Resource.create({"service.name": service, "service.version": version("atp-stream")})
        # Nothing is sampled that does not come sampled; the provider is ours alone, and never the process's.
        self._provider = TracerProvider(ParentBased(ALWAYS_OFF), resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("atp_stream")
        self._context = TraceContextTextMapPropagator()
        self._group = group
        self._clock = clock
        self._waiting: queue.SimpleQueue[tuple[int, Callable[[], list[_Span]]] | None] = queue.SimpleQueue()
        #: How many spans were asked for, by the event loop, and how many of these are done with, in the thread.
        self._asked, self._done = 0, 0
        self._warned = -_WARN_SECONDS
        self._thread = threading.Thread(target=self._run, daemon=True, name="tracing")
        self._thread.start()

    def observe(self, told: Committed) -> None:
        """Take note of a committed transaction. An observer of commits: quick, and raises nothing."""
        found: list[tuple[str, _Note]] = []
        for note in told.notes:
            if isinstance(note, Decided | Ingested) and note.record.headers:
                parent = _sampled(traceparent_of(note.record))
                if parent is not None:
                    found.append((parent, note))
        if found:
            end = self._clock()
            took = told.seconds_processing + told.seconds_committing + told.seconds_writing
            start = end - int(took * 1e9)
            self._put(len(found), lambda: [self._span(parent, note, start, end) for parent, note in found])

    def request(self, parent: str | None, route: str, method: str, status: int, seconds: float) -> None:
        """Take note of a request that was answered. parent: its `traceparent` header, if it has one."""
        sampled = _sampled(parent.encode() if parent is not None else None)
        if sampled is None:
            return
        end = self._clock()
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
        }
        start = end - int(seconds * 1e9)
        span = _Span(f"{method} {route}", SpanKind.SERVER, sampled, attributes, start, end, status >= 500)
        self._put(1, lambda: [span])

    def close(self) -> None:
        """Send what is left, and come back soon in any case."""

        def finish() -> None:
            self._waiting.put(None)
            self._thread.join()
            self._provider.shutdown()

        try:
            bounded(finish, _CLOSE_SECONDS)
        except Hung:
            log.warning("the last spans were not sent within %.0f s", _CLOSE_SECONDS)

    def _put(self, count: int, spans: Callable[[], list[_Span]]) -> None:
        if self._asked - self._done < _MOST_WAITING:
            self._asked += count
            self._waiting.put((count, spans))
            return
        now = time.monotonic()
        if now - self._warned > _WARN_SECONDS:
            self._warned = now
            log.warning("more spans than can be made: some are left out")

    def _run(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            count, spans = waiting
            try:
                for span in spans():
                    self._make(span)
            except Exception:
                log.exception("spans could not be made")
            self._done += count

    def _make(self, span: _Span) -> None:
        made = self._tracer.start_span(
            span.name,
            self._context.extract({"traceparent": span.parent}),
            span.kind,
            span.attributes,
            start_time=span.start,
        )
        if span.is_error:
            made.set_status(Status(StatusCode.ERROR))
        made.end(span.end)

    def _span(self, parent: str, note: _Note, start: int, end: int) -> _Span:
        """Return the span of one input, named and described after OpenTelemetry's conventions for messaging."""
        record, event = note.record, note.event
        name = "decide" if isinstance(note, Decided) else "ingest"
        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.operation.name": name,
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.consumer.group.name": self._group,
            "atp.tenant": event.tenant_id,
            "atp.item": event.item_id,
            "atp.event.id": event.event_id,
            "atp.event.type": event.kind,
        }
        if isinstance(note, Decided):
            attributes["atp.outcome"] = str(note.outcome)
            attributes["atp.outputs"] = len(note.outputs)
        return _Span(name, SpanKind.CONSUMER, parent, attributes, start, end)


def otlp(endpoint: str, service: str, group: str) -> Tracing:
    """Return tracing to a collector. Its certificate and headers are OpenTelemetry's own variables, OTEL_EXPORTER_*."""
    return Tracing(OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=_EXPORT_SECONDS), service, group)


def _sampled(traceparent: bytes | None) -> str | None:
    """Return the header if it asks for spans; whether it is well formed, the propagator finds out later."""
    if traceparent is None or len(traceparent) < 55:
        return None
    try:
        return traceparent.decode("ascii") if int(traceparent[53:55], 16) & 1 else None
    except ValueError:
        return None
