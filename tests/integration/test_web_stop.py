"""A worker that is asked to end does so soon, whoever has a connection to it open, and says so to who waits."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.pipeline.fixtures import Deploy
from tests.pipeline.health import port_of

API = "/api/v1/inventory/atp"
#: From SIGTERM to the end of the process; some 2 s on a quiet machine. A supervisor gives 10 s at least.
STOPS_WITHIN_SECONDS = 10.0


@contextmanager
def connected(port: int, sent: str, receives: int | None = None) -> Iterator[socket.socket]:
    with ExitStack() as stack:
        connection = stack.enter_context(socket.socket())
        if receives is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", port))
        connection.sendall(sent.encode())
        yield connection


def request(path: str, more: str = "") -> str:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n"


def test_given_open_streams_kept_alive_connections_and_waiting_requests_when_a_worker_is_stopped_then_it_ends_soon(
    deploy: Deploy,
) -> None:
    deployment = deploy()
    worker = deployment.worker().start().ready()
    deployment.publish(deployment.core.stock("item-1", "10.00"))
    deployment.verify()
    port = port_of(worker)
    assert port is not None
    tenant = f"X-Tenant-ID: {deployment.core.tenant}\r\n"
    with ExitStack() as stack:
        stream = request(f"{API}/stream")
        read = [stack.enter_context(connected(port, stream)) for _ in range(20)]
        for each in read:
            assert each.recv(1000).startswith(b"HTTP/1.1 200 ")
        # More than the buffers between both hold, of which nothing is read.
        stack.enter_context(connected(port, request("/docs") * 200, receives=1024))
        waiting = stack.enter_context(connected(port, request(f"{API}/pools/item-1?minPosition=9999", tenant)))
        kept = stack.enter_context(connected(port, request("/health/live")))
        assert kept.recv(1000).startswith(b"HTTP/1.1 200 ")
        stack.enter_context(connected(port, "GET /health/live HT"))
        stack.enter_context(connected(port, ""))
        began = time.monotonic()
        assert worker.stop() == 0
        took = time.monotonic() - began
        answer = waiting.recv(4000)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 1\r\n" in answer
    assert took < STOPS_WITHIN_SECONDS
