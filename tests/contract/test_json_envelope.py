"""Inventory Core's JSON envelope: the same events as its Avro, and every kind of bad one."""

import json
from typing import Any

import pytest

from atp_stream.contracts.errors import BadInput, ErrorClass
from atp_stream.contracts.inputs import InputDecoder
from atp_stream.domain.events import Input, ReservationCreated, ReservationReleased, StockAvailabilityChanged
from tests.contract.samples import CREATED, RELEASED, STOCK, Registry

PAYLOADS: dict[str, dict[str, Any]] = {
    STOCK: {"itemId": "item-001", "locationId": "l-1", "channel": "ECOM", "onHand": 150},
    CREATED: {
        "reservationId": "r-1",
        "itemId": "item-001",
        "locationId": "l-1",
        "quantity": 5.25,
        "channel": "ECOM",
        "reference": "so-1",
        "priority": 1,
        "expiresAt": "2026-01-02T04:04:05Z",
    },
    RELEASED: {
        "reservationId": "r-1",
        "itemId": "item-001",
        "locationId": "l-1",
        "quantity": "5.25",
        "channel": "ECOM",
        "reason": "CANCELLED",
    },
}
T = 1767323045000


def envelope(event_type: str, payload: dict[str, Any] | None = None, **changes: Any) -> bytes:
    """The sample envelope of a type with some of its values, and some of its payload's, changed."""
    return json.dumps(
        {
            "eventType": event_type,
            "eventId": "e-1",
            "timestamp": "2026-01-02T03:04:05Z",
            "aggregateId": "item-001",
            "tenantId": "t-1",
            "payload": {**PAYLOADS[event_type], **(payload or {})},
            **changes,
        }
    ).encode()


def _decode(event_type: str | None, value: bytes | None) -> Input:
    return InputDecoder(Registry().fetch).decode(event_type, "json", value)


def _refusal(event_type: str, value: bytes | None) -> ErrorClass:
    with pytest.raises(BadInput) as caught:
        _decode(event_type, value)
    return caught.value.error_class


def _with_quantity(text: str) -> bytes:
    return envelope(CREATED, {"quantity": "QUANTITY"}).replace(b'"QUANTITY"', text.encode())


@pytest.mark.parametrize(
    ("event_type", "event"),
    [
        (STOCK, StockAvailabilityChanged("e-1", T, "t-1", "item-001", "l-1", "ECOM", 15000)),
        (CREATED, ReservationCreated("e-1", T, "t-1", "r-1", "item-001", "l-1", 525, "ECOM", "so-1", 1, T + 3_600_000)),
        (RELEASED, ReservationReleased("e-1", T, "t-1", "r-1", "item-001", "l-1", 525, "ECOM", "CANCELLED")),
    ],
)
def test_the_documented_envelope_gives_the_event(event_type: str, event: Input) -> None:
    assert _decode(event_type, envelope(event_type)) == event
    assert _decode(None, envelope(event_type)) == event


@pytest.mark.parametrize("missing", ["null", "absent"])
def test_optional_values_may_be_null_or_absent(missing: str) -> None:
    document = json.loads(envelope(CREATED))
    for name in ("reference", "priority", "expiresAt"):
        if missing == "null":
            document["payload"][name] = None
        else:
            del document["payload"][name]
    del document["aggregateId"]
    assert _decode(CREATED, json.dumps(document).encode()) == ReservationCreated(
        "e-1", T, "t-1", "r-1", "item-001", "l-1", 525, "ECOM"
    )
    shared = _decode(STOCK, envelope(STOCK, {"channel": None}))
    assert isinstance(shared, StockAvailabilityChanged)
    assert shared.channel is None


def test_keys_that_are_not_known_are_passed_over() -> None:
    assert _decode(STOCK, envelope(STOCK, {"extra": [1, {"a": 1.5}]}, schemaVersion=3)) == _decode(
        STOCK, envelope(STOCK)
    )


