"""Events in, facts decided, events out (design section 2). Frozen values.

Units: quantities are hundredths, times are epoch milliseconds. Ids are any non-empty text; so are channel codes.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, NamedTuple, TypeAlias

from atp_stream.domain.quantity import Quantity

# --- in, from Inventory Core (design section 2.1) ---


@dataclass(frozen=True, slots=True)
class StockAvailabilityChanged:
    """The quantity physically present at a place, absolute; ``channel`` None: shared by all channels."""

    kind: ClassVar = "StockAvailabilityChangedEvent"
    event_id: str
    timestamp: int
    tenant_id: str
    item_id: str
    location_id: str
    channel: str | None
    on_hand: Quantity
    """May be negative: oversold."""


@dataclass(frozen=True, slots=True)
class ReservationCreated:
    """A demand that Core has created. ``quantity`` is positive; no rule looks at the location."""

    kind: ClassVar = "ReservationCreatedEvent"
    event_id: str
    timestamp: int
    tenant_id: str
    reservation_id: str
    item_id: str
    location_id: str
    quantity: Quantity
    channel: str
    reference: str | None = None
    priority: int | None = None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class ReservationReleased:
    """A demand, or ``quantity`` (positive) of it, that has gone. The channel is that of the reservation."""

    kind: ClassVar = "ReservationReleasedEvent"
    event_id: str
    timestamp: int
    tenant_id: str
    reservation_id: str
    item_id: str
    location_id: str
    quantity: Quantity
    channel: str
    reason: str | None = None


Input: TypeAlias = StockAvailabilityChanged | ReservationCreated | ReservationReleased

# --- decided: what the input has brought about, without envelope (design sections 2.3 and 3) ---


class ShortageReason(StrEnum):
    """The constraint that bound when a reservation was denied (design section 3)."""

    CHANNEL_LIMIT = "CHANNEL_LIMIT"
    PROTECTED_FOR_OTHER_CHANNEL = "PROTECTED_FOR_OTHER_CHANNEL"
    SAFETY_STOCK = "SAFETY_STOCK"
    INSUFFICIENT_STOCK = "INSUFFICIENT_STOCK"


@dataclass(frozen=True, slots=True)
class AvailabilityCalculated:
    """What a channel may still promise, and what is committed in it."""

    kind: ClassVar = "AvailabilityCalculatedEvent"
    channel: str
    available: Quantity
    reserved: Quantity


@dataclass(frozen=True, slots=True)
class AllocationCommitted:
    """Stock committed to one reservation, all of what it asked for."""

    kind: ClassVar = "AllocationCommittedEvent"
    allocation_id: str
    channel: str
    quantity: Quantity


@dataclass(frozen=True, slots=True)
class AllocationReleased:
    """``quantity`` of an allocation given back: what was in fact given back, never more than was left."""

    kind: ClassVar = "AllocationReleasedEvent"
    allocation_id: str
    channel: str
    quantity: Quantity
    reason: str | None


@dataclass(frozen=True, slots=True)
class ReservationDenied:
    """A reservation refused: it asked for ``quantity`` while ``available`` could be promised."""

    kind: ClassVar = "ReservationDeniedEvent"
    reservation_id: str
    channel: str
    quantity: Quantity
    available: Quantity
    reason: ShortageReason


@dataclass(frozen=True, slots=True)
class AllocationBackordered:
    """A reservation kept waiting for stock: it asked for ``quantity`` while ``available`` could be promised."""

    kind: ClassVar = "AllocationBackorderedEvent"
    reservation_id: str
    channel: str
    quantity: Quantity
    available: Quantity


Fact: TypeAlias = (
    AvailabilityCalculated | AllocationCommitted | AllocationReleased | ReservationDenied | AllocationBackordered
)

# --- out ---


class OutputEvent(NamedTuple):
    """A fact numbered and named, ready to be encoded (design section 2.3).

    ``sequence`` is gapless per item, from 1; ``causation_id`` and ``timestamp`` are those of the causing input.
    """

    event_id: str
    timestamp: int
    tenant_id: str
    item_id: str
    sequence: int
    causation_id: str
    rules_version: str
    fact: Fact
