"""What is bad input, worked out from the documents: design section 5, and the list of error codes.

A record may be wrong in more than one way; which one is named first is nobody's promise, so all are found.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any, NamedTuple

from fastavro import parse_schema, schemaless_reader

from tests.pipeline.core import CREATED, RELEASED, STOCK
from tests.pipeline.log import Entry

_AMOUNTS = {STOCK: "onHand", CREATED: "quantity", RELEASED: "quantity"}
_KINDS = tuple(_AMOUNTS)
_MOST_VALUE_BYTES = 256 * 1024
_MOST_HEADER_BYTES = 64 * 1024
_BYTES_PER_HEADER = 8
_MOST_ID_BYTES = 256
_MOST_TEXT_BYTES = 1024
_LAST_TIMESTAMP = 253_402_300_799_999  # the last millisecond of the year 9999
_BEYOND = Decimal(10**16)  # the first that decimal(18,2) does not hold

_UNREADABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d([.,]\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ENVELOPE_TEXTS = ("eventType", "eventId", "tenantId")
_PAYLOAD_TEXTS = {
    STOCK: ("itemId", "locationId"),
    CREATED: ("reservationId", "itemId", "locationId", "channel"),
    RELEASED: ("reservationId", "itemId", "locationId", "channel"),
}
_OPTIONAL_TEXTS = {STOCK: ("channel",), CREATED: ("reference",), RELEASED: ("reason",)}


class Event(NamedTuple):
    """A good input: its type and its fields, quantities as decimals."""

    kind: str
    fields: dict[str, Any]


class _Number(str):
    """A JSON number as it was written."""


def readable(name: str) -> str:
    """A header name as a dead letter has it: bytes that are not UTF-8 are written out."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


class Admission:
    """Decides on the records of Core's topics, given all schemas that are registered, by id."""

    def __init__(self, schemas: Mapping[int, Any]) -> None:
        self._schemas = schemas
        self._parsed: dict[int, Any] = {}

    def decide(self, entry: Entry, kind: str | None, encoding: str) -> Event | frozenset[str]:
        """The event in a record of a topic that carries `kind` (None: any), or all codes that fit what is wrong."""
        names = [readable(name) for name, _ in entry.headers]
        headers = sum(len(name.encode()) + _BYTES_PER_HEADER for name in names)
        headers += sum(len(value or b"") for _, value in entry.headers)
        if len(entry.value or b"") > _MOST_VALUE_BYTES or headers > _MOST_HEADER_BYTES:
            return frozenset({"TOO_LARGE"})
        if any(_size(name) is None for name, _ in entry.headers):
            return frozenset({"HEADER_NAME_NOT_UTF8"})
        if entry.value is None:
            return frozenset({"NULL_VALUE"})
        found = _read_json(entry.value) if encoding == "json" else self._read_avro(entry.value)
        if isinstance(found, str):
            return frozenset({found})
        event, wrong = found
        if event.kind not in _KINDS or (kind is not None and event.kind != kind):
            return frozenset({"WRONG_EVENT_TYPE"})
        wrong |= _faults(event)
        return frozenset(wrong) if wrong else event

    def _read_avro(self, value: bytes) -> tuple[Event, set[str]] | str:
        if len(value) < 5 or value[0] != 0:
            return "NOT_AVRO"
        number = int.from_bytes(value[1:5], "big")
        if number not in self._schemas:
            return "UNKNOWN_SCHEMA_ID"
        schema = self._schemas[number]
        if number not in self._parsed:
            self._parsed[number] = parse_schema(schema)
        stream = BytesIO(value[5:])
        if schema["name"] not in _KINDS:
            return Event(schema["name"], {}), set()
        try:
            fields = schemaless_reader(stream, self._parsed[number], None)
        except Exception:  # whatever fastavro raises on bytes that are no record
            return "NOT_AVRO"
        assert isinstance(fields, dict)
        if stream.read(1):
            return "TRAILING_BYTES"
        if not fields[_AMOUNTS[schema["name"]]] and _lacks_bytes(schema, value):
            return "MALFORMED_QUANTITY"
        return Event(schema["name"], fields), set()


def _lacks_bytes(schema: Any, value: bytes) -> bool:
    """Whether what reads as a quantity of 0 is none at all: a decimal without a single byte."""
    plain = [{**each, "type": "bytes"} if isinstance(each["type"], dict) else each for each in schema["fields"]]
    raw = schemaless_reader(BytesIO(value[5:]), parse_schema({**schema, "fields": plain}), None)
    assert isinstance(raw, dict)
    return not raw[_AMOUNTS[schema["name"]]]


