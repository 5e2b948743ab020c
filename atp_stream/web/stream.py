"""`GET /api/v1/inventory/atp/stream`: what changes, as server-sent events, over the whole cluster from any worker.

Messages: web/stream_messages.py, docs/board.md.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

from aiohttp.web import Application, Request, StreamResponse
from msgspec import UNSET, Meta, UnsetType

from atp_stream.domain.policy import Policy
from atp_stream.streaming.worker import Worker
from atp_stream.web.auth import TENANT_HEADER, Access, tenant_or_all
from atp_stream.web.cluster import Cluster
from atp_stream.web.forwarding import WORKER, Forwarding
from atp_stream.web.live import Live, Wanted
from atp_stream.web.merging import Merging
from atp_stream.web.parameters import Asked, Channel, Tenant, parse
from atp_stream.web.relaying import Relaying
from atp_stream.web.server import Web
from atp_stream.web.stream_messages import places_of, written
from atp_stream.web.watching import Watching

PATH: Final = "/api/v1/inventory/atp/stream"
_HEARTBEAT_SECONDS: Final = 2.0
_RETRY_MS: Final = 500
#: After which a stream ends and is asked for again: who may see what is looked at anew, as a token may have expired.
_MOST_SECONDS: Final = 600.0
_PASSED_ON: Final = ("Authorization", TENANT_HEADER)


class StreamAsked(Asked, frozen=True):
    """`GET .../stream`."""

    tenant_id: Tenant | UnsetType = UNSET
    q: Annotated[str, Meta(max_length=200, description="Only items whose id begins with this.")] = ""
    channel: Channel | UnsetType = UNSET
    scope: Annotated[
        Literal["cluster", "worker"],
        Meta(description="`worker`: only what the worker that is asked tells of itself and of its own partitions."),
    ] = "cluster"


@dataclass
class Streams:
    """The handler. All its streams end when the web server does."""

    watching: Watching
    forwarding: Forwarding
    relaying: Relaying
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def stream(self, request: Request) -> StreamResponse:
        """Answer with the stream, until the client or the worker goes."""
        asked, tenant = parse(request, StreamAsked), tenant_or_all(request)
        is_own = self.forwarding.is_forwarded(request) or asked.scope == "worker"
        wanted = Wanted(tenant, asked.q, None if asked.channel is UNSET else asked.channel)
        given = request.headers.get("Last-Event-ID")
        known = None if given is None else places_of(given)
        response = StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "X-Accel-Buffering": "no",
                WORKER: self.watching.inspection.own_url,
            }
        )
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        sources = self._own(wanted, known) if is_own else self._merged(request, wanted, known)
        task = asyncio.create_task(_write(response, sources))
        self._open.add(task)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            self._open.discard(task)
            await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled() and (failure := task.exception()) is not None:
            raise failure
        return response

    async def _own(self, wanted: Wanted, known: dict[str, int] | None) -> AsyncGenerator[bytes, None]:
        async with aclosing(self.watching.watch(wanted, known)) as messages:
            async for message in messages:
                assert message.run is not None
                yield written(message, {message.run: message.position})

    async def _merged(
        self, request: Request, wanted: Wanted, known: dict[str, int] | None
    ) -> AsyncGenerator[bytes, None]:
        merging = Merging(self.watching, self.relaying, wanted, _query(wanted), _passed(request), known)
        async with aclosing(merging.messages(_HEARTBEAT_SECONDS)) as messages:
            async for message in messages:
                yield b": \n\n" if message is None else written(message, merging.places)

    async def close(self, _: Application) -> None:
        """End all streams: the server waits for open requests before it ends."""
        for task in self._open:
            task.cancel()
        await self.relaying.close()


async def _write(response: StreamResponse, sources: AsyncGenerator[bytes, None]) -> None:
    """Write until the client goes, as fast as he reads: what he leaves unread waits where it comes from."""
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(_MOST_SECONDS), aclosing(sources):
            await response.write(b"retry: %d\n\n" % _RETRY_MS)
            async for data in sources:
                await response.write(data)


def _query(wanted: Wanted) -> str:
    given = {"tenantId": wanted.tenant, "q": wanted.prefix, "channel": wanted.channel, "scope": "worker"}
    return f"{PATH}?{urlencode({name: value for name, value in given.items() if value})}"


def _passed(request: Request) -> dict[str, str]:
    return {name: request.headers[name] for name in _PASSED_ON if name in request.headers}


def add_stream(web: Web, worker: Worker, policy: Policy, forwarding: Forwarding) -> None:
    """Serve the stream."""
    live, inspection = Live(), worker.inspection
    worker.engine.observers.append(live.observe)
    watching = Watching(live, inspection, policy, Cluster(worker, forwarding).own)
    streams = Streams(watching, forwarding, Relaying(forwarding))
    web.web_app.on_shutdown.append(streams.close)
    web.add(PATH, streams.stream, Access.READ, stream=True)
