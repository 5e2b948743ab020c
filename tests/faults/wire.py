"""Kafka's protocol as far as faults need it: frames, and where the error codes of an answer lie.

The layouts are those of Apache Kafka's message definitions (`clients/src/main/resources/common/message`).
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

PRODUCE, FETCH, METADATA = 0, 1, 3
OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR = 8, 9, 10
JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP = 11, 12, 13, 14
INIT_PRODUCER_ID, ADD_PARTITIONS_TO_TXN, ADD_OFFSETS_TO_TXN = 22, 24, 25
END_TXN, WRITE_TXN_MARKERS, TXN_OFFSET_COMMIT = 26, 27, 28


class Unhandled(Exception):
    """An answer in a version whose layout is not known here; librdkafka or aiokafka have moved on."""


@dataclass(frozen=True)
class Frame:
    """One request or answer. `body`: everything after the length, headers included."""

    api_key: int
    version: int
    correlation: int
    response: bool
    body: bytes

    @property
    def bytes(self) -> bytes:
        """The frame as it goes over the wire."""
        return struct.pack(">i", len(self.body)) + self.body


class Cursor:
    """Reads the fields of a frame one after the other; `flexible` versions have other lengths, and tags (KIP-482)."""

    def __init__(self, body: bytes, position: int, flexible: bool) -> None:
        self.body, self.position, self.flexible = body, position, flexible

    def skip(self, size: int) -> int:
        """Go past a field of fixed size and return where it begins."""
        self.position += size
        return self.position - size

    def number(self, layout: str) -> int:
        """Read one number, as `struct` names its type."""
        (value,) = struct.unpack_from(f">{layout}", self.body, self.skip(struct.calcsize(f">{layout}")))
        return int(value)

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.number("B")
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def string(self) -> str:
        """Read a string; null is empty."""
        size = self._varint() - 1 if self.flexible else self.number("h")
        begin = self.skip(max(size, 0))
        return self.body[begin : self.position].decode()

    def array(self) -> range:
        """Read the length of an array; its entries follow."""
        return range(self._varint() - 1 if self.flexible else self.number("i"))

    def tags(self) -> None:
        """Go past the tagged fields that end a structure of a flexible version."""
        if self.flexible:
            for _ in range(self._varint()):
                self._varint()
                self.skip(self._varint())


def request_cursor(frame: Frame) -> Cursor:
    """Return a cursor on the first field after the header of a request in a version that is not flexible."""
    cursor = Cursor(frame.body, 8, flexible=False)
    cursor.string()  # the client's id
    return cursor


def _after_throttle(cursor: Cursor, version: int) -> Iterator[int]:
    cursor.skip(4)
    yield cursor.skip(2)


def _heartbeat(cursor: Cursor, version: int) -> Iterator[int]:
    cursor.skip(4 if version >= 1 else 0)
    yield cursor.skip(2)


def _by_partition(cursor: Cursor, version: int) -> Iterator[int]:
    cursor.skip(4)
    for _topic in cursor.array():
        cursor.string()
        for _partition in cursor.array():
            cursor.skip(4)
            yield cursor.skip(2)
            cursor.tags()
        cursor.tags()


def _produce(cursor: Cursor, version: int) -> Iterator[int]:
    for _topic in cursor.array():
        cursor.skip(16) if version >= 13 else cursor.string()
        for _partition in cursor.array():
            cursor.skip(4)
            yield cursor.skip(2)
            cursor.skip(24 if version >= 5 else 16)  # base offset, time of append, first offset of the log
            if version >= 8:
                for _record in cursor.array():
                    cursor.skip(4)
                    cursor.string()
                    cursor.tags()
                cursor.string()
            cursor.tags()
        cursor.tags()


def _offset_fetch(cursor: Cursor, version: int, offsets: list[int]) -> Iterator[int]:
    cursor.skip(4 if version >= 3 else 0)
    for _group in cursor.array() if version >= 8 else range(1):
        if version >= 8:
            cursor.string()
        for _topic in cursor.array():
            cursor.skip(16) if version >= 10 else cursor.string()
            for _partition in cursor.array():
                cursor.skip(4)
                offsets.append(cursor.skip(8))
                cursor.skip(4 if version >= 5 else 0)
                cursor.string()
                yield cursor.skip(2)
                cursor.tags()
            cursor.tags()
        if version >= 2:
            yield cursor.skip(2)
        cursor.tags()


@dataclass(frozen=True)
class _Layout:
    errors: Callable[[Cursor, int], Iterator[int]]
    flexible_from: int
    last: int


_LAYOUTS = {
    PRODUCE: _Layout(_produce, 9, 13),
    OFFSET_FETCH: _Layout(lambda cursor, version: _offset_fetch(cursor, version, []), 6, 10),
    HEARTBEAT: _Layout(_heartbeat, 4, 4),
    INIT_PRODUCER_ID: _Layout(_after_throttle, 2, 6),
    ADD_PARTITIONS_TO_TXN: _Layout(_by_partition, 3, 3),
    ADD_OFFSETS_TO_TXN: _Layout(_after_throttle, 3, 4),
    END_TXN: _Layout(_after_throttle, 3, 5),
    TXN_OFFSET_COMMIT: _Layout(_by_partition, 3, 5),
}

#: The requests whose answers `with_error` can change.
CHANGEABLE = frozenset(_LAYOUTS)


def _cursor(frame: Frame) -> Cursor:
    layout = _LAYOUTS.get(frame.api_key)
    if not frame.response or layout is None or frame.version > layout.last:
        kind = "answer" if frame.response else "request"
        raise Unhandled(f"the {kind} of API key {frame.api_key} in version {frame.version} cannot be changed yet")
    cursor = Cursor(frame.body, 4, frame.version >= layout.flexible_from)
    cursor.tags()
    return cursor


def with_error(frame: Frame, code: int) -> bytes:
    """Return the body of an answer with every error code in it replaced. `Unhandled`: not a layout known here."""
    body = bytearray(frame.body)
    for position in _LAYOUTS[frame.api_key].errors(_cursor(frame), frame.version):
        struct.pack_into(">h", body, position, code)
    return bytes(body)


def without_offsets(frame: Frame) -> bytes:
    """Return the body of an answer to OffsetFetch that says of every partition that nothing was committed."""
    if frame.api_key != OFFSET_FETCH:
        raise Unhandled(f"API key {frame.api_key} carries no committed offsets")
    positions: list[int] = []
    list(_offset_fetch(_cursor(frame), frame.version, positions))
    body = bytearray(frame.body)
    for position in positions:
        struct.pack_into(">q", body, position, -1)
    return bytes(body)
