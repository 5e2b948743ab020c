"""Inventory Core's JSON envelope to the same events as its Avro records (design section 2.1).

``{"eventType", "eventId", "timestamp", "aggregateId", "tenantId", "payload": {...}}``: the payload holds what else the
Avro record holds, under the same names. ``aggregateId`` repeats an id of the payload and is not read. Keys that are not
known are passed over; a key twice in one object is refused.

Quantities are JSON numbers or strings of plain decimal notation, at most two decimals other than zeros; ``priority`` is
an integer. Times are ISO 8601 date and time of day, with a zone; without one they are UTC; anything finer than a
millisecond is cut off.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from atp_stream.contracts.errors import BadInput, ErrorClass, quoted
from atp_stream.contracts.records import BUILDERS, QUANTITY_FIELDS
from atp_stream.domain.events import Input
from atp_stream.domain.quantity import MAX

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d(?::?[0-5]\d)?)?", re.ASCII)
_NUMBER: Final = re.compile(r"(-?)(\d{1,40})(?:\.(\d{1,40}))?(?:[eE]([+-]?\d{1,3}))?", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

_TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "StockAvailabilityChangedEvent": ("itemId", "locationId"),
    "ReservationCreatedEvent": ("reservationId", "itemId", "locationId", "channel"),
    "ReservationReleasedEvent": ("reservationId", "itemId", "locationId", "channel"),
}
_OPTIONAL_TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "StockAvailabilityChangedEvent": ("channel",),
    "ReservationCreatedEvent": ("reference",),
    "ReservationReleasedEvent": ("reason",),
}


class _Number(str):
    """A JSON number as it was written: exact, which no float is."""

    __slots__ = ()


def decode_envelope(value: bytes) -> tuple[str, Input]:
    """Return the event type and the event. Raises ``BadInput``, and nothing else, whatever the bytes."""
    envelope = _parse(value)
    event_type = _text(envelope, "eventType")
    if event_type not in BUILDERS:
        raise BadInput(ErrorClass.WRONG_EVENT_TYPE, f"not an event that is consumed: {quoted(event_type)}")
    payload = _required(envelope, "payload")
    if not isinstance(payload, dict):
        raise _wrong_type("payload", "an object")
    record: dict[str, Any] = {
        "eventId": _text(envelope, "eventId"),
        "timestamp": _time(envelope, "timestamp"),
        "tenantId": _text(envelope, "tenantId"),
    }
    for name in _TEXTS[event_type]:
        record[name] = _text(payload, name)
    for name in _OPTIONAL_TEXTS[event_type]:
        if payload.get(name) is not None:
            record[name] = _text(payload, name)
    if event_type == "ReservationCreatedEvent":
        if payload.get("priority") is not None:
            record["priority"] = _integer(payload, "priority")
        if payload.get("expiresAt") is not None:
            record["expiresAt"] = _time(payload, "expiresAt")
    return event_type, BUILDERS[event_type](record, _quantity(payload, QUANTITY_FIELDS[event_type]))


def _parse(value: bytes) -> dict[str, Any]:
    try:
        envelope = json.loads(
            value.decode(),
            parse_float=_Number,
            parse_int=_Number,
            parse_constant=_no_constant,
            object_pairs_hook=_without_repetition,
        )
    except (ValueError, RecursionError) as error:
        raise BadInput(ErrorClass.NOT_JSON, f"{type(error).__name__}: {quoted(str(error))}") from error
    if not isinstance(envelope, dict):
        raise BadInput(ErrorClass.NOT_JSON, "not a JSON object")
    return envelope


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key twice in one object")
    return made


def _required(fields: Mapping[str, Any], name: str) -> Any:
    value = fields.get(name)
    if value is None:
        raise BadInput(ErrorClass.MISSING_FIELD, f"{name} is missing or null")
    return value


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = _required(fields, name)
    if type(value) is not str:
        raise _wrong_type(name, "a string")
    return value


def _integer(fields: Mapping[str, Any], name: str) -> int:
    value = fields[name]
    if type(value) is not _Number or not re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
        raise _wrong_type(name, "an integer")
    return int(value)


def _time(fields: Mapping[str, Any], name: str) -> int:
    text = _text(fields, name)
    try:
        # fromisoformat alone takes much that is no point in time for anyone else: a mere date, a week, any separator.
        moment = datetime.fromisoformat(text) if _TIME.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None:
        raise BadInput(ErrorClass.MALFORMED_TIMESTAMP, f"{name} is not an ISO 8601 date and time: {quoted(text)}")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MILLISECOND


def _quantity(fields: Mapping[str, Any], name: str) -> int:
    """Return hundredths, exactly."""
    text = _required(fields, name)
    if not isinstance(text, str):
        raise _wrong_type(name, "a number or a string")
    match = _NUMBER.fullmatch(text)
    if match is None or (match[4] is not None and type(text) is not _Number):
        raise BadInput(ErrorClass.MALFORMED_QUANTITY, f"{name} is not a decimal number: {quoted(str(text))}")
    sign, whole, fraction, exponent = match.groups()
    digits = int(whole + (fraction or ""))
    shift = 2 + int(exponent or 0) - len(fraction or "")
    magnitude, beyond = (digits * int(10**shift), 0) if shift >= 0 else divmod(digits, int(10**-shift))
    if magnitude > MAX:
        raise BadInput(ErrorClass.QUANTITY_OUT_OF_RANGE, f"{name} is outside decimal(18,2): {quoted(str(text))}")
    if beyond:
        raise BadInput(ErrorClass.MALFORMED_QUANTITY, f"{name} has more than two decimals: {quoted(str(text))}")
    return -magnitude if sign else magnitude


def _wrong_type(name: str, expected: str) -> BadInput:
    return BadInput(ErrorClass.WRONG_TYPE, f"{name} is not {expected}")
