"""The workers of the group, as each of them says of itself."""

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

import msgspec
from aiohttp import web

from atp_stream.streaming.worker import Worker
from atp_stream.web.errors import ApiError
from atp_stream.web.forwarding import WORKER, Forwarding
from atp_stream.web.models import Restoring, WorkerInfo, Workers, encode
from atp_stream.web.parameters import NothingAsked, parse

_workers = msgspec.json.Decoder(Workers)


@dataclass
class Cluster:
    """The handler."""

    worker: Worker
    forwarding: Forwarding
    _began: float = field(default_factory=time.monotonic)

    async def workers(self, request: web.Request) -> web.Response:
        """`GET /api/v1/workers`."""
        parse(request, NothingAsked)
        own_url, known = self.worker.inspection.own_url, self.worker.inspection.workers()
        own = self.own(known.get(own_url, ()))
        if self.forwarding.is_forwarded(request):
            found = [own]
        else:
            others = [self._other(request, url, held) for url, held in known.items() if url != own_url]
            found = sorted([own, *await asyncio.gather(*others)], key=lambda each: each.url)
        headers = {WORKER: own_url}
        return web.Response(body=encode(Workers(own_url, found)), content_type="application/json", headers=headers)

    def own(self, held: Sequence[int]) -> WorkerInfo:
        """Return what this worker says of itself. held: its table partitions, as the group settled."""
        worker = self.worker
        health, facts = worker.check.health()
        counters = worker.engine.counters
        left = facts.left
        partitions: dict[str, list[int]] = {}
        thread = worker.check.thread
        for tp in sorted(thread.assignment()) if thread is not None else ():
            partitions.setdefault(tp.topic, []).append(tp.partition)
        return WorkerInfo(
            url=worker.inspection.own_url,
            state=health.state.value,
            ready=health.is_ready,
            table_partitions=tuple(held),
            pid=os.getpid(),
            host=socket.gethostname(),
            version=version("atp-stream"),
            uptime_seconds=round(time.monotonic() - self._began, 1),
            reason=health.reason or None,
            partitions=partitions,
            lag=facts.behind,
            restoring=None if left is None else Restoring(left.partitions, left.records, left.seconds),
            transactions=counters.transactions,
            records=counters.records,
        )

    async def _other(self, request: web.Request, url: str, held: Sequence[int]) -> WorkerInfo:
        """Ask another worker for what it says of itself; one that does not answer is listed as such."""
        try:
            answer = await self.forwarding.ask(request, url)
            if answer.status == 200:
                (found,) = _workers.decode(answer.body).workers
                return found
            reason = f"it answers {answer.status}"
        except (ApiError, ValueError) as failure:
            reason = str(failure)
        return WorkerInfo(url=url, state="unreachable", ready=False, table_partitions=tuple(held), reason=reason)
