"""From the fields of a record to a valid event, whatever encoding they came in (design section 5, "Bad input")."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from atp_stream.contracts.errors import BadInput, ErrorClass, quoted
from atp_stream.domain.events import Input, ReservationCreated, ReservationReleased, StockAvailabilityChanged
from atp_stream.domain.quantity import MAX

MAX_ID_BYTES: Final = 256
"""Longest id or channel code, in bytes of UTF-8. Item keys stay below 2 KiB with it, even if escaped throughout."""
MAX_TEXT_BYTES: Final = 1024
"""Longest reference or reason, in bytes of UTF-8: it travels on in our events, which have to fit into a message."""
MAX_TIMESTAMP: Final = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z in epoch milliseconds: the last that ISO 8601 can write."""
MAX_PRIORITY: Final = 2**31 - 1

QUANTITY_FIELDS: Final[Mapping[str, str]] = {
    "StockAvailabilityChangedEvent": "onHand",
    "ReservationCreatedEvent": "quantity",
    "ReservationReleasedEvent": "quantity",
}
"""Event type to the name of its one quantity."""

_SHARED_STOCK_IDS: Final = ("eventId", "tenantId", "itemId", "locationId")
_STOCK_IDS: Final = (*_SHARED_STOCK_IDS, "channel")
_RESERVATION_IDS: Final = ("eventId", "tenantId", "reservationId", "itemId", "locationId", "channel")

# Control characters, line and paragraph separators, and what turns the reading direction. A fixed list rather than
# str.isprintable(), whose answer for rare characters depends on the version of Python: the same log has to give the
# same decisions.
_UNREADABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def stock_availability_changed(record: Mapping[str, Any], on_hand: int) -> Input:
    """Build the event; ``record``: fields by name as in the schema, ``on_hand``: hundredths. Raises ``BadInput``."""
    event = StockAvailabilityChanged(
        record["eventId"],
        record["timestamp"],
        record["tenantId"],
        record["itemId"],
        record["locationId"],
        record.get("channel"),
        on_hand,
    )
    if event.channel is None:
        _check_ids(_SHARED_STOCK_IDS, event.event_id, event.tenant_id, event.item_id, event.location_id)
    else:
        _check_ids(_STOCK_IDS, event.event_id, event.tenant_id, event.item_id, event.location_id, event.channel)
    _check_timestamp("timestamp", event.timestamp)
    if not -MAX <= on_hand <= MAX:
        raise _out_of_range("onHand")
    return event


def reservation_created(record: Mapping[str, Any], quantity: int) -> Input:
    """Build the event; ``record``: fields by name as in the schema, ``quantity``: hundredths. Raises ``BadInput``."""
    event = ReservationCreated(
        record["eventId"],
        record["timestamp"],
        record["tenantId"],
        record["reservationId"],
        record["itemId"],
        record["locationId"],
        quantity,
        record["channel"],
        record.get("reference"),
        record.get("priority"),
        record.get("expiresAt"),
    )
    _check_reservation(event)
    if event.reference is not None:
        _check_text("reference", event.reference)
    if event.priority is not None and not 0 <= event.priority <= MAX_PRIORITY:
        raise BadInput(ErrorClass.PRIORITY_OUT_OF_RANGE, f"priority is not in 0 to {MAX_PRIORITY}: {event.priority}")
    if event.expires_at is not None:
        _check_timestamp("expiresAt", event.expires_at)
    return event


def reservation_released(record: Mapping[str, Any], quantity: int) -> Input:
    """Build the event; ``record``: fields by name as in the schema, ``quantity``: hundredths. Raises ``BadInput``."""
    event = ReservationReleased(
        record["eventId"],
        record["timestamp"],
        record["tenantId"],
        record["reservationId"],
        record["itemId"],
        record["locationId"],
        quantity,
        record["channel"],
        record.get("reason"),
    )
    _check_reservation(event)
    if event.reason is not None:
        _check_text("reason", event.reason)
    return event


BUILDERS: Final[Mapping[str, Callable[[Mapping[str, Any], int], Input]]] = {
    "StockAvailabilityChangedEvent": stock_availability_changed,
    "ReservationCreatedEvent": reservation_created,
    "ReservationReleasedEvent": reservation_released,
}
"""Event type to the function that builds its event."""


def _check_reservation(event: ReservationCreated | ReservationReleased) -> None:
    _check_ids(
        _RESERVATION_IDS,
        event.event_id,
        event.tenant_id,
        event.reservation_id,
        event.item_id,
        event.location_id,
        event.channel,
    )
    _check_timestamp("timestamp", event.timestamp)
    if not 0 < event.quantity <= MAX:
        if event.quantity > MAX:
            raise _out_of_range("quantity")
        raise BadInput(ErrorClass.QUANTITY_NOT_POSITIVE, "quantity is not above 0")


def _check_ids(names: tuple[str, ...], *ids: str) -> None:
    joined = "".join(ids)
    # Nearly always all of them together are short, printable and without a space: one look for all.
    if (
        len(joined) <= MAX_ID_BYTES
        and "" not in ids
        and joined.isascii()
        and joined.isprintable()
        and " " not in joined
    ):
        return
    for name, value in zip(names, ids, strict=True):
        _check_id(name, value)


def _check_id(name: str, value: str) -> None:
    if not value.strip(" "):
        raise BadInput(ErrorClass.EMPTY_ID, f"{name} is empty")
    if _UNREADABLE.search(value):
        raise BadInput(ErrorClass.ID_NOT_READABLE, f"{name} holds a control character: {quoted(value)}")
    if _utf8_length(name, value) > MAX_ID_BYTES:
        raise BadInput(ErrorClass.ID_TOO_LONG, f"{name} is longer than {MAX_ID_BYTES} bytes: {quoted(value)}")


def _check_text(name: str, value: str) -> None:
    if _utf8_length(name, value) > MAX_TEXT_BYTES:
        raise BadInput(ErrorClass.TEXT_TOO_LONG, f"{name} is longer than {MAX_TEXT_BYTES} bytes")


def _utf8_length(name: str, value: str) -> int:
    try:
        return len(value.encode())
    except UnicodeEncodeError:
        raise BadInput(ErrorClass.TEXT_NOT_UNICODE, f"{name} holds half a surrogate pair: {quoted(value)}") from None


def _check_timestamp(name: str, value: int) -> None:
    if not 0 <= value <= MAX_TIMESTAMP:
        if value < 0:
            raise BadInput(ErrorClass.NEGATIVE_TIMESTAMP, f"{name} is before 1970: {value}")
        raise BadInput(ErrorClass.TIMESTAMP_OUT_OF_RANGE, f"{name} is after the year 9999: {value}")


def _out_of_range(name: str) -> BadInput:
    return BadInput(ErrorClass.QUANTITY_OUT_OF_RANGE, f"{name} is outside decimal(18,2)")