@pytest.mark.parametrize(
    ("written", "hundredths"),
    [
        ("5", 500),
        ("0.1", 10),
        ("0.10000000000000000", 10),
        ("1e2", 10000),
        ("1.25E+1", 1250),
        ("1250e-2", 1250),
        ("9999999999999999.99", 10**18 - 1),
        ('"0.07"', 7),
        ('"9007199254740993"', 900719925474099300),
        ("9007199254740993.01", 900719925474099301),
    ],
)
def test_quantities_are_exact(written: str, hundredths: int) -> None:
    event = _decode(CREATED, _with_quantity(written))
    assert isinstance(event, ReservationCreated)
    assert event.quantity == hundredths


@pytest.mark.parametrize(
    ("written", "error_class"),
    [
        ("0", ErrorClass.QUANTITY_NOT_POSITIVE),
        ("-0.0", ErrorClass.QUANTITY_NOT_POSITIVE),
        ("-1", ErrorClass.QUANTITY_NOT_POSITIVE),
        ("0.001", ErrorClass.MALFORMED_QUANTITY),
        ("1e-3", ErrorClass.MALFORMED_QUANTITY),
        ("10000000000000000", ErrorClass.QUANTITY_OUT_OF_RANGE),
        ("1e300", ErrorClass.QUANTITY_OUT_OF_RANGE),
        ("1e999999999", ErrorClass.MALFORMED_QUANTITY),
        ('"1e2"', ErrorClass.MALFORMED_QUANTITY),
        ('"NaN"', ErrorClass.MALFORMED_QUANTITY),
        ('"1,5"', ErrorClass.MALFORMED_QUANTITY),
        ('"\\u0661"', ErrorClass.MALFORMED_QUANTITY),
        ('""', ErrorClass.MALFORMED_QUANTITY),
        ("true", ErrorClass.WRONG_TYPE),
        ("[1]", ErrorClass.WRONG_TYPE),
        ("null", ErrorClass.MISSING_FIELD),
        ("NaN", ErrorClass.NOT_JSON),
        ("Infinity", ErrorClass.NOT_JSON),
    ],
)
def test_quantities_that_are_none_are_refused(written: str, error_class: ErrorClass) -> None:
    assert _refusal(CREATED, _with_quantity(written)) == error_class


@pytest.mark.parametrize(
    ("written", "timestamp"),
    [
        ("2026-01-02T03:04:05Z", T),
        ("2026-01-02T03:04:05", T),
        ("2026-01-02T03:04Z", T - 5000),
        ("2026-01-02T03:04:05.5Z", T + 500),
        ("2026-01-02T03:04:05,123Z", T + 123),
        ("2026-01-02T03:04:05.123999999Z", T + 123),
        ("2026-01-02T05:04:05+02:00", T),
        ("2026-01-01T21:34:05-0530", T),
        ("2026-01-02T05:04:05+02", T),
        ("1970-01-01T00:00:00Z", 0),
        ("9999-12-31T23:59:59.999Z", 253402300799999),
    ],
)
def test_times_are_iso_8601_and_utc_without_a_zone(written: str, timestamp: int) -> None:
    assert _decode(STOCK, envelope(STOCK, timestamp=written)).timestamp == timestamp


@pytest.mark.parametrize(
    ("written", "error_class"),
    [
        ("2026-01-02", ErrorClass.MALFORMED_TIMESTAMP),
        ("2026-W01-1T00:00:00Z", ErrorClass.MALFORMED_TIMESTAMP),
        ("2026-01-02 03:04:05Z", ErrorClass.MALFORMED_TIMESTAMP),
        ("2026-02-30T03:04:05Z", ErrorClass.MALFORMED_TIMESTAMP),
        ("2026-01-02T25:04:05Z", ErrorClass.MALFORMED_TIMESTAMP),
        ("2026-01-02T03:04:05+99:00", ErrorClass.MALFORMED_TIMESTAMP),
        ("1767323045000", ErrorClass.MALFORMED_TIMESTAMP),
        ("", ErrorClass.MALFORMED_TIMESTAMP),
        ("1969-12-31T23:59:59.999Z", ErrorClass.NEGATIVE_TIMESTAMP),
        ("0001-01-01T00:00:00+14:00", ErrorClass.NEGATIVE_TIMESTAMP),
        ("9999-12-31T23:59:59-01:00", ErrorClass.TIMESTAMP_OUT_OF_RANGE),
        (1767323045000, ErrorClass.WRONG_TYPE),
    ],
)
def test_times_that_are_none_are_refused(written: object, error_class: ErrorClass) -> None:
    assert _refusal(STOCK, envelope(STOCK, timestamp=written)) == error_class
    assert _refusal(CREATED, envelope(CREATED, {"expiresAt": written})) == error_class


