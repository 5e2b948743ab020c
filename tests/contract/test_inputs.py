"""Avro records from Inventory Core to events, and every kind of bad one."""

import json
from decimal import Decimal
from typing import Any

import pytest

from atp_stream.contracts.errors import BadInput, ErrorClass, SchemaNotResolved
from atp_stream.contracts.inputs import InputDecoder
from atp_stream.domain.events import Input, ReservationCreated, ReservationReleased, StockAvailabilityChanged
from tests.contract.samples import (
    CREATED,
    OLD_IDS,
    RELEASED,
    SAMPLES,
    STOCK,
    UNKNOWN_ID,
    avro,
    decoder_of,
    old_schema,
    our_texts,
    sample,
)

T = 1767323045000
CASES: list[tuple[str, str, Input]] = [
    (
        STOCK,
        "0000000007 06652d31 90b2cccaef66 06742d31 106974656d2d303031 066c2d31 020845434f4d 043a98",
        StockAvailabilityChanged("e-1", T, "t-1", "item-001", "l-1", "ECOM", 15000),
    ),
    (
        STOCK,
        "0000000007 06652d31 90b2cccaef66 06742d31 106974656d2d303031 066c2d31 00 02ff",
        StockAvailabilityChanged("e-1", T, "t-1", "item-001", "l-1", None, -1),
    ),
    (
        CREATED,
        "0000000008 06652d31 90b2cccaef66 06742d31 06722d31 106974656d2d303031 066c2d31 04020d 0845434f4d"
        "0208736f2d31 0202 0290ec83ceef66",
        ReservationCreated("e-1", T, "t-1", "r-1", "item-001", "l-1", 525, "ECOM", "so-1", 1, 1767326645000),
    ),
    (
        RELEASED,
        "0000000009 06652d31 90b2cccaef66 06742d31 06722d31 106974656d2d303031 066c2d31 04020d 0845434f4d"
        "021243414e43454c4c4544",
        ReservationReleased("e-1", T, "t-1", "r-1", "item-001", "l-1", 525, "ECOM", "CANCELLED"),
    ),
    # As Core writes them: without the fields that have defaults.
    (
        STOCK,
        "0000000011 06652d31 90b2cccaef66 06742d31 106974656d2d303031 066c2d31 043a98",
        StockAvailabilityChanged("e-1", T, "t-1", "item-001", "l-1", None, 15000),
    ),
    (
        CREATED,
        "0000000012 06652d31 90b2cccaef66 06742d31 06722d31 106974656d2d303031 066c2d31 04020d 0845434f4d",
        ReservationCreated("e-1", T, "t-1", "r-1", "item-001", "l-1", 525, "ECOM"),
    ),
    (
        RELEASED,
        "0000000013 06652d31 90b2cccaef66 06742d31 06722d31 106974656d2d303031 066c2d31 04020d 0845434f4d",
        ReservationReleased("e-1", T, "t-1", "r-1", "item-001", "l-1", 525, "ECOM"),
    ),
]


async def _decoder() -> InputDecoder:
    old = {schema_id: json.dumps(old_schema(event_type)) for event_type, schema_id in OLD_IDS.items()}
    return await decoder_of({**our_texts(), **old})


async def _refusal(event_type: str | None, value: bytes | None) -> BadInput:
    with pytest.raises(BadInput) as caught:
        (await _decoder()).decode(event_type, "avro", value)
    return caught.value


@pytest.mark.parametrize(("event_type", "value", "event"), CASES)
async def test_documented_bytes_give_the_event(event_type: str, value: str, event: Input) -> None:
    decoder = await _decoder()
    assert decoder.decode(event_type, "avro", bytes.fromhex(value)) == event


@pytest.mark.parametrize(("event_type", "value", "event"), CASES)
async def test_the_changes_log_takes_every_event(event_type: str, value: str, event: Input) -> None:
    decoder = await _decoder()
    assert decoder.decode(None, "avro", bytes.fromhex(value)) == event


