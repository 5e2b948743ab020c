"""What is remembered of an item and of a reservation (design section 3). Quantities in hundredths, times in epoch ms.

The mappings are never changed in place: a rule makes new ones of those that it changes and shares the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from atp_stream.domain.quantity import Quantity

SHARED: Final = ""
"""Stands for "shared by all channels" where a channel code is a key; no channel has this code."""


@dataclass(frozen=True, slots=True)
class Stock:
    """On hand at one place, as of the timestamp of the event that said so."""

    on_hand: Quantity
    as_of: int


class Cause(NamedTuple):
    """The input that something goes back to, and when it was, by its own timestamp."""

    event_id: str
    kind: str
    """The event's type, such as ``ReservationCreatedEvent``."""
    timestamp: int


@dataclass(frozen=True, slots=True)
class ItemState:
    """An item of one tenant: sums only, so that an event costs the same however many reservations are open."""

    on_hand: Mapping[str, Mapping[str, Stock]]
    """By location, then by channel code or ``SHARED``."""
    reserved: Mapping[str, Quantity]
    """By channel: the sum of the committed allocations."""
    emitted: Mapping[str, tuple[Quantity, Quantity]]
    """By channel: the ``(available, reserved)`` last emitted. Its keys are the channels known so far."""
    sequence: int
    """The number of the last event emitted; 0 before the first."""
    changed: Cause | None = None
    """The last input that was not ignored; None before the first, and until the next where state is of version 1."""


NEW_ITEM: Final = ItemState(on_hand={}, reserved={}, emitted={}, sequence=0)
"""An item of which nothing is known."""

Status: TypeAlias = Literal["committed", "denied", "closed"]


@dataclass(frozen=True, slots=True)
class Reservation:
    """The one entry of a reservation; it is in exactly one status."""

    status: Status
    channel: str
    quantity: Quantity
    """Committed: what is left of it. Denied, and closed after a denial: what was asked. Otherwise closed: 0."""
    allocation_id: str | None
    """Set from commitment on; None if it was never committed."""
    releases: tuple[str, ...] = ()
    """Committed: the event ids of its partial releases, so that none is given back twice. Otherwise empty."""

    @property
    def released_unseen(self) -> bool:
        """Closed by a release that came before its creation."""
        return self.status == "closed" and self.allocation_id is None and self.quantity == 0
