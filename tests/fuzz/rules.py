"""When an input is valid, said once more and in another way: shares nothing with the package.

Every function gives the classes of all that is wrong with an input; none: it has to be accepted.
"""

import json
import re
import unicodedata
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from tests.pipeline.core import CREATED, RELEASED, STOCK

from . import plain_avro
from .writers import WRITERS

Fields = dict[str, Any]
"""An event's fields by name; quantities as decimals, times in epoch milliseconds."""

MOST: Final = Decimal("9999999999999999.99")
LAST: Final = 253402300799999
QUANTITY: Final = {STOCK: "onHand", CREATED: "quantity", RELEASED: "quantity"}
IDS: Final = {
    STOCK: ("eventId", "tenantId", "itemId", "locationId", "channel"),
    CREATED: ("eventId", "tenantId", "reservationId", "itemId", "locationId", "channel"),
    RELEASED: ("eventId", "tenantId", "reservationId", "itemId", "locationId", "channel"),
}
NULLABLE: Final = {STOCK: {"channel"}, CREATED: {"reference", "priority", "expiresAt"}, RELEASED: {"reason"}}
_TURNS: Final = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def _length(text: str) -> int | None:
    return None if any(0xD800 <= ord(each) < 0xE000 for each in text) else len(text.encode())


def faults(kind: str, fields: Fields) -> set[str]:
    """What is wrong with the values of an event whose fields have their types."""
    wrong = set()
    for name in IDS[kind]:
        text = fields.get(name)
        if text is None:
            continue
        if set(text) <= {" "}:
            wrong.add("EMPTY_ID")
        for each in text:
            category = unicodedata.category(each)
            if category in ("Cc", "Zl", "Zp") or unicodedata.bidirectional(each) in _TURNS:
                wrong.add("ID_NOT_READABLE")
        length = _length(text)
        if length is None:
            wrong.add("TEXT_NOT_UNICODE")
        elif length > 256:
            wrong.add("ID_TOO_LONG")
    for name in ("reference", "reason"):
        text = fields.get(name)
        if text is not None:
            length = _length(text)
            if length is None:
                wrong.add("TEXT_NOT_UNICODE")
            elif length > 1024:
                wrong.add("TEXT_TOO_LONG")
    for name in ("timestamp", "expiresAt"):
        moment = fields.get(name)
        if moment is not None and moment < 0:
            wrong.add("NEGATIVE_TIMESTAMP")
        elif moment is not None and moment > LAST:
            wrong.add("TIMESTAMP_OUT_OF_RANGE")
    quantity = fields[QUANTITY[kind]]
    if abs(quantity) > MOST:
        wrong.add("QUANTITY_OUT_OF_RANGE")
    if kind != STOCK and quantity <= 0:
        wrong.add("QUANTITY_NOT_POSITIVE")
    priority = fields.get("priority")
    if priority is not None and not 0 <= priority < 2**31:
        wrong.add("PRIORITY_OUT_OF_RANGE")
    return wrong


def of_avro(value: bytes) -> tuple[str | None, Fields, set[str]]:
    """Kind and fields of an Avro frame, and what is wrong with it."""
    if len(value) < 5 or value[0] != 0:
        return None, {}, {"NOT_AVRO"}
    writer = WRITERS.get(int.from_bytes(value[1:5], "big"))
    if writer is None:
        return None, {}, {"UNKNOWN_SCHEMA_ID"}
    if writer.refused is not None:
        return None, {}, {writer.refused}
    try:
        fields, length = plain_avro.read(writer.schema, value[5:])
    except plain_avro.NotAvro:
        return writer.kind, {}, {"NOT_AVRO"}
    trailing = {"TRAILING_BYTES"} if length != len(value) - 5 else set()
    quantity = QUANTITY[writer.kind]
    known = {*IDS[writer.kind], "timestamp", quantity, *NULLABLE[writer.kind]}
    fields = {name: found for name, found in fields.items() if name in known}
    if any(found is None and name not in NULLABLE[writer.kind] for name, found in fields.items()):
        return writer.kind, {}, {"NOT_AVRO"} | trailing
    if not fields[quantity]:
        return writer.kind, {}, {"MALFORMED_QUANTITY"} | trailing
    fields[quantity] = Decimal(int.from_bytes(fields[quantity], "big", signed=True)).scaleb(-2)
    return writer.kind, fields, faults(writer.kind, fields) | trailing


