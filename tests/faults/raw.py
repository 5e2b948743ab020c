"""Requests that no client library makes for us, over a connection of their own."""

import socket
import struct
from collections.abc import Iterable
from io import BytesIO
from typing import Any

from aiokafka.protocol.api import RequestHeader_v1

from .wire import Cursor

_SECONDS = 10.0
_CLIENT = "faults"

#: What ends a structure of a flexible version that has no tagged fields.
NO_TAGS = b"\0"


def ask(server: str, request: Any) -> Any:
    """Send one request of `aiokafka.protocol` (a version without tags) to `host:port`, and return the answer."""
    body = RequestHeader_v1(request, 1, _CLIENT).encode() + request.encode()
    return request.RESPONSE_TYPE.decode(BytesIO(_exchange(server, body)[4:]))


def ask_flexible(server: str, api_key: int, version: int, body: bytes) -> Cursor:
    """Send a request in a flexible version (KIP-482) to `host:port`; return a cursor on the answer's first field."""
    header = struct.pack(">hhih", api_key, version, 1, len(_CLIENT)) + _CLIENT.encode() + NO_TAGS
    cursor = Cursor(_exchange(server, header + body), 4, flexible=True)
    cursor.tags()
    return cursor


def compact_string(text: str) -> bytes:
    """Return a string as flexible versions have it."""
    encoded = text.encode()
    return _varint(len(encoded) + 1) + encoded


def compact_array(entries: Iterable[bytes]) -> bytes:
    """Return an array of encoded entries as flexible versions have it."""
    encoded = list(entries)
    return _varint(len(encoded) + 1) + b"".join(encoded)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _exchange(server: str, body: bytes) -> bytes:
    host, port = server.rsplit(":", 1)
    with socket.create_connection((host, int(port)), _SECONDS) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        with connection.makefile("rb") as answer:
            size = int.from_bytes(answer.read(4), "big")
            whole = answer.read(size)
            if not size or len(whole) < size:
                raise ConnectionError(f"{server} closed the connection instead of answering")
            return whole