@pytest.mark.parametrize("event_type", SAMPLES)
async def test_fields_that_we_do_not_know_are_passed_over(event_type: str) -> None:
    # given a writer that has added fields in front, between and behind
    schema = old_schema(event_type)
    address = {
        "type": "record",
        "name": "Address",
        "fields": [{"name": "lines", "type": {"type": "array", "items": "string"}}],
    }
    first, *rest = schema["fields"]
    schema["fields"] = [
        {"name": "source", "type": "string", "default": "core"},
        first,
        {"name": "address", "type": ["null", address]},
        *rest,
        {"name": "tags", "type": {"type": "map", "values": ["null", "double"]}},
    ]
    more = {"source": "wms", "address": {"lines": ["a", "b"]}, "tags": {"weight": 1.5, "none": None}}
    known = {
        name: value for name, value in SAMPLES[event_type].items() if name in {f["name"] for f in schema["fields"]}
    }
    decoder = await decoder_of({1: json.dumps(schema), 2: json.dumps(old_schema(event_type))})
    # when both are read, then they are the same event
    assert decoder.decode(event_type, "avro", avro(schema, {**known, **more}, 1)) == decoder.decode(
        event_type, "avro", avro(old_schema(event_type), known, 2)
    )


@pytest.mark.parametrize(
    "quantity",
    ["0.01", "1", "1.27", "1.28", "327.67", "9999999999999999.99", "-0.01", "-1.28", "-9999999999999999.99", "0"],
)
async def test_on_hand_is_exact_and_may_be_negative(quantity: str) -> None:
    decoder = await _decoder()
    event = decoder.decode(STOCK, "avro", sample(STOCK, onHand=Decimal(quantity)))
    assert isinstance(event, StockAvailabilityChanged)
    assert event.on_hand == int(Decimal(quantity) * 100)


async def test_ids_may_hold_any_readable_character() -> None:
    decoder = await _decoder()
    event = decoder.decode(CREATED, "avro", sample(CREATED, itemId="Schraube 4/20 % \u2300", tenantId="東京"))
    assert (event.tenant_id, event.item_id) == ("東京", "Schraube 4/20 % \u2300")


BAD: list[tuple[ErrorClass, str, dict[str, Any]]] = [
    *[
        (ErrorClass.EMPTY_ID, CREATED, {name: ""})
        for name in ("eventId", "tenantId", "itemId", "reservationId", "channel")
    ],
    (ErrorClass.EMPTY_ID, STOCK, {"locationId": "  "}),
    (ErrorClass.EMPTY_ID, STOCK, {"channel": ""}),
    (ErrorClass.ID_TOO_LONG, RELEASED, {"itemId": "x" * 257}),
    (ErrorClass.ID_TOO_LONG, RELEASED, {"tenantId": "é" * 129}),
    (ErrorClass.ID_NOT_READABLE, RELEASED, {"itemId": "a\x00b"}),
    (ErrorClass.ID_NOT_READABLE, STOCK, {"channel": "a\nb"}),
    (ErrorClass.ID_NOT_READABLE, STOCK, {"itemId": "a\u202eb"}),
    (ErrorClass.QUANTITY_NOT_POSITIVE, CREATED, {"quantity": Decimal(0)}),
    (ErrorClass.QUANTITY_NOT_POSITIVE, RELEASED, {"quantity": Decimal("-0.01")}),
    (ErrorClass.NEGATIVE_TIMESTAMP, STOCK, {"timestamp": -1}),
    (ErrorClass.NEGATIVE_TIMESTAMP, CREATED, {"expiresAt": -1}),
    (ErrorClass.TIMESTAMP_OUT_OF_RANGE, STOCK, {"timestamp": 1767323045000_000}),
    (ErrorClass.TIMESTAMP_OUT_OF_RANGE, CREATED, {"expiresAt": 2**63 - 1}),
    (ErrorClass.PRIORITY_OUT_OF_RANGE, CREATED, {"priority": -1}),
    (ErrorClass.TEXT_TOO_LONG, CREATED, {"reference": "x" * 1025}),
    (ErrorClass.TEXT_TOO_LONG, RELEASED, {"reason": "é" * 513}),
]


