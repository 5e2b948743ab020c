"""Health and identity of one worker. Faust's own routes, which show tables and settings to anybody, are off."""

import os
import time
from typing import Any, ClassVar

from faust.web import Request, Response, View
from faust.web.drivers import aiohttp as driver

from atp_stream.streaming.health import Facts, Health, State
from atp_stream.streaming.worker import Worker


class Web(driver.Web):
    """Faust's web server with nothing on it but the views below."""

    mundane_level = "debug"

    default_blueprints: ClassVar[Any] = []
    production_blueprints: ClassVar[Any] = []
    debug_blueprints: ClassVar[Any] = []
    optional_blueprints: ClassVar[Any] = []


def add_views(worker: Worker) -> None:
    """Serve `/health/live`, `/health/ready` and `/worker` on the worker's own port."""
    app = worker.app
    app.web = Web(app)

    @app.page("/health/live")
    async def live(view: View, _request: Request) -> Response:
        """Answer 200 for as long as the worker can do its work or will end by itself.

        503: it hangs, and no watchdog will end it. One whose event loop hangs does not answer at all.
        """
        health, _ = worker.check.health()
        if health.state is State.STUCK and not worker.options.watchdog:
            return view.json({"status": "stuck", "for": health.reason}, status=503)
        return view.json({"status": "live"})

    @app.page("/health/ready")
    async def ready(view: View, _request: Request) -> Response:
        """Answer 200 while events are processed, 503 with the reason while they wait."""
        health, facts = worker.check.health()
        return view.json(_told(worker, health, facts), status=200 if health.is_ready else 503)

    @app.page("/worker")
    async def identity(view: View, _request: Request) -> Response:
        """Say which worker this is, which partitions it has, and what it has done since it started."""
        return view.json(_describe(worker))


def _told(worker: Worker, health: Health, facts: Facts) -> dict[str, Any]:
    """Return the health for people and programs. Times in epoch ms, durations in seconds."""
    opening, committed = worker.engine.gate.opening, worker.engine.activity.committed
    left = facts.left
    return {
        "status": "ready" if health.is_ready else "waiting",
        "state": health.state.value,
        "since": round((time.time() - facts.now + (health.since or facts.now)) * 1000),
        "for": health.reason,
        "missingTopics": list(facts.missing),
        "restoringPartitions": left.partitions if left else 0,
        "recordsLeft": left.records if left else 0,
        "secondsLeft": None if left is None or left.seconds is None else round(left.seconds, 1),
        "fetchesWaiting": opening.fetched - opening.taken if opening else 0,
        "recordsBehind": facts.behind,
        "lastCommitAgeSeconds": None if committed is None else round(facts.now - committed, 1),
    }


def _describe(worker: Worker) -> dict[str, Any]:
    counters = worker.engine.counters
    partitions: dict[str, list[int]] = {}
    thread = worker.check.thread
    for tp in sorted(thread.assignment()) if thread is not None else ():
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