@pytest.mark.parametrize("name", ["eventType", "eventId", "timestamp", "tenantId", "payload"])
def test_everything_but_the_aggregate_id_is_required(name: str) -> None:
    document = json.loads(envelope(STOCK))
    del document[name]
    assert _refusal(STOCK, json.dumps(document).encode()) == ErrorClass.MISSING_FIELD


@pytest.mark.parametrize("event_type", PAYLOADS)
def test_the_payload_has_to_hold_what_the_avro_record_holds(event_type: str) -> None:
    optional = {"reference", "priority", "expiresAt", "reason"} | ({"channel"} if event_type == STOCK else set())
    for name in PAYLOADS[event_type].keys() - optional:
        document = json.loads(envelope(event_type))
        del document["payload"][name]
        assert _refusal(event_type, json.dumps(document).encode()) == ErrorClass.MISSING_FIELD


@pytest.mark.parametrize(
    ("value", "error_class"),
    [
        (None, ErrorClass.NULL_VALUE),
        (b"", ErrorClass.NOT_JSON),
        (b"null", ErrorClass.NOT_JSON),
        (b"[]", ErrorClass.NOT_JSON),
        (b"\xff", ErrorClass.NOT_JSON),
        (b"\xef\xbb\xbf{}", ErrorClass.NOT_JSON),
        (b"{}", ErrorClass.MISSING_FIELD),
        (b"[" * 1_000_000, ErrorClass.NOT_JSON),
        (b'{"eventType": "A", "eventType": "B"}', ErrorClass.NOT_JSON),
        (envelope(STOCK) + b"{}", ErrorClass.NOT_JSON),
        (envelope(STOCK, eventType="SomethingElse"), ErrorClass.WRONG_EVENT_TYPE),
        (envelope(CREATED), ErrorClass.WRONG_EVENT_TYPE),
        (envelope(STOCK, eventId=1), ErrorClass.WRONG_TYPE),
        (envelope(STOCK, {"itemId": 1}), ErrorClass.WRONG_TYPE),
        (envelope(STOCK, {"itemId": ["a"]}), ErrorClass.WRONG_TYPE),
        (envelope(STOCK, {"channel": 5}), ErrorClass.WRONG_TYPE),
        (envelope(STOCK, tenantId=""), ErrorClass.EMPTY_ID),
        (envelope(STOCK, {"itemId": "a\tb"}), ErrorClass.ID_NOT_READABLE),
        (envelope(STOCK, {"itemId": "a\ud800"}), ErrorClass.TEXT_NOT_UNICODE),
        (json.dumps({**json.loads(envelope(STOCK)), "payload": []}).encode(), ErrorClass.WRONG_TYPE),
    ],
)
def test_what_is_no_envelope_of_the_topic_is_refused(value: bytes | None, error_class: ErrorClass) -> None:
    assert _refusal(STOCK, value) == error_class


@pytest.mark.parametrize("priority", [1.5, "1", True, 1e30])
def test_a_priority_is_an_integer(priority: object) -> None:
    assert _refusal(CREATED, envelope(CREATED, {"priority": priority})) == ErrorClass.WRONG_TYPE


@pytest.mark.parametrize("priority", [-1, 2**31])
def test_a_priority_outside_its_range_is_refused(priority: int) -> None:
    assert _refusal(CREATED, envelope(CREATED, {"priority": priority})) == ErrorClass.PRIORITY_OUT_OF_RANGE