@pytest.mark.parametrize(("error_class", "event_type", "changes"), BAD)
async def test_a_value_that_breaks_the_contract_is_named(
    error_class: ErrorClass, event_type: str, changes: dict[str, Any]
) -> None:
    refusal = await _refusal(event_type, sample(event_type, **changes))
    assert refusal.error_class == error_class
    assert next(iter(changes)) in refusal.message


async def test_values_at_the_limits_are_accepted() -> None:
    decoder = await _decoder()
    limits = {"itemId": "é" * 128, "timestamp": 253402300799999, "quantity": Decimal("9999999999999999.99")}
    decoder.decode(CREATED, "avro", sample(CREATED, **limits, reference="x" * 1024, priority=0, expiresAt=0))
    decoder.decode(STOCK, "avro", sample(STOCK, timestamp=0))


@pytest.mark.parametrize(
    ("raw", "error_class"),
    [
        (10**18, ErrorClass.QUANTITY_OUT_OF_RANGE),
        (2**200, ErrorClass.QUANTITY_OUT_OF_RANGE),
        (-(10**18), ErrorClass.QUANTITY_OUT_OF_RANGE),
        (None, ErrorClass.MALFORMED_QUANTITY),
    ],
)
async def test_decimals_outside_18_2_or_without_bytes_are_refused(raw: int | None, error_class: ErrorClass) -> None:
    data = b"" if raw is None else raw.to_bytes(32, "big", signed=True)
    assert (await _refusal(STOCK, sample(STOCK, onHand=data))).error_class == error_class


@pytest.mark.parametrize(
    ("value", "error_class"),
    [
        (None, ErrorClass.NULL_VALUE),
        (b"", ErrorClass.NOT_AVRO),
        (b"\x00\x00\x00\x00", ErrorClass.NOT_AVRO),
        (b'{"eventId": "e-1"}', ErrorClass.NOT_AVRO),
        (b"\x01" + sample(STOCK)[1:], ErrorClass.NOT_AVRO),
        (b"\x00\x00\x00\x00\x07", ErrorClass.NOT_AVRO),
        (sample(STOCK)[:-1], ErrorClass.NOT_AVRO),
        (sample(STOCK).replace(b"item", b"\xff\xfetem"), ErrorClass.NOT_AVRO),
        (sample(STOCK) + b"\x00", ErrorClass.TRAILING_BYTES),
        (b"\x00" + UNKNOWN_ID.to_bytes(4, "big") + sample(STOCK)[5:], ErrorClass.UNKNOWN_SCHEMA_ID),
        (sample(CREATED), ErrorClass.WRONG_EVENT_TYPE),
        (sample(RELEASED), ErrorClass.WRONG_EVENT_TYPE),
    ],
)
async def test_what_is_no_record_of_the_topic_is_refused(value: bytes | None, error_class: ErrorClass) -> None:
    assert (await _refusal(STOCK, value)).error_class == error_class


async def test_a_schema_id_that_was_never_asked_for_says_nothing_about_the_record() -> None:
    decoder = await _decoder()
    with pytest.raises(SchemaNotResolved) as caught:
        decoder.decode(STOCK, "avro", b"\x00\x00\x00\x00\x64" + sample(STOCK)[5:])
    assert caught.value.schema_id == 100


async def test_a_message_is_short_and_printable_whatever_the_record_holds() -> None:
    refusal = await _refusal(RELEASED, sample(RELEASED, itemId="\x1b[31m" + "x" * 100_000))
    assert refusal.message.isascii()
    assert refusal.message.isprintable()
    assert len(refusal.message) <= 500
    assert str(refusal) == f"{refusal.error_class}: {refusal.message}"