class _Number(str):
    __slots__ = ()


def _object(pairs: list[tuple[str, Any]]) -> Any:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("repeated")
    return dict(pairs)


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def of_json(value: bytes) -> tuple[str | None, Fields, set[str]]:
    """Kind and fields of a JSON envelope, and what is wrong with it."""
    try:
        envelope = json.loads(
            value.decode(), object_pairs_hook=_object, parse_int=_Number, parse_float=_Number, parse_constant=_refuse
        )
    except (ValueError, RecursionError):
        return None, {}, {"NOT_JSON"}
    if type(envelope) is not dict:
        return None, {}, {"NOT_JSON"}
    kind = envelope.get("eventType")
    if kind is None or type(kind) is not str:
        return None, {}, {"MISSING_FIELD" if kind is None else "WRONG_TYPE"}
    if kind not in IDS:
        return None, {}, {"WRONG_EVENT_TYPE"}
    payload = envelope.get("payload")
    if type(payload) is not dict:
        return kind, {}, {"MISSING_FIELD" if payload is None else "WRONG_TYPE"}
    wrong: set[str] = set()
    fields: Fields = {}
    for name in {*IDS[kind], *NULLABLE[kind], "timestamp", QUANTITY[kind]}:
        found = (envelope if name in ("eventId", "timestamp", "tenantId") else payload).get(name)
        if found is None:
            if name not in NULLABLE[kind]:
                wrong.add("MISSING_FIELD")
        elif name == QUANTITY[kind]:
            if not isinstance(found, str):
                wrong.add("WRONG_TYPE")
            elif (quantity := decimal_of(found, type(found) is _Number)) is None:
                wrong |= (
                    {"MALFORMED_QUANTITY"} if not beyond(found) else {"MALFORMED_QUANTITY", "QUANTITY_OUT_OF_RANGE"}
                )
            else:
                fields[name] = quantity
        elif name == "priority":
            if type(found) is not _Number or not re.fullmatch("-?[0-9]{1,18}", found):
                wrong.add("WRONG_TYPE")
            else:
                fields[name] = int(found)
        elif type(found) is not str:
            wrong.add("WRONG_TYPE")
        elif name in ("timestamp", "expiresAt"):
            moment = moment_of(found)
            if moment is None:
                wrong.add("MALFORMED_TIMESTAMP")
            else:
                fields[name] = moment
        else:
            fields[name] = found
    if QUANTITY[kind] in fields:
        wrong |= faults(kind, fields)
    else:
        wrong |= faults(kind, {**fields, QUANTITY[kind]: Decimal(1)})
    return kind, fields, wrong


def decimal_of(text: str, is_number: bool) -> Decimal | None:
    """The exact value of a quantity with at most two decimals other than zeros; None: it is none."""
    exponent = "([eE][+-]?[0-9]{1,3})?" if is_number else ""
    if not re.fullmatch(rf"-?[0-9]{{1,40}}(\.[0-9]{{1,40}})?{exponent}", text):
        return None
    value = Decimal(text)
    if value == 0:
        return Decimal(0)
    digits, least = value.as_tuple().digits, value.as_tuple().exponent
    assert isinstance(least, int)
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    return None if least + zeros < -2 else value


def beyond(text: str) -> bool:
    """Whether a text is a number outside decimal(18,2), of however many digits."""
    try:
        return abs(Decimal(text)) > MOST
    except (InvalidOperation, ValueError):
        return False


_TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
    r"(?:Z|([+-])([0-9]{2})(?::?([0-9]{2}))?)?"
)


def moment_of(text: str) -> int | None:
    """Epoch milliseconds of an ISO 8601 time, cut off; None: it is none."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute = (int(match[number]) for number in range(1, 6))
    second, fraction = int(match[6] or 0), (match[7] or "").ljust(3, "0")
    try:
        days = date(year, month, day).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        return None
    zone_hour, zone_minute = int(match[9] or 0), int(match[10] or 0)
    if hour > 23 or minute > 59 or second > 59 or zone_hour > 23 or zone_minute > 59:
        return None
    zone = (zone_hour * 60 + zone_minute) * (-1 if match[8] == "-" else 1)
    seconds = ((days * 24 + hour) * 60 + minute - zone) * 60 + second
    return seconds * 1000 + int(fraction[:3])
