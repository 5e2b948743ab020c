"""A broker that only says where it is and what it understands: as it is told, and so also wrongly."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_METADATA, _API_VERSIONS, _TXN_OFFSET_COMMIT = 3, 18, 28
_UNSUPPORTED_VERSION = 35


@contextmanager
def fake_broker(advertised: str = "", txn_offset_commit: int = 5) -> Iterator[str]:
    """Run it and yield its address. advertised: HOST:PORT that it gives for itself; without one, where it listens."""
    server = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{server.getsockname()[1]}"
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connections.append(connection)
            thread = threading.Thread(
                target=_answer, args=(connection, advertised or address, txn_offset_commit), daemon=True
            )
            thread.start()
            threads.append(thread)

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield address
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        acceptor.join()
        for connection in connections:
            connection.close()
        for thread in threads:
            thread.join()


def _answer(connection: socket.socket, advertised: str, txn_offset_commit: int) -> None:
    try:
        while head := _exactly(connection, 4):
            request = _exactly(connection, struct.unpack(">i", head)[0])
            if not request:  # hung up on: it was no request of Kafka's, as when it is tried whether this speaks TLS
                return
            key, version, correlation = struct.unpack(">hhi", request[:8])
            if key == _API_VERSIONS:
                body = _api_versions(version, txn_offset_commit)
            elif key == _METADATA:
                body = _metadata(advertised)
            else:
                return
            answer = struct.pack(">i", correlation) + body
            connection.sendall(struct.pack(">i", len(answer)) + answer)
    except OSError:
        return


def _api_versions(version: int, txn_offset_commit: int) -> bytes:
    known = {_METADATA: (1, 1), _API_VERSIONS: (0, 0), _TXN_OFFSET_COMMIT: (0, txn_offset_commit)}
    entries = b"".join(struct.pack(">hhh", key, *versions) for key, versions in known.items())
    return struct.pack(">hi", 0 if version == 0 else _UNSUPPORTED_VERSION, len(known)) + entries


def _metadata(advertised: str) -> bytes:
    host, _, port = advertised.rpartition(":")
    broker = struct.pack(">i", 1) + struct.pack(">h", len(host)) + host.encode() + struct.pack(">ih", int(port), -1)
    return struct.pack(">i", 1) + broker + struct.pack(">ii", 1, 0)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            return b""
        data += more
    return data
