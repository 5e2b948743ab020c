"""Records as Inventory Core writes them, made by fastavro from decimals: another way than that of the decoder."""

from collections.abc import Mapping
from decimal import Decimal
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_writer

from atp_stream.contracts.errors import BadInput, ErrorClass
from atp_stream.contracts.inputs import InputDecoder
from atp_stream.contracts.schemas import schema_of, schema_text

STOCK, CREATED, RELEASED = "StockAvailabilityChangedEvent", "ReservationCreatedEvent", "ReservationReleasedEvent"
SCHEMA_IDS = {STOCK: 7, CREATED: 8, RELEASED: 9}
OLD_IDS = {STOCK: 17, CREATED: 18, RELEASED: 19}
UNKNOWN_ID = 99

_COMMON: dict[str, Any] = {
    "eventId": "e-1",
    "timestamp": 1767323045000,
    "tenantId": "t-1",
    "itemId": "item-001",
    "locationId": "l-1",
}
_RESERVATION: dict[str, Any] = {**_COMMON, "reservationId": "r-1", "quantity": Decimal("5.25"), "channel": "ECOM"}
SAMPLES: dict[str, dict[str, Any]] = {
    STOCK: {**_COMMON, "channel": "ECOM", "onHand": Decimal("150.00")},
    CREATED: {**_RESERVATION, "reference": "so-1", "priority": 1, "expiresAt": 1767326645000},
    RELEASED: {**_RESERVATION, "reason": "CANCELLED"},
}


def old_schema(event_type: str) -> dict[str, Any]:
    """Core's own writer schema: without the fields that have defaults."""
    schema = schema_of(event_type)
    return {**schema, "fields": [field for field in schema["fields"] if "default" not in field]}


def avro(schema: Mapping[str, Any], record: Mapping[str, Any], schema_id: int) -> bytes:
    """A record in the Confluent wire format."""
    stream = BytesIO()
    schemaless_writer(stream, parse_schema(dict(schema)), dict(record))
    return b"\x00" + schema_id.to_bytes(4, "big") + stream.getvalue()


def sample(event_type: str, **changes: Any) -> bytes:
    """The sample event of a type with some fields changed."""
    return avro(schema_of(event_type), {**SAMPLES[event_type], **changes}, SCHEMA_IDS[event_type])


class Registry:
    """A registry that holds texts by id, and counts what it is asked for."""

    def __init__(self, texts: Mapping[int, str] | None = None) -> None:
        self.texts = dict(texts or {})
        self.asked: list[int] = []

    async def fetch(self, schema_id: int) -> str:
        self.asked.append(schema_id)
        if schema_id not in self.texts:
            raise BadInput(ErrorClass.UNKNOWN_SCHEMA_ID, "the registry does not know this id")
        return self.texts[schema_id]


async def decoder_of(texts: Mapping[int, str]) -> InputDecoder:
    """A decoder that has resolved these ids, and has been told that ``UNKNOWN_ID`` is unknown."""
    decoder = InputDecoder(Registry(texts).fetch)
    await decoder.resolve([*texts, UNKNOWN_ID])
    return decoder


def our_texts() -> dict[int, str]:
    return {schema_id: schema_text(event_type) for event_type, schema_id in SCHEMA_IDS.items()}