def _faults(event: Event) -> set[str]:
    """What is wrong with the values of an event; fields that are not there have been complained of already."""
    kind, fields = event
    wrong: set[str] = set()
    for name in ("eventId", "tenantId", "itemId", "locationId", "reservationId", "channel"):
        text = fields.get(name)
        if text is not None and (fault := _fault_of_id(text)):
            wrong.add(fault)
    for name in ("reference", "reason"):
        text = fields.get(name)
        if text is not None and (size := _size(text)) is None:
            wrong.add("TEXT_NOT_UNICODE")
        elif text is not None and size is not None and size > _MOST_TEXT_BYTES:
            wrong.add("TEXT_TOO_LONG")
    for name in ("timestamp", "expiresAt"):
        moment = fields.get(name)
        if moment is not None and moment < 0:
            wrong.add("NEGATIVE_TIMESTAMP")
        elif moment is not None and moment > _LAST_TIMESTAMP:
            wrong.add("TIMESTAMP_OUT_OF_RANGE")
    amount = fields.get(_AMOUNTS[kind])
    if amount is not None and abs(amount) >= _BEYOND:
        wrong.add("QUANTITY_OUT_OF_RANGE")
    if amount is not None and kind != STOCK and amount <= 0:
        wrong.add("QUANTITY_NOT_POSITIVE")
    priority = fields.get("priority")
    if priority is not None and not 0 <= priority < 2**31:
        wrong.add("PRIORITY_OUT_OF_RANGE")
    return wrong


def _fault_of_id(text: str) -> str | None:
    if not text.strip(" "):
        return "EMPTY_ID"
    if text.isascii() and text.isprintable():
        return "ID_TOO_LONG" if len(text) > _MOST_ID_BYTES else None
    if _UNREADABLE.search(text):
        return "ID_NOT_READABLE"
    size = _size(text)
    if size is None:
        return "TEXT_NOT_UNICODE"
    return "ID_TOO_LONG" if size > _MOST_ID_BYTES else None


def _size(text: str) -> int | None:
    """Bytes of UTF-8; None for half a surrogate pair."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return None


def _read_json(value: bytes) -> tuple[Event, set[str]] | str:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    def no_constant(name: str) -> Any:
        raise ValueError(name)

    try:
        envelope = json.loads(
            value.decode(),
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=no_constant,
            object_pairs_hook=once,
        )
    except (ValueError, RecursionError):
        return "NOT_JSON"
    if not isinstance(envelope, dict):
        return "NOT_JSON"
    wrong: set[str] = set()
    fields: dict[str, Any] = {name: _text(envelope, name, wrong) for name in _ENVELOPE_TEXTS}
    fields["timestamp"] = _time(envelope, "timestamp", wrong)
    kind, payload = fields.pop("eventType"), envelope.get("payload")
    if payload is None:
        wrong.add("MISSING_FIELD")
    elif not isinstance(payload, dict):
        wrong.add("WRONG_TYPE")
    if kind in _KINDS and isinstance(payload, dict):
        fields |= {name: _text(payload, name, wrong) for name in _PAYLOAD_TEXTS[kind]}
        for name in _OPTIONAL_TEXTS[kind]:
            fields[name] = None if payload.get(name) is None else _text(payload, name, wrong)
        fields[_AMOUNTS[kind]] = _amount(payload.get(_AMOUNTS[kind]), wrong)
        if kind == CREATED and payload.get("priority") is not None:
            fields["priority"] = _integer(payload["priority"], wrong)
        if kind == CREATED and payload.get("expiresAt") is not None:
            fields["expiresAt"] = _time(payload, "expiresAt", wrong)
    if not isinstance(kind, str):
        return next(iter(wrong & {"MISSING_FIELD", "WRONG_TYPE"}))
    return Event(kind, fields), wrong


def _text(fields: Mapping[str, Any], name: str, wrong: set[str]) -> str | None:
    value = fields.get(name)
    if type(value) is str:
        return value
    wrong.add("MISSING_FIELD" if value is None else "WRONG_TYPE")
    return None


def _time(fields: Mapping[str, Any], name: str, wrong: set[str]) -> int | None:
    text = _text(fields, name, wrong)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text) if _TIME.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None:
        wrong.add("MALFORMED_TIMESTAMP")
        return None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)


def _integer(value: object, wrong: set[str]) -> int | None:
    if type(value) is _Number and re.fullmatch("-?[0-9]{1,18}", value):
        return int(value)
    wrong.add("WRONG_TYPE")
    return None


def _amount(value: object, wrong: set[str]) -> Decimal | None:
    if not isinstance(value, str):
        wrong.add("MISSING_FIELD" if value is None else "WRONG_TYPE")
        return None
    match = _NUMBER.fullmatch(value)
    if match is None or (match[2] and type(value) is not _Number):
        wrong.add("MALFORMED_QUANTITY")
        return None
    amount = Decimal(value)
    if abs(amount) < _BEYOND and amount != round(amount, 2):
        wrong.add("MALFORMED_QUANTITY")
    return amount
