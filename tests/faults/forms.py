"""The documented forms of keys, outputs and state, written anew: nothing here comes from the package."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from io import BytesIO
from typing import Any

import msgspec
from fastavro import schemaless_writer

from tests.pipeline.item import Held, Item
from tests.pipeline.oracle import output_schema

WATERMARK = b"/watermark"
STORED_UP_TO = b"/offset"
_VERSION = b"\x02"


def escaped(name: str) -> str:
    """An id as it stands in a key."""
    return name.replace("%", "%25").replace("/", "%2F")


def item_key(event: Mapping[str, Any]) -> bytes:
    """The key of the item that an input is about."""
    return f"{escaped(event['tenantId'])}/{escaped(event['itemId'])}".encode()


@lru_cache(maxsize=100_000)
def murmur2(key: bytes) -> int:
    """Java's murmur2 of a key, made positive as its default partitioner does."""
    mask, factor = 0xFFFFFFFF, 0x5BD1E995
    found = 0x9747B28C ^ len(key)
    whole = len(key) & ~3
    for at in range(0, whole, 4):
        four = int.from_bytes(key[at : at + 4], "little") * factor & mask
        found = (found * factor & mask) ^ ((four ^ four >> 24) * factor & mask)
    if whole < len(key):
        found = (found ^ int.from_bytes(key[whole:], "little")) * factor & mask
    found = (found ^ found >> 13) * factor & mask
    return (found ^ found >> 15) & 0x7FFFFFFF


def output_value(schema_id: int, event: Mapping[str, Any]) -> bytes:
    """An output in the Confluent wire format. What is no field of its schema is passed over."""
    stream = BytesIO()
    stream.write(b"\x00" + schema_id.to_bytes(4, "big"))
    schemaless_writer(stream, output_schema(event["event-type"]), event)
    return stream.getvalue()


def output_headers(event: Mapping[str, Any], trace: bytes | None) -> tuple[tuple[str, bytes], ...]:
    """The headers of an output."""
    named = ("event-type", "causation-id", "sequence", "rules-version")
    traced = () if trace is None else (("traceparent", trace),)
    return (*((name, str(event[name]).encode()) for name in named), *traced)


def item_value(item: Item) -> bytes | None:
    """An item's entry in the table; None: it has none, as nothing has changed it yet."""
    if not item.places and not item.emitted:
        return None
    on_hand: dict[str, dict[str, list[int]]] = {}
    for (location, channel), (amount, as_of) in item.places.items():
        on_hand.setdefault(location, {})[channel or ""] = [hundredths(amount), as_of]
    committed = {channel: hundredths(amount) for channel, amount in item.committed.items()}
    emitted = {channel: [hundredths(amount) for amount in pair] for channel, pair in item.emitted.items()}
    return _packed([item.sequence, on_hand, committed, emitted, item.changed])


def reservation_value(held: Held) -> bytes:
    """A reservation's entry in the table."""
    return _packed([held.status, held.channel, hundredths(held.quantity), held.allocation, held.releases])


def watermark_value(offsets: Mapping[str, int]) -> bytes:
    """The record that says which source offsets go with the state of a partition."""
    return json.dumps(dict(sorted(offsets.items())), separators=(",", ":")).encode()


def shown(key: bytes, value: bytes | None) -> str:
    """An entry of the table, for people."""
    if value is None or key == WATERMARK or value[:1] != _VERSION:
        return repr(value)
    try:
        return repr(msgspec.msgpack.decode(value[1:]))
    except msgspec.DecodeError:
        return repr(value)


def hundredths(amount: Decimal) -> int:
    """Exactly: what has more than two decimals is a bug of the checker."""
    found = int(amount * 100)
    assert found == amount * 100
    return found


def _packed(entry: Sequence[object]) -> bytes:
    return _VERSION + msgspec.msgpack.encode(entry, order="sorted")
