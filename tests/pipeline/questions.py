"""Asking workers over HTTP as a client does: status, headers, and JSON whose numbers are exact decimals."""

import http.client
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from .health import port_of
from .waiting import until
from .worker import WorkerProcess

ATP = "/api/v1/inventory/atp"
_SECONDS = 20.0


@dataclass(frozen=True)
class Reply:
    """One answer. body: parsed, numbers as decimals; `text`: as it came."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text, parse_float=Decimal)

    @property
    def position(self) -> int:
        return int(self.headers["atp-position"])


def send(
    port: int, path: str, headers: Mapping[str, str] | None = None, method: str = "GET", seconds: float = _SECONDS
) -> http.client.HTTPConnection:
    """Ask, and do not wait for the answer: `receive` does. Raises OSError where nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request(method, path, headers=dict(headers or {}))
    except BaseException:
        connection.close()
        raise
    return connection


def receive(connection: http.client.HTTPConnection) -> Reply:
    """Wait for the answer. Raises OSError or HTTPException where there is none."""
    try:
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, named, answer.read().decode())
    finally:
        connection.close()


def get(
    port: int, path: str, headers: Mapping[str, str] | None = None, method: str = "GET", seconds: float = _SECONDS
) -> Reply:
    """Ask once. Raises OSError or HTTPException where nobody answers."""
    return receive(send(port, path, headers, method, seconds))


@dataclass
class Asker:
    """Asks about the items of one tenant."""

    tenant: str

    def ask(self, worker: WorkerProcess, path: str, seconds: float = _SECONDS, **query: Any) -> Reply:
        """Ask a worker that has said its port; the path is that behind `/api/v1/inventory/atp/`."""
        port = port_of(worker)
        assert port is not None, worker.shown()
        target = f"{ATP}/{path}" + (f"?{urlencode(query)}" if query else "")
        return get(port, target, {"X-Tenant-ID": self.tenant}, seconds=seconds)

    def availability(self, worker: WorkerProcess, item: str, channel: str, **query: Any) -> Reply:
        return self.ask(worker, "availability", itemId=item, channel=channel, **query)

    def pools(self, worker: WorkerProcess, item: str, seconds: float = _SECONDS, **query: Any) -> Reply:
        return self.ask(worker, f"pools/{quote(item, safe='')}", seconds, **query)

    def items(self, worker: WorkerProcess, **query: Any) -> Reply:
        return self.ask(worker, "items", **query)

    def pages(self, worker: WorkerProcess, **query: Any) -> list[list[dict[str, Any]]]:
        """All pages of a list."""
        found: list[list[dict[str, Any]]] = []
        cursor: dict[str, str] = {}
        while True:
            reply = self.items(worker, **query, **cursor)
            assert reply.status == 200, reply
            found.append(reply.body["items"])
            if reply.body["nextCursor"] is None:
                return found
            cursor = {"cursor": reply.body["nextCursor"]}


def all_complete(workers: Iterable[WorkerProcess], asker: Asker) -> None:
    """Wait until every worker lists all partitions: whatever moved has arrived."""
    for worker in workers:
        until(
            f"{worker.name} lists everything",
            lambda worker=worker: asker.items(worker, limit=1).status == 200,  # type: ignore[misc]
            worker.shown,
        )
