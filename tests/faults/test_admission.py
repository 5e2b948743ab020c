"""What the checker holds for bad input, against a table: it decides by itself, so it has to be right by itself."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.pipeline.core import CREATED, RELEASED, STOCK, Core, Event, schema_named, writer_schema
from tests.pipeline.log import Entry

from .admission import Admission, readable
from .admission import Event as Accepted

FULL, PLAIN, OTHER = 1, 2, 3
SCHEMAS = {FULL: schema_named(CREATED), PLAIN: writer_schema(CREATED), OTHER: schema_named(RELEASED)}
GOOD = Core("tenant").created("item", "r-1", "12.30")


def entry(value: bytes | None, headers: tuple[tuple[str, bytes | None], ...] = ()) -> Entry:
    return Entry("created", 0, 0, b"key", value, headers)


def with_fields(**fields: Any) -> Event:
    return Event(CREATED, {**GOOD.fields, **fields})


def avro(**fields: Any) -> bytes:
    return with_fields(**fields).avro(FULL, SCHEMAS[FULL])


def enveloped(change: Callable[[dict[str, Any]], object]) -> bytes:
    envelope = json.loads(GOOD.json())
    change(envelope)
    return json.dumps(envelope).encode()


def in_payload(**fields: Any) -> bytes:
    return enveloped(lambda envelope: envelope["payload"].update(fields))


def codes(value: bytes | None, encoding: str, *headers: tuple[str, bytes | None]) -> set[str]:
    found = Admission(SCHEMAS).decide(entry(value, headers), CREATED, encoding)
    assert isinstance(found, frozenset), found
    return {*found}


BAD_AVRO = [
    ("NULL_VALUE", None),
    ("NOT_AVRO", b""),
    ("NOT_AVRO", b"\x00\x00\x00"),
    ("NOT_AVRO", b"nonsense"),
    ("NOT_AVRO", avro()[:20]),
    ("NOT_AVRO", avro().replace(b"tenant", b"\xff\xff\xff\xff\xff\xff")),
    ("TRAILING_BYTES", avro() + b"\x00"),
    ("UNKNOWN_SCHEMA_ID", b"\x00\x00\x00\x00\x09" + avro()[5:]),
    ("WRONG_EVENT_TYPE", Core("t").released("item", "r", "1.00").avro(OTHER, SCHEMAS[OTHER])),
    ("TOO_LARGE", avro() + b"\x00" * (256 << 10)),
    ("EMPTY_ID", avro(itemId="")),
    ("EMPTY_ID", avro(tenantId="   ")),
    ("EMPTY_ID", avro(channel="")),
    ("ID_TOO_LONG", avro(reservationId="r" * 257)),
    ("ID_TOO_LONG", avro(reservationId="\u00e4" * 129)),
    ("ID_NOT_READABLE", avro(locationId="l\x07")),
    ("ID_NOT_READABLE", avro(locationId="l\u202e")),
    ("TEXT_TOO_LONG", avro(reference="x" * 1025)),
    ("NEGATIVE_TIMESTAMP", avro(timestamp=-1)),
    ("NEGATIVE_TIMESTAMP", avro(expiresAt=-1)),
    ("TIMESTAMP_OUT_OF_RANGE", avro(timestamp=253_402_300_800_000)),
    ("QUANTITY_NOT_POSITIVE", avro(quantity=Decimal("0.00"))),
    ("QUANTITY_NOT_POSITIVE", avro(quantity=Decimal("-0.01"))),
    ("QUANTITY_OUT_OF_RANGE", avro(quantity=Decimal("1.28")).replace(b"\x04\x00\x80", b"\x14\0\0" + 8 * b"\xff")),
    ("MALFORMED_QUANTITY", avro(quantity=Decimal("1.28")).replace(b"\x04\x00\x80", b"\x00")),
    ("PRIORITY_OUT_OF_RANGE", avro(priority=-1)),
]

BAD_JSON = [
    ("NULL_VALUE", None),
    ("NOT_JSON", b"\xff"),
    ("NOT_JSON", b"[]"),
    ("NOT_JSON", b"{"),
    ("NOT_JSON", GOOD.json().replace(b'{"eventType"', b'{"tenantId": "twice", "eventType"')),
    ("NOT_JSON", GOOD.json().replace(b'"12.30"', b"NaN")),
    ("MISSING_FIELD", enveloped(lambda e: e.pop("eventId"))),
    ("MISSING_FIELD", enveloped(lambda e: e.pop("eventType"))),
    ("MISSING_FIELD", enveloped(lambda e: e.update(payload=None))),
    ("MISSING_FIELD", in_payload(channel=None)),
    ("WRONG_TYPE", enveloped(lambda e: e.update(payload=[]))),
    ("WRONG_TYPE", in_payload(itemId=7)),
    ("WRONG_TYPE", in_payload(priority="1")),
    ("WRONG_TYPE", in_payload(quantity=[])),
    ("WRONG_EVENT_TYPE", Core("t").stock("item", "1.00").json()),
    ("WRONG_EVENT_TYPE", enveloped(lambda e: e.update(eventType="SomethingElse"))),
    ("MALFORMED_TIMESTAMP", enveloped(lambda e: e.update(timestamp="yesterday"))),
    ("MALFORMED_TIMESTAMP", enveloped(lambda e: e.update(timestamp="2026-01-02"))),
    ("NEGATIVE_TIMESTAMP", enveloped(lambda e: e.update(timestamp="1969-12-31T23:59:59.999Z"))),
    ("MALFORMED_QUANTITY", in_payload(quantity="0.001")),
    ("MALFORMED_QUANTITY", in_payload(quantity="1e2")),
    ("MALFORMED_QUANTITY", in_payload(quantity="a few")),
    ("QUANTITY_OUT_OF_RANGE", in_payload(quantity="10000000000000000")),
    ("QUANTITY_NOT_POSITIVE", in_payload(quantity=-1)),
    ("TEXT_NOT_UNICODE", in_payload(itemId="half a pair: \ud800")),
    ("EMPTY_ID", in_payload(itemId="")),
]


@pytest.mark.parametrize(("code", "value"), BAD_AVRO)
def test_given_bad_avro_when_it_is_decided_then_the_code_is_that_of_what_is_wrong(
    code: str, value: bytes | None
) -> None:
    assert codes(value, "avro") == {code}


@pytest.mark.parametrize(("code", "value"), BAD_JSON)
def test_given_bad_json_when_it_is_decided_then_the_code_is_that_of_what_is_wrong(
    code: str, value: bytes | None
) -> None:
    assert codes(value, "json") == {code}


def test_given_a_record_with_two_faults_when_it_is_decided_then_both_are_named() -> None:
    assert codes(avro(itemId="", timestamp=-1), "avro") == {"EMPTY_ID", "NEGATIVE_TIMESTAMP"}


def test_given_headers_beyond_all_measure_when_they_are_decided_then_the_record_is_too_large() -> None:
    assert codes(avro(), "avro", ("h", b"x" * 70_000)) == {"TOO_LARGE"}


def test_given_a_header_name_that_is_not_utf8_when_it_is_decided_then_no_value_makes_the_record_good() -> None:
    name = b"tr\xe4ce".decode(errors="surrogateescape")
    assert codes(avro(), "avro", ("own", b""), (name, b"1")) == {"HEADER_NAME_NOT_UTF8"}
    assert codes(GOOD.json(), "json", (name, None)) == {"HEADER_NAME_NOT_UTF8"}
    assert readable(name) == "tr\\xe4ce"


GOOD_VALUES = [
    ("avro", avro(), {}),
    ("avro", GOOD.avro(PLAIN), {}),
    (
        "avro",
        avro(itemId="i" * 256, channel="\u00e9t\u00e9 / %"),
        {"itemId": "i" * 256, "channel": "\u00e9t\u00e9 / %"},
    ),
    ("avro", avro(quantity=Decimal("9999999999999999.99")), {"quantity": Decimal("9999999999999999.99")}),
    ("avro", avro(priority=2**31 - 1, expiresAt=0), {"priority": 2**31 - 1}),
    ("json", GOOD.json(), {}),
    ("json", in_payload(quantity=12.3, more="passed over"), {}),
    ("json", in_payload(quantity="12.3000"), {}),
    ("json", enveloped(lambda e: e.update(timestamp="2026-01-02T04:04:05.0019+01:00")), {"timestamp": 1767323045001}),
    ("json", enveloped(lambda e: e.update(timestamp="2026-01-02T03:04")), {"timestamp": 1767323040000}),
]


@pytest.mark.parametrize(("encoding", "value", "fields"), GOOD_VALUES)
def test_given_good_input_when_it_is_decided_then_its_fields_are_what_was_written(
    encoding: str, value: bytes, fields: dict[str, Any]
) -> None:
    found = Admission(SCHEMAS).decide(entry(value), CREATED, encoding)
    assert isinstance(found, Accepted)
    expected = {**GOOD.fields, **fields}
    assert found.kind == CREATED
    assert {name: found.fields[name] for name in expected} == expected


def test_given_stock_below_zero_when_it_is_decided_then_it_is_good() -> None:
    event = Core("t").stock("item", "-5.00", "POS")
    found = Admission({FULL: schema_named(STOCK)}).decide(entry(event.avro(FULL, schema_named(STOCK))), STOCK, "avro")
    assert found == Accepted(STOCK, event.fields)
