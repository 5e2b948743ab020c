"""Health and identity of one worker. Faust's own routes, which show tables and settings to anybody, are off."""

import os
import time
from typing import Any, ClassVar

from faust.web import Request, Response, View
from faust.web.drivers import aiohttp as driver

from atp_stream.contracts.registry import SchemaRegistry
from atp_stream.streaming.worker import Worker


class Web(driver.Web):
    """Faust's web server with nothing on it but the views below."""

    mundane_level = "debug"

    default_blueprints: ClassVar[Any] = []
    production_blueprints: ClassVar[Any] = []
    debug_blueprints: ClassVar[Any] = []
    optional_blueprints: ClassVar[Any] = []


#: A commit that takes longer waits for a broker.
_LONG_COMMIT_SECONDS = 10.0


def add_views(worker: Worker, registry: SchemaRegistry) -> None:
    """Serve `/health/live`, `/health/ready` and `/worker` on the worker's own port."""
    app = worker.app
    app.web = Web(app)

    @app.page("/health/live")
    async def live(view: View, _request: Request) -> Response:
        """Answer for as long as the process does."""
        return view.json({"status": "live"})

    @app.page("/health/ready")
    async def ready(view: View, _request: Request) -> Response:
        """Answer 200 while events are processed, 503 with the reason while they wait."""
        waiting_for = _waiting_for(worker, registry)
        if waiting_for is not None:
            return view.json({"status": "waiting", "for": waiting_for}, status=503)
        return view.json({"status": "ready"})

    @app.page("/worker")
    async def identity(view: View, _request: Request) -> Response:
        """Say which worker this is, which partitions it has, and what it has done since it started."""
        return view.json(_describe(worker))


def _waiting_for(worker: Worker, registry: SchemaRegistry) -> str | None:
    """Return what keeps events waiting, if anything does."""
    since = worker.engine.committing_since
    if since is not None and time.monotonic() - since > _LONG_COMMIT_SECONDS:
        return "a broker: the transaction in hand does not end"
    if worker.engine.gate.opening is None:
        return "partitions: they move, or their state is restored"
    if registry.outage is not None:
        return f"the schema registry: {registry.outage}"
    return None


def _describe(worker: Worker) -> dict[str, Any]:
    counters = worker.engine.counters
    partitions: dict[str, list[int]] = {}
    for tp in sorted(worker.app.consumer.assignment()):
        partitions.setdefault(tp.topic, []).append(tp.partition)
    return {
        "pid": os.getpid(),
        "dataDir": str(worker.options.data_dir),
        "partitions": partitions,
        "transactions": counters.transactions,
        "records": counters.records,
        "aborted": counters.aborted,
        "dropped": counters.dropped,
        "secondsProcessing": round(counters.seconds_processing, 3),
        "secondsCommitting": round(counters.seconds_committing, 3),
    }
