"""Attaches metrics, traces and the log of dead letters to a worker and its web server."""

from collections.abc import Callable, Mapping

from aiohttp.web import Request, Response

from atp_stream.errors import ConfigurationError
from atp_stream.settings import Settings
from atp_stream.streaming.worker import Worker
from atp_stream.telemetry.commits import CommitCounts
from atp_stream.telemetry.dead_letter_log import DeadLetterLog
from atp_stream.telemetry.metrics import Metrics
from atp_stream.telemetry.requests import RequestCounts
from atp_stream.telemetry.scrape import Scrape
from atp_stream.web.auth import Access
from atp_stream.web.server import Web


def attach_telemetry(settings: Settings, worker: Worker, web: Web, passed_on: Mapping[str, int]) -> Callable[[], None]:
    """Serve `/metrics`, and observe commits and requests. Returns what is to be called when the worker has ended.

    passed_on: how many queries were passed on to other workers, by what came of it. ConfigurationError: traces are
    asked for, and what makes them is not installed.
    """
    engine = worker.engine
    metrics = Metrics()
    for topic, source_topic in settings.topics.sources.items():
        metrics.events_in.labels(topic, source_topic.event)
        if not source_topic.keyed_by_item:
            metrics.events_in.labels(settings.topics.changes, source_topic.event)
    stateful = frozenset(topic for topic, source in engine.sources.items() if source.stateful)
    engine.observers += [CommitCounts(metrics, stateful), DeadLetterLog()]
    web.guard.observers.append(RequestCounts(metrics))
    scrape = Scrape(metrics, worker, web, passed_on)

    async def serve(request: Request) -> Response:
        """Answer what Prometheus scrapes."""
        body, content_type = scrape.render(request.headers.get("Accept", ""))
        return Response(body=body, headers={"Content-Type": content_type})

    web.add("/metrics", serve, Access.READ_ALL_TENANTS)
    return _attach_traces(settings, worker, web)


def _attach_traces(settings: Settings, worker: Worker, web: Web) -> Callable[[], None]:
    telemetry = settings.telemetry
    if telemetry.otlp_endpoint is None:
        return lambda: None
    try:
        from atp_stream.telemetry.tracing import otlp  # not at the top: it needs an extra
    except ModuleNotFoundError as missing:
        if not (missing.name or "").startswith("opentelemetry"):
            raise
        raise ConfigurationError(
            "traces are asked for, and OpenTelemetry is not installed",
            cause=f"the Python package {missing.name!r} is missing",
            setting="telemetry.otlp_endpoint",
            fix="pip install 'atp-stream[otel]', or remove the setting",
        ) from missing
    tracing = otlp(telemetry.otlp_endpoint, telemetry.service_name, worker.options.group)
    worker.engine.observers.append(tracing.observe)
    web.guard.observers.append(
        lambda answered: tracing.request(
            answered.traceparent, answered.route, answered.method, answered.status, answered.seconds
        )
    )
    return tracing.close
