"""Output events in the short form in which they are compared: what was expected and what was seen give equal bytes."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from atp_stream.contracts.catalogue import OUTPUT_TOPICS
from atp_stream.domain.events import (
    AllocationBackordered,
    AllocationCommitted,
    AllocationReleased,
    AvailabilityCalculated,
    Fact,
    ReservationDenied,
)
from atp_stream.domain.quantity import format_quantity

KINDS: Final = tuple(OUTPUT_TOPICS)
"""Event types; the index into it stands for the kind, and for its topic."""
TOPICS: Final = tuple(topic for topic, _ in OUTPUT_TOPICS.values())

AVAILABILITY, COMMITTED, RELEASED, DENIED, BACKORDERED = (
    KINDS.index(fact.kind)
    for fact in (
        AvailabilityCalculated,
        AllocationCommitted,
        AllocationReleased,
        ReservationDenied,
        AllocationBackordered,
    )
)

_FIELDS: Final[Mapping[int, tuple[tuple[str, str], ...]]] = {
    # Name in the schema, name in the domain.
    AVAILABILITY: (("channel", "channel"), ("available", "available"), ("reserved", "reserved")),
    COMMITTED: (("allocationId", "allocation_id"), ("channel", "channel"), ("quantity", "quantity")),
    RELEASED: (
        ("allocationId", "allocation_id"),
        ("channel", "channel"),
        ("quantity", "quantity"),
        ("reason", "reason"),
    ),
    DENIED: (
        ("reservationId", "reservation_id"),
        ("channel", "channel"),
        ("quantity", "quantity"),
        ("available", "available"),
        ("reason", "reason"),
    ),
    BACKORDERED: (
        ("reservationId", "reservation_id"),
        ("channel", "channel"),
        ("quantity", "quantity"),
        ("available", "available"),
    ),
}
_QUANTITIES: Final = frozenset({"available", "reserved", "quantity"})

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, int, str, str, list[Any]]).decode


class Packed(NamedTuple):
    """An output without its number: kind (index), timestamp, causation id, rules version, fields as in the schema."""

    kind: int
    timestamp: int
    cause: str
    version: str
    fields: list[Any]

    @property
    def channel(self) -> str:
        """The channel, which each kind has."""
        return str(self.fields[0 if self.kind == AVAILABILITY else 1])

    @property
    def quantity(self) -> int:
        """What was committed, released or refused, in hundredths."""
        return int(self.fields[2])

    def named(self) -> dict[str, str]:
        """Return everything by name, written for people."""
        fields = {
            name: format_quantity(value) if name in _QUANTITIES else str(value)
            for (name, _), value in zip(_FIELDS[self.kind], self.fields, strict=True)
        }
        return {
            "event": KINDS[self.kind],
            **fields,
            "timestamp": str(self.timestamp),
            "causation-id": self.cause,
            "rules-version": self.version,
        }

    def __str__(self) -> str:
        named = self.named()
        event = named.pop("event").removesuffix("Event")
        return f"{event} {' '.join(f'{name}={named[name]}' for name, _ in _FIELDS[self.kind])}"


def pack_fact(fact: Fact, timestamp: int, cause: str, version: str) -> bytes:
    """Return a fact that was decided."""
    kind = KINDS.index(fact.kind)
    values = [getattr(fact, name) for _, name in _FIELDS[kind]]
    return _encode((kind, timestamp, cause, version, values))


def pack_record(kind: int, record: Mapping[str, Any], cause: str, version: str) -> bytes:
    """Return an output as it was read, decimals as bytes. KeyError, TypeError: a field is missing or wrong."""
    values = [
        int.from_bytes(record[name], "big", signed=True) if name in _QUANTITIES else record[name]
        for name, _ in _FIELDS[kind]
    ]
    return _encode((kind, record["timestamp"], cause, version, values))


def unpack(data: bytes) -> Packed:
    """Return what was packed."""
    return Packed(*_decode(data))


def contrast(expected: Packed, found: Packed) -> tuple[str, str]:
    """Return what differs between two, for people: expected and found."""
    ours, theirs = expected.named(), found.named()
    names = [name for name in ours | theirs if ours.get(name) != theirs.get(name)]
    return (
        " ".join(f"{name}={ours.get(name, '-')}" for name in names),
        " ".join(f"{name}={theirs.get(name, '-')}" for name in names),
    )
