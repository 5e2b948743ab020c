"""An event that came out as one line of text."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from atp_stream.tools.received import DEAD_LETTER, Received, printable

COLORS: Final[Mapping[str, str | None]] = {
    "AvailabilityCalculatedEvent": None,
    "AllocationCommittedEvent": "green",
    "AllocationReleasedEvent": "cyan",
    "ReservationDeniedEvent": "yellow",
    "AllocationBackorderedEvent": "yellow",
    DEAD_LETTER: "red",
}
WORDS: Final[Mapping[str, str]] = {
    "AvailabilityCalculatedEvent": "availability",
    "AllocationCommittedEvent": "committed",
    "AllocationReleasedEvent": "released",
    "ReservationDeniedEvent": "denied",
    "AllocationBackorderedEvent": "backordered",
    DEAD_LETTER: "dead letter",
}


def as_line(received: Received) -> tuple[str, str | None]:
    """Return the line, without escape bytes, and its colour (None: none). Times are those of this machine's zone."""
    color = COLORS[received.kind]
    if received.unreadable is not None:
        body, color = f"{received.topic}[{received.partition}]@{received.offset}  {received.unreadable}", "red"
    elif received.kind == DEAD_LETTER:
        body = dead_letter(received)
    else:
        fields, causation = received.fields, received.headers.get("causation-id", "?")
        item = f"{fields['tenantId']}/{fields['itemId']}"
        what = f"{item:24}  {fields['channel']:12} {numbers(received):51}"
        body = f"{what}  #{received.sequence:<6} caused by {causation}"
    return printable(f"{clock(received.time)}  {WORDS[received.kind]:12}  {body}"), color


def dead_letter(received: Received) -> str:
    """Return where a dead letter came from and what is wrong with it."""
    source = f"{received.cause('topic')}[{received.cause('partition')}]@{received.cause('offset')}"
    return f"{source}  {received.cause('error')}: {received.cause('message')}"


def clock(milliseconds: int) -> str:
    """Return the time of day in this machine's zone, to the millisecond."""
    return datetime.fromtimestamp(milliseconds / 1000).strftime("%H:%M:%S.%f")[:-3]


def numbers(received: Received) -> str:
    """Return the quantities of an output event, with two decimals, and its reason."""
    return _NUMBERS[received.kind](received.fields)


def _availability(fields: Mapping[str, Any]) -> str:
    return f"{fields['available']:10.2f} available {fields['reserved']:10.2f} reserved"


def _allocation(fields: Mapping[str, Any]) -> str:
    reason = fields.get("reason")
    return f"{fields['quantity']:10.2f}" + (f" {reason}" if reason else "")


def _refused(fields: Mapping[str, Any]) -> str:
    reason = fields.get("reason")
    return f"{fields['quantity']:10.2f} of {fields['available']:.2f} available" + (f", {reason}" if reason else "")


_NUMBERS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "AvailabilityCalculatedEvent": _availability,
    "AllocationCommittedEvent": _allocation,
    "AllocationReleasedEvent": _allocation,
    "ReservationDeniedEvent": _refused,
    "AllocationBackorderedEvent": _refused,
}
