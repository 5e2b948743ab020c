"""A worker as the page sees it, with made-up rows: for what real ones cannot be brought to do in seconds."""

import asyncio
import json
import queue
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from atp_stream.web.board import ASSETS, read_asset
from atp_stream.web.headers import SECURITY_HEADERS

_TICK_SECONDS = 0.1
_START_SECONDS = 10.0
#: Decimals travel as text in here and as numbers with two places on the wire.
_DECIMAL = re.compile(r'"(-?\d+\.\d\d)"')


@dataclass
class FakeWorker:
    """Serves the page, and `rows` rows of which `rate` change per second once a stream is open."""

    rows: int
    rate: int = 0
    port: int = 0
    #: Without it nothing is answered; empty: none is needed.
    token: str = ""
    #: Instead of the rows' own.
    on_hand: str = ""
    #: `Last-Event-ID` of each stream that was asked for; None: it begins.
    streams: list[str | None] = field(default_factory=list)
    #: The order of each list that was asked for.
    orders: list[str] = field(default_factory=list)
    #: Messages, name and data, for the stream to tell next.
    news: "queue.SimpleQueue[tuple[str, Any]]" = field(default_factory=lambda: queue.SimpleQueue())
    #: While set, a stream is refused, or a list in the order of attention.
    no_stream: threading.Event = field(default_factory=threading.Event)
    no_attention: threading.Event = field(default_factory=threading.Event)
    #: While set, streams are ended, one after the other as they are asked for.
    drops: threading.Event = field(default_factory=threading.Event)
    _ready: threading.Event = field(default_factory=threading.Event)
    _changes: int = 0

    def row(self, number: int, change: int = 0) -> dict[str, Any]:
        """Row `number` after `change` changes."""
        reserved, shared = number % 7 + change % 5, number % 40
        available = max(0, shared - reserved)
        left = shared - reserved - available
        status = "oversold" if left < 0 else "out" if available == 0 else "low" if available < 5 else "ok"
        parts = dict.fromkeys(("safetyStock", "reservedByOthers", "protectedForOthers", "overLimit"), "0.00")
        return {
            "tenantId": "north",
            "itemId": f"ITEM-{number:05}",
            "channel": "ECOM",
            "onHand": self.on_hand or f"{shared}.00",
            "available": f"{available}.00",
            "reserved": f"{reserved}.00",
            "heldBack": f"{left}.00",
            "heldBackFor": {**parts, "short": f"{left}.00"},
            "status": status,
            "sequence": change + 1,
            "changed": {
                "eventId": f"e-{number}-{change}",
                "kind": "ReservationCreatedEvent",
                "timestamp": time.time_ns() // 1_000_000,
            },
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _check(self, request: web.Request) -> None:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            raise web.HTTPUnauthorized

    async def _items(self, request: web.Request) -> web.Response:
        self._check(request)
        self.orders.append(request.query["order"])
        if self.no_attention.is_set() and self.orders[-1] == "attention":
            return _json({"error": "TOO_MANY_SCANS", "message": "too many lists are asked for"}, status=503)
        start, limit = int(request.query.get("cursor", 0)), int(request.query["limit"])
        page = [self.row(number) for number in range(start, min(self.rows, start + limit))]
        following = start + limit
        cursor = str(following) if following < self.rows else None
        return _json({"items": page, "nextCursor": cursor, "missingPartitions": []})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self._check(request)
        if self.no_stream.is_set():
            return _json({"error": "UNAVAILABLE", "message": "not now"}, status=503)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **SECURITY_HEADERS})
        await response.prepare(request)
        self.streams.append(request.headers.get("Last-Event-ID"))
        worker = {"url": self.url, "state": "processing", "ready": True, "tablePartitions": [0, 1], "lag": 0}
        group = {"asked": self.url, "time": time.time_ns() // 1_000_000, "workers": [worker]}
        await response.write(_event("group", group) + _event("worker", worker))
        try:
            while not self.drops.is_set():
                while not self.news.empty():
                    await response.write(_event(*self.news.get()))
                count = int(self.rate * _TICK_SECONDS)
                rows = [
                    self.row(change * 37 % self.rows, change // self.rows + 1 + change % 3)
                    for change in range(self._changes, self._changes + count)
                ]
                self._changes += count
                events = [
                    {
                        "eventId": f"o-{self._changes}-{at}",
                        "kind": "committed",
                        "timestamp": time.time_ns() // 1_000_000,
                        "tenantId": row["tenantId"],
                        "itemId": row["itemId"],
                        "channel": row["channel"],
                        "quantity": "1.00",
                        "available": None,
                        "reason": None,
                    }
                    for at, row in enumerate(rows)
                ]
                await response.write(
                    _event("rows", {"rows": rows}) + _event("events", {"events": events}) if rows else b": \n\n"
                )
                await asyncio.sleep(_TICK_SECONDS)
        except ConnectionError:
            pass
        return response

    async def _asset(self, request: web.Request) -> web.Response:
        name = request.match_info.get("name", "board.html")
        return web.Response(body=read_asset(name), content_type=ASSETS[name], headers=SECURITY_HEADERS)

    async def _serve(self, stop: asyncio.Event) -> None:
        app = web.Application()
        app.router.add_get("/", self._asset)
        app.router.add_get("/assets/{name}", self._asset)
        app.router.add_get("/api/v1/inventory/atp/items", self._items)
        app.router.add_get("/api/v1/inventory/atp/stream", self._stream)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await stop.wait()
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # of clients that have gone
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    @contextmanager
    def running(self) -> Iterator["FakeWorker"]:
        """Serve while the block lasts."""
        loop, stop = asyncio.new_event_loop(), asyncio.Event()
        thread = threading.Thread(target=lambda: loop.run_until_complete(self._serve(stop)))
        thread.start()
        assert self._ready.wait(_START_SECONDS)
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
            loop.close()


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(text=_on_the_wire(value), content_type="application/json", status=status)


def _event(name: str, value: object) -> bytes:
    return f"id: fake\nevent: {name}\ndata: {_on_the_wire(value)}\n\n".encode()


def _on_the_wire(value: object) -> str:
    return _DECIMAL.sub(r"\1", json.dumps(value))
