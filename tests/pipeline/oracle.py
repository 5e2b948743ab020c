"""What has to come out, worked out as plainly as possible from the changes log, by the rules of design section 3.

Shares nothing with the package but the schema files: Avro by fastavro's decimals, ids by the standard library's uuid5.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_reader

from .core import schema_named
from .item import AVAILABILITY, COMMITTED, DENIED, GIVEN_BACK, Item, Policy
from .log import Entry

__all__ = ["AVAILABILITY", "COMMITTED", "DENIED", "GIVEN_BACK", "OUTPUTS", "Item", "Policy", "check", "replay"]

OUTPUTS = {
    AVAILABILITY: "inventory.atp.availability.calculated",
    COMMITTED: "inventory.atp.allocation.committed",
    GIVEN_BACK: "inventory.atp.allocation.released",
    DENIED: "inventory.atp.reservation.denied",
}

_BY_TOPIC = {topic: kind for kind, topic in OUTPUTS.items()}
#: A trace is handed on as it is.
_NOT_COMPARED = {"traceparent"}


def decode_input(entry: Entry, schemas: Mapping[int, Any]) -> tuple[str, dict[str, Any]]:
    """Event type and fields of an input, Avro by the schema of its id or JSON; quantities as decimals."""
    assert entry.value is not None
    if entry.value[:1] == b"{":
        envelope = json.loads(entry.value)
        event = {name: envelope[name] for name in ("eventId", "tenantId")} | envelope["payload"]
        event["timestamp"] = round(datetime.fromisoformat(envelope["timestamp"]).timestamp() * 1000)
        for name in {"quantity", "onHand"} & event.keys():
            event[name] = Decimal(event[name])
        return envelope["eventType"], event
    schema = schemas[int.from_bytes(entry.value[1:5], "big")]
    found = schemaless_reader(BytesIO(entry.value[5:]), parse_schema(schema), None)
    assert isinstance(found, dict)
    return schema["name"], found


def replay(changes: Iterable[Entry], schemas: Mapping[int, Any], policy: Policy) -> dict[bytes, Item]:
    """Every item by its key, after all of `changes`, in which each item's are in order."""
    items: dict[bytes, Item] = {}
    for entry in changes:
        kind, event = decode_input(entry, schemas)
        key = f"{event['tenantId']}/{event['itemId']}".encode()
        assert entry.key == key, f"{entry} is not under the key of its item"
        assert items.setdefault(key, Item(policy)).apply(kind, event), f"{entry} is beyond what can be carried"
    for item in items.values():
        item.check_sums()
    return items


@cache
def output_schema(kind: str) -> Any:
    """The schema of an output, with times as the plain numbers that they are."""
    schema = schema_named(kind)
    for each in schema["fields"]:
        each.pop("logicalType", None)
    return parse_schema(schema)


def decode_output(entry: Entry) -> dict[str, Any]:
    """Headers and fields of an output in one."""
    assert entry.value is not None
    kind = _BY_TOPIC[entry.topic]
    fields = schemaless_reader(BytesIO(entry.value[5:]), output_schema(kind), None)
    assert isinstance(fields, dict)
    headers = {name: (value or b"").decode() for name, value in entry.headers}
    assert headers["event-type"] == kind
    return {**headers, "sequence": int(headers["sequence"]), **fields}


def by_item(outputs: Iterable[Entry]) -> dict[bytes, list[dict[str, Any]]]:
    """Decoded outputs of each item in the order of their numbers, which have to be 1, 2, 3, ... without a gap."""
    found: dict[bytes, list[dict[str, Any]]] = {}
    last: dict[tuple[str, bytes], int] = {}
    for entry in outputs:
        assert entry.key is not None
        event = decode_output(entry)
        assert entry.key == f"{event['tenantId']}/{event['itemId']}".encode()
        assert last.get((entry.topic, entry.key), 0) < event["sequence"], f"out of order: {entry}"
        last[entry.topic, entry.key] = event["sequence"]
        found.setdefault(entry.key, []).append(event)
    for key, events in found.items():
        events.sort(key=lambda each: int(each["sequence"]))
        numbers = [each["sequence"] for each in events]
        assert numbers == list(range(1, len(events) + 1)), f"{key!r} has the numbers {numbers}"
    return found


def check(items: Mapping[bytes, Item], outputs: Sequence[Entry]) -> None:
    """Compare outputs with what has to come out: all of it, once, in order, and nothing else."""
    found = by_item(outputs)
    check_ids(found)
    expected = {key: item.expected for key, item in items.items() if item.expected}
    for key in expected.keys() | found.keys():
        ours = [
            {name: value for name, value in each.items() if name not in _NOT_COMPARED} for each in found.get(key, [])
        ]
        theirs = expected.get(key, [])
        for number, (one, other) in enumerate(zip(ours, theirs, strict=False), 1):
            assert one == other, f"output {number} of {key!r} is {one}, not {other}"
        assert len(ours) == len(theirs), f"{key!r}: {len(ours)} outputs, {len(theirs)} expected"


def check_ids(found: Mapping[bytes, Sequence[Mapping[str, Any]]]) -> None:
    """Event ids are unique, and so are allocations; what is released was committed under the same id before."""
    ids = [event["eventId"] for events in found.values() for event in events]
    assert len(ids) == len(set(ids))
    for events in found.values():
        committed = [event["allocationId"] for event in events if event["event-type"] == COMMITTED]
        assert len(committed) == len(set(committed))
        assert {event["allocationId"] for event in events if event["event-type"] == GIVEN_BACK} <= set(committed)
