"""What has to come out, worked out as plainly as possible from the changes log, by the rules of design section 3.

Shares nothing with the package but the schema files: Avro by fastavro's decimals, every sum taken anew.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache
from io import BytesIO
from typing import Any, NamedTuple

from fastavro import parse_schema, schemaless_reader

from .core import CREATED, RELEASED, STOCK, schema_named
from .log import Entry

ZERO = Decimal("0.00")
AVAILABILITY, COMMITTED = "AvailabilityCalculatedEvent", "AllocationCommittedEvent"
GIVEN_BACK, DENIED = "AllocationReleasedEvent", "ReservationDeniedEvent"
OUTPUTS = {
    AVAILABILITY: "inventory.atp.availability.calculated",
    COMMITTED: "inventory.atp.allocation.committed",
    GIVEN_BACK: "inventory.atp.allocation.released",
    DENIED: "inventory.atp.reservation.denied",
}

_BY_TOPIC = {topic: kind for kind, topic in OUTPUTS.items()}
#: Ids made by the service are unique and stable, but not known beforehand; a trace is handed on as it is.
_NOT_COMPARED = {"eventId", "allocationId", "traceparent"}


class Policy(NamedTuple):
    """The rules in force, in units."""

    version: str = "1"
    channels: tuple[str, ...] = ("POS", "ECOM", "WHOLESALE", "MARKETPLACE")
    safety_stock: Decimal = ZERO
    protected: Mapping[str, Decimal] = {}
    limit: Mapping[str, Decimal] = {}


@dataclass
class Item:
    """All that has happened to an item, unabridged."""

    policy: Policy
    places: dict[tuple[str, str | None], tuple[Decimal, int]] = field(default_factory=dict)
    #: By reservation: status, channel and what is left of it.
    reservations: dict[str, tuple[str, str, Decimal]] = field(default_factory=dict)
    releases: set[tuple[str, str]] = field(default_factory=set)
    emitted: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    expected: list[dict[str, Any]] = field(default_factory=list)

    def reserved(self, channel: str) -> Decimal:
        of_channel = (left for status, its, left in self.reservations.values() if (status, its) == ("on", channel))
        return sum(of_channel, ZERO)

    def available(self, channel: str, policy: Policy) -> Decimal:
        def dedicated(code: str) -> Decimal:
            return max(ZERO, sum((on for (_, its), (on, _) in self.places.items() if its == code), ZERO))

        def shared_used(code: str) -> Decimal:
            return max(ZERO, self.reserved(code) - dedicated(code))

        everyone = {its for _, its, _ in self.reservations.values()}
        shared = sum((on for (_, its), (on, _) in self.places.items() if its is None), ZERO)
        free = shared - policy.safety_stock - sum(map(shared_used, everyone), ZERO)
        kept = (max(ZERO, amount - shared_used(code)) for code, amount in policy.protected.items() if code != channel)
        own = dedicated(channel) - min(self.reserved(channel), dedicated(channel))
        found = own + max(ZERO, free - sum(kept, ZERO))
        if channel in policy.limit:
            found = min(found, policy.limit[channel] - self.reserved(channel))
        return max(ZERO, found)

    def reason(self, channel: str, quantity: Decimal) -> str:
        lenient = self.policy._replace(limit={})
        if quantity <= self.available(channel, lenient):
            return "CHANNEL_LIMIT"
        lenient = lenient._replace(protected={})
        if quantity <= self.available(channel, lenient):
            return "PROTECTED_FOR_OTHER_CHANNEL"
        lenient = lenient._replace(safety_stock=ZERO)
        return "SAFETY_STOCK" if quantity <= self.available(channel, lenient) else "INSUFFICIENT_STOCK"

    def apply(self, kind: str, event: Mapping[str, Any]) -> None:
        channel = event.get("channel")
        if kind == STOCK:
            place = (event["locationId"], channel)
            if place in self.places and self.places[place][1] > event["timestamp"]:
                return
            self.places[place] = (event["onHand"], event["timestamp"])
        else:
            assert isinstance(channel, str)
            name, quantity = event["reservationId"], event["quantity"]
            known = self.reservations.get(name)
            if kind == CREATED:
                if known is not None:
                    return
                available = self.available(channel, self.policy)
                if quantity <= available:
                    self.reservations[name] = ("on", channel, quantity)
                    self.expect(COMMITTED, event, channel=channel, quantity=quantity)
                else:
                    why = self.reason(channel, quantity)
                    self.reservations[name] = ("off", channel, quantity)
                    refused = {"reservationId": name, "quantity": quantity, "available": available, "reason": why}
                    self.expect(DENIED, event, channel=channel, **refused)
            else:
                assert kind == RELEASED
                if known is None or known[0] == "off":
                    self.reservations[name] = ("off", known[1] if known else channel, ZERO)
                    return
                if (name, event["eventId"]) in self.releases:
                    return
                self.releases.add((name, event["eventId"]))
                channel, left = known[1], known[2]
                back = min(left, quantity)
                self.reservations[name] = ("off" if back == left else "on", channel, left - back)
                self.expect(GIVEN_BACK, event, channel=channel, quantity=back, reason=event.get("reason"))
        channels = set(self.emitted) | ({channel} if channel else set())
        if any(its is None for _, its in self.places):
            channels |= set(self.policy.channels)
        for code in sorted(channels):
            pair = (self.available(code, self.policy), self.reserved(code))
            if self.emitted.get(code) != pair:
                self.emitted[code] = pair
                self.expect(AVAILABILITY, event, channel=code, available=pair[0], reserved=pair[1])

    def expect(self, kind: str, cause: Mapping[str, Any], **fields: Any) -> None:
        common = {"timestamp": cause["timestamp"], "tenantId": cause["tenantId"], "itemId": cause["itemId"]}
        self.expected.append(
            {
                "event-type": kind,
                "causation-id": cause["eventId"],
                "sequence": len(self.expected) + 1,
                "rules-version": self.policy.version,
                **common,
                **fields,
            }
        )


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
        items.setdefault(key, Item(policy)).apply(kind, event)
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
