"""A connection through the Kafka proxy: both sides of it, and how they end. In the proxy's thread alone."""

import asyncio
import socket
import struct
from typing import cast

from .door import Door
from .pipe import HeldFrame, Pipe

_RESET = struct.pack("ii", 1, 0)


class Connection:
    """A client's connection and the one to the broker that belongs to it."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.client: asyncio.Transport | None = None
        self.server: asyncio.Transport | None = None
        #: API key and version of the requests that are not answered yet, by correlation id.
        self.requests: dict[int, tuple[int, int]] = {}
        #: Answers still to come of the requests that were sent twice.
        self.doubled: dict[int, int] = {}
        self.held: set[HeldFrame] = set()
        #: Requests of a client that has gone, released since: the broker's side stays open until they are answered.
        self.awaited: set[int] = set()
        self.to_server, self.to_client = Pipe(self, response=False), Pipe(self, response=True)

    @property
    def lost_bytes(self) -> bool:
        """Whether a black hole has swallowed something of it: no real connection goes on after that."""
        return self.to_server.lost_bytes or self.to_client.lost_bytes

    def is_second_answer(self, correlation: int) -> bool:
        """Whether the client has the answer already."""
        return self.doubled.get(correlation) == 1

    def answered(self, correlation: int) -> None:
        """Note that an answer has come from the broker."""
        left = self.doubled.pop(correlation, 1) - 1
        if left:
            self.doubled[correlation] = left
        else:
            self.requests.pop(correlation, None)
        self.awaited.discard(correlation)
        if self.client is None:
            asyncio.get_running_loop().call_soon(self._close_server_if_done)

    def connect(self, client: asyncio.Transport) -> None:
        """Take a client's connection and make the one to the broker."""
        self.client = self.to_server.source = self.to_client.outlet.sink = client
        self.door.connections.add(self)
        if self.door.refused:  # accepted in the moment when the port was closed
            self.cut()
            return
        client.pause_reading()
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(
                lambda: _Side(self, self.to_client, self.to_server), "127.0.0.1", self.door.target
            )
        except OSError:  # the broker is away
            self.cut()

    def connected(self, server: asyncio.Transport) -> None:
        """Take the connection to the broker."""
        self.server = self.to_client.source = self.to_server.outlet.sink = server
        if self.client is None:
            self._close_server_if_done()
        self.to_server.regulate()

    def lost(self, transport: asyncio.Transport) -> None:
        """One of the sides has closed."""
        if transport is self.client:
            self._client_has_gone()
        elif transport is self.server:
            self.server = self.to_client.source = self.to_server.outlet.sink = None
            self.held.clear()
            self.to_client.outlet.flush()
            if self.client is not None:
                self.client.close()
            else:
                self.door.connections.discard(self)

    def _client_has_gone(self) -> None:
        self.client = self.to_server.source = self.to_client.outlet.sink = None
        self.to_server.outlet.flush()
        self._close_server_if_done()

    def _close_server_if_done(self) -> None:
        if any(not each.pipe.response for each in self.held) or self.awaited:
            return
        if self.server is not None:
            self.server.close()
        else:
            self.door.connections.discard(self)

    def cut(self) -> None:
        """Reset both sides."""
        client, server = self.client, self.server
        self.held.clear()
        self.awaited.clear()
        self.to_server.outlet.sink = self.to_client.outlet.sink = None
        for transport in (client, server):
            if transport is not None:
                reset(transport)
        self.door.connections.discard(self)

    def cut_client(self) -> None:
        """Reset the client's side; the broker's stays open for what is held."""
        client = self.client
        if client is not None:
            self._client_has_gone()
            reset(client)


class _Side(asyncio.Protocol):
    """One of the two sides, as asyncio drives it."""

    def __init__(self, connection: Connection, reads: Pipe, writes: Pipe) -> None:
        self._connection, self._reads, self._writes = connection, reads, writes
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._reads.response:
            self._connection.connected(self._transport)
        else:
            self._connection.connect(self._transport)

    def data_received(self, data: bytes) -> None:
        self._reads.feed(data)

    def pause_writing(self) -> None:
        self._writes.outlet.sink_is_full = True
        self._writes.regulate()

    def resume_writing(self) -> None:
        self._writes.outlet.sink_is_full = False
        self._writes.regulate()

    def connection_lost(self, _error: Exception | None) -> None:
        if self._transport is not None:
            self._connection.lost(self._transport)


def accept(door: Door) -> asyncio.Protocol:
    """Return what handles a client's new connection through the door."""
    connection = Connection(door)
    return _Side(connection, connection.to_server, connection.to_client)


def reset(transport: asyncio.Transport) -> None:
    """Close the connection with a TCP reset."""
    found: socket.socket | None = transport.get_extra_info("socket")
    if found is not None and not transport.is_closing():
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
