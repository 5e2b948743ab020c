"""Made-up events as the records that Inventory Core would write: Avro with its own schemas, or its JSON envelope.

Core writes a record without the fields that it has nothing to say in, under the schema that lacks them (design section
2.1): whoever reads has to resolve that against the schema with defaults.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any, Final

from fastavro import parse_schema, schemaless_writer

from atp_stream.contracts.avro import HEADER_SIZE, Json, header
from atp_stream.contracts.keys import item_key
from atp_stream.contracts.schemas import schema_of
from atp_stream.domain.events import Input, ReservationCreated, ReservationReleased, StockAvailabilityChanged
from atp_stream.domain.quantity import Quantity, format_quantity
from atp_stream.settings import SourceTopic
from atp_stream.tools.feed_events import FeedEvent, Flaw

UNKNOWN_SCHEMA_ID: Final = 2_000_000_007
"""An id that no registry has given."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_GARBAGE: Final = b"not an event"

_EVENT_TYPES: Final[Mapping[type[Input], str]] = {
    StockAvailabilityChanged: "StockAvailabilityChangedEvent",
    ReservationCreated: "ReservationCreatedEvent",
    ReservationReleased: "ReservationReleasedEvent",
}


def core_schemas(event_type: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return Core's two writers' schemas of an event: without and with the fields that have defaults."""
    full = schema_of(event_type)
    return {**full, "fields": [field for field in full["fields"] if "default" not in field]}, full


class Writer:
    """Writes records with one schema under one id."""

    def __init__(self, schema_id: int, schema: Mapping[str, Any]) -> None:
        self._header: Final = header(schema_id)
        self._schema: Final[Json] = parse_schema(dict(schema))
        self._fields: Final = frozenset(field["name"] for field in schema["fields"])

    def holds(self, record: Mapping[str, Any]) -> bool:
        """Whether nothing that the record says would be lost."""
        return all(name in self._fields for name, value in record.items() if value is not None)

    def write(self, record: Mapping[str, Any]) -> bytes:
        """Return the record in the Confluent wire format. `record`: fields by name, quantities as `Decimal`."""
        stream = BytesIO()
        stream.write(self._header)
        schemaless_writer(stream, self._schema, {name: record[name] for name in self._fields})
        return stream.getvalue()


@dataclass(frozen=True, slots=True)
class FeedRecord:
    """A record as it goes to Kafka."""

    topic: str
    key: bytes
    value: bytes | None


class RecordMaker:
    """Makes records for the input topics of the settings."""

    def __init__(self, sources: Mapping[str, SourceTopic], writers: Mapping[str, Sequence[Writer]]) -> None:
        """`writers`: for each topic in Avro those of its subject, the one with the fewest fields first."""
        self._writers: Final = writers
        self._topics: Final[dict[str, tuple[str, SourceTopic]]] = {
            source.event: (topic, source) for topic, source in reversed(tuple(sources.items()))
        }

    def make(self, made: FeedEvent) -> FeedRecord:
        """Return the record of an event, with its flaw; the key is Core's own choice, or the item's where promised."""
        event, flaw = made.event, made.flaw
        event_type = _EVENT_TYPES[type(event)]
        topic, source = self._topics[event_type]
        if flaw is Flaw.NO_VALUE:
            value = None
        elif flaw is Flaw.GARBAGE:
            value = _GARBAGE
        elif source.encoding == "json":
            value = _envelope("PriceChangedEvent" if flaw is Flaw.UNKNOWN_SCHEMA else event_type, event)
        else:
            value = self._avro(topic, event)
            if flaw is Flaw.UNKNOWN_SCHEMA:
                value = header(UNKNOWN_SCHEMA_ID) + value[HEADER_SIZE:]
        if flaw is Flaw.TRUNCATED and value is not None:
            value = value[: len(value) * 2 // 3]
        key = item_key(event.tenant_id, event.item_id) if source.keyed_by_item else _core_key(event)
        return FeedRecord(topic, key, value)

    def _avro(self, topic: str, event: Input) -> bytes:
        record = _fields(event)
        writers = self._writers[topic]
        return next((writer for writer in writers if writer.holds(record)), writers[-1]).write(record)


def _core_key(event: Input) -> bytes:
    if isinstance(event, StockAvailabilityChanged):
        return f"{event.location_id}:{event.item_id}".encode()
    return event.reservation_id.encode()


def _fields(event: Input) -> dict[str, Any]:
    """Return the fields by their names in the schema, quantities as exact decimals."""
    fields: dict[str, Any] = {
        "eventId": event.event_id,
        "timestamp": event.timestamp,
        "tenantId": event.tenant_id,
        "itemId": event.item_id,
        "locationId": event.location_id,
        "channel": event.channel,
    }
    name, quantity = _quantity(event)
    fields[name] = Decimal(quantity).scaleb(-2)
    if isinstance(event, StockAvailabilityChanged):
        return fields
    fields["reservationId"] = event.reservation_id
    if isinstance(event, ReservationReleased):
        return {**fields, "reason": event.reason}
    return {**fields, "reference": event.reference, "priority": event.priority, "expiresAt": event.expires_at}


def _quantity(event: Input) -> tuple[str, Quantity]:
    if isinstance(event, StockAvailabilityChanged):
        return "onHand", event.on_hand
    return "quantity", event.quantity


def _envelope(event_type: str, event: Input) -> bytes:
    payload = _fields(event)
    common = {name: payload.pop(name) for name in ("eventId", "timestamp", "tenantId")}
    if payload.get("expiresAt") is not None:
        payload["expiresAt"] = _iso(payload["expiresAt"])
    name, quantity = _quantity(event)
    payload[name] = format_quantity(quantity)
    envelope = {
        "eventType": event_type,
        **common,
        "timestamp": _iso(event.timestamp),
        "aggregateId": _core_key(event).decode(),
        "payload": {name: value for name, value in payload.items() if value is not None},
    }
    return json.dumps(envelope).encode()


def _iso(milliseconds: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
