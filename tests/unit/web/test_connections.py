"""What a connection may do: requests that cannot be read, too many connections, idle ones, clients that do not read."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web as aioweb

from atp_stream.web import connections
from atp_stream.web.auth import Access
from atp_stream.web.server import Web

from .serving import routes, served

REQUEST = b"GET /read HTTP/1.1\r\nHost: localhost\r\n\r\n"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(client: Any) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", client._base_url.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answered(streams: Streams, sent: bytes) -> tuple[int, bytes, bytes]:
    """Send bytes; return status, headers and body of the answer."""
    reader, writer = streams
    writer.write(sent)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
    return int(head[9:12]), head, await reader.readexactly(length)


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "URI_TOO_LONG"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 9_000 + b"\r\n\r\n", 431, "HEADERS_TOO_LARGE"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100 + b"\r\n", 431, "HEADERS_TOO_LARGE"),
        (b"GET / HTTP/1.1\r\nAuthorization: Bearer secret-1\r\nbad header secret-2\r\n\r\n", 400, "BAD_REQUEST"),
        (b"\x16\x03\x01secret-1\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET /secret-1 HTTP/9.9\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "BAD_REQUEST"),
    ],
)
async def test_given_what_is_no_request_of_allowed_size_then_the_answer_is_the_documented_one_without_what_was_sent(
    sent: bytes, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with served() as client, connected(client) as streams:
        found, head, body = await answered(streams, sent)
    assert (found, json.loads(body)["error"]) == (status, code)
    assert set(json.loads(body)) == {"error", "message", "details", "timestamp", "traceId"}
    assert b"nosniff" in head
    assert f"Atp-Trace-Id: {json.loads(body)['traceId']}".encode() in head
    assert b"no-store" in head
    assert b"secret" not in head + body
    assert "secret" not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("path", ["/read", "/nowhere"])
async def test_given_an_expectation_that_nobody_knows_then_the_answer_is_as_without_it(path: str) -> None:
    async with served() as client, connected(client) as streams:
        asked = REQUEST.replace(b"/read", path.encode())
        plain, _, _ = await answered(streams, asked)
        status, head, body = await answered(streams, asked.replace(b"\r\n\r\n", b"\r\nExpect: secret-1\r\n\r\n"))
    assert status == plain
    assert b"secret" not in head + body


async def test_given_more_connections_than_allowed_then_one_that_waits_makes_room_and_who_asks_is_answered() -> None:
    async with served(max_connections=10) as client:
        opened = [await asyncio.open_connection("127.0.0.1", client._base_url.port) for _ in range(50)]  # type: ignore[union-attr]
        assert (await answered(opened[-1], REQUEST))[0] == 200
        closed = [reader for reader, _ in opened[:40]]
        assert await asyncio.wait_for(asyncio.gather(*(reader.read() for reader in closed)), 10) == [b""] * 40
        for streams in opened[40:]:
            assert (await answered(streams, REQUEST))[0] == 200
        for _, writer in opened:
            writer.transport.abort()


async def test_given_connections_that_are_all_busy_when_one_more_comes_then_it_is_503_and_closed() -> None:
    full, go_on, handled = asyncio.Event(), asyncio.Event(), []

    async def waiting(request: aioweb.Request) -> aioweb.Response:
        handled.append(request)
        if len(handled) == 10:
            full.set()
        await go_on.wait()
        return aioweb.Response(text="done")

    def add(web: Web) -> None:
        web.add("/read", waiting, Access.READ)

    async with served(add, max_connections=10) as client:
        busy = [await asyncio.open_connection("127.0.0.1", client._base_url.port) for _ in range(10)]  # type: ignore[union-attr]
        asked = [asyncio.ensure_future(answered(streams, REQUEST)) for streams in busy]
        await asyncio.wait_for(full.wait(), 10)
        async with connected(client) as (reader, _):
            head = await asyncio.wait_for(reader.read(), 10)
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1\r\n" in head
        go_on.set()
        assert [status for status, _, _ in await asyncio.gather(*asked)] == [200] * 10
        for _, writer in busy:
            writer.transport.abort()


@pytest.mark.parametrize("sent", [b"", b"GET /read HT", REQUEST, REQUEST + b"GET /re"])
async def test_given_a_connection_that_makes_no_whole_request_in_time_then_it_is_closed(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.2)
    async with served() as client, connected(client) as (reader, writer):
        writer.write(sent)
        await asyncio.wait_for(reader.read(), 10)  # up to its end


async def test_given_a_connection_that_does_not_come_to_speak_tls_then_it_is_closed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = trustme.CA().issue_cert("127.0.0.1")
    made.private_key_and_cert_chain_pem.write_to_path(tmp_path / "web.pem")
    pem = tmp_path / "web.pem"
    monkeypatch.setattr(connections, "HANDSHAKE_SECONDS", 0.2)
    async with served(tls_certificate=pem, tls_key=pem) as client, connected(client) as (reader, _):
        assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_given_a_client_that_does_not_read_then_its_stream_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = asyncio.Event()

    async def stream(request: aioweb.Request) -> aioweb.StreamResponse:
        response = aioweb.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65_536)
        finally:
            ended.set()

    def add(web: Web) -> None:
        routes(web)
        web.add("/stream", stream, Access.READ, stream=True)

    monkeypatch.setattr(connections, "UNREAD_SECONDS", 0.2)
    async with served(add) as client, connected(client) as (_, writer):
        writer.write(REQUEST.replace(b"/read", b"/stream"))
        await asyncio.wait_for(ended.wait(), 20)
        async with client.get("/read") as answer:
            assert answer.status == 200


async def test_given_a_client_that_reads_late_but_in_time_then_it_is_not_cut_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    to_be_cut, read_on, connection = asyncio.Event(), asyncio.Event(), connections._Connection
    pause, resume = connection.pause_writing, connection.resume_writing

    def pause_writing(self: connections._Connection) -> None:
        pause(self)
        if self._unread is not None:
            to_be_cut.set()

    def resume_writing(self: connections._Connection) -> None:
        resume(self)
        if self._unread is None:
            read_on.set()

    async def large(request: aioweb.Request) -> aioweb.Response:
        return aioweb.Response(body=b"x" * (32 << 20))

    def add(web: Web) -> None:
        web.add("/read", large, Access.READ)

    monkeypatch.setattr(connection, "pause_writing", pause_writing)
    monkeypatch.setattr(connection, "resume_writing", resume_writing)
    async with served(add) as client, connected(client) as (reader, writer):
        writer.write(REQUEST)
        await asyncio.wait_for(to_be_cut.wait(), 10)
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        await asyncio.wait_for(reader.readexactly(32 << 20), 30)
        await asyncio.wait_for(read_on.wait(), 10)
