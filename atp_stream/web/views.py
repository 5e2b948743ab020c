"""Health and identity of one worker."""

import os
import time
from typing import Any

import msgspec
from aiohttp.web import Request, Response

from atp_stream.streaming.health import Facts, Health, State
from atp_stream.streaming.worker import Worker
from atp_stream.web.auth import Access, known_principal
from atp_stream.web.server import Web


def add_views(web: Web, worker: Worker) -> None:
    """Serve `/health/live`, `/health/ready` and `/worker`."""

    async def live(_request: Request) -> Response:
        """Answer 200 for as long as the worker can do its work or will end by itself.

        503: it hangs, and no watchdog will end it. One whose event loop hangs does not answer at all.
        """
        health, _ = worker.check.health()
        if health.state is State.STUCK and not worker.options.watchdog:
            return _json({"status": "stuck"}, 503)
        return _json({"status": "live"})

    async def ready(request: Request) -> Response:
        """Answer 200 while events are processed, 503 while they wait; with a token also why, and for how long."""
        health, facts = worker.check.health()
        told = _told(worker, health, facts)
        if known_principal(request) is None:
            told = {name: told[name] for name in ("status", "state")}
        return _json(told, 200 if health.is_ready else 503)

    async def identity(_request: Request) -> Response:
        """Say which worker this is, which partitions it has, and what it has done since it started."""
        return _json(_describe(worker))

    web.add("/health/live", live, Access.PROBE)
    web.add("/health/ready", ready, Access.PROBE)
    web.add("/worker", identity, Access.READ_ALL_TENANTS)


def _json(body: dict[str, Any], status: int = 200) -> Response:
    headers = {"Retry-After": "1"} if status == 503 else None
    return Response(status=status, body=msgspec.json.encode(body), content_type="application/json", headers=headers)


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
