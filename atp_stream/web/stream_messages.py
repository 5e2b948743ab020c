"""The messages of the stream of changes, and how they travel as server-sent events.

The id of a message says up to where its reader has seen what: `RUN.POSITION`, for each worker's run one, with commas
between. Sent back as `Last-Event-ID` it is where the stream goes on.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from atp_stream.domain.events import (
    AllocationBackordered,
    AllocationCommitted,
    AllocationReleased,
    AvailabilityCalculated,
    OutputEvent,
    ReservationDenied,
)
from atp_stream.web.models import ItemRow, Model, Quantity, encode, quantity

_PLACE: Final = re.compile(r"([0-9a-f]{8})\.([0-9]{1,18})")
MOST_PLACES: Final = 1024


class RowsTold(Model, frozen=True):
    """`rows`: items that have changed, each as it is now, in all channels that are watched.

    waiting: so many changes came faster than they are told; they are told next.
    """

    rows: Sequence[ItemRow]
    waiting: int = 0


Kind: TypeAlias = Literal["committed", "released", "denied", "backordered"]


class EventTold(Model, frozen=True):
    """An event that went out. available: of a denial, what could be promised when it was asked for."""

    event_id: str
    kind: Kind
    timestamp: int
    tenant_id: str
    item_id: str
    channel: str
    quantity: Quantity
    available: Quantity | None
    reason: str | None
    #: The allocation that was committed or released, the reservation that was denied.
    about: str
    sequence: int
    causation_id: str


class EventsTold(Model, frozen=True):
    """`events`: what went out, oldest first. skipped: so many more were left out, as nobody could read them."""

    events: Sequence[EventTold]
    skipped: int = 0


class CourseTold(Model, frozen=True):
    """The last values of what a channel may promise, oldest first."""

    tenant_id: str
    item_id: str
    channel: str
    available: Sequence[Quantity]


class CoursesTold(Model, frozen=True):
    """`courses`: once, at the beginning of a stream that does not go on from another."""

    courses: Sequence[CourseTold]


class PlaceTold(Model, frozen=True):
    """A worker and the partitions of the state that the group has given it."""

    url: str
    table_partitions: Sequence[int]


class GroupTold(Model, frozen=True):
    """`group`: the workers as the group last settled. asked: the one that sends this; time: its clock, epoch ms."""

    asked: str
    time: int
    workers: Sequence[PlaceTold]


Reason: TypeAlias = Literal["behind", "rebalance", "lost"]


class ResetTold(Model, frozen=True):
    """`reset`: changes may have been missed; what is shown is to be read anew.

    `behind`: they came faster than they were taken; `rebalance`: partitions have moved; `lost`: what was said last is
    not known here.
    """

    reason: Reason


@dataclass(frozen=True, slots=True)
class Message:
    """One message. data: JSON, in one line. run, position: of the worker it comes from; None: it is of the group."""

    event: str
    data: bytes
    run: str | None = None
    position: int = 0

    @classmethod
    def of(cls, event: str, told: Model, run: str | None = None, position: int = 0) -> "Message":
        """Return the message that says this."""
        return cls(event, encode(told), run, position)


def written(message: Message, places: Mapping[str, int]) -> bytes:
    """Return a message as a server-sent event, with the id that these places make."""
    ident = ",".join(f"{run}.{position}" for run, position in places.items())
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (ident.encode(), message.event.encode(), message.data)


def places_of(last_event_id: str) -> dict[str, int]:
    """Return what an id says, by run; what is no id says nothing."""
    found = [_PLACE.fullmatch(part) for part in last_event_id.split(",")[:MOST_PLACES]]
    return {each[1]: int(each[2]) for each in found if each is not None}


def event_told(output: OutputEvent) -> EventTold:
    """Return an event other than availability as it is told."""
    fact = output.fact
    kind: Kind
    available, reason = None, None
    match fact:
        case AllocationCommitted():
            kind, about = "committed", fact.allocation_id
        case AllocationReleased():
            kind, about, reason = "released", fact.allocation_id, fact.reason
        case ReservationDenied():
            kind, about, reason = "denied", fact.reservation_id, fact.reason.value
            available = quantity(fact.available)
        case AllocationBackordered():
            kind, about, available = "backordered", fact.reservation_id, quantity(fact.available)
        case AvailabilityCalculated():
            raise ValueError("availability is told as rows")
    return EventTold(
        event_id=output.event_id,
        kind=kind,
        timestamp=output.timestamp,
        tenant_id=output.tenant_id,
        item_id=output.item_id,
        channel=fact.channel,
        quantity=quantity(fact.quantity),
        available=available,
        reason=reason,
        about=about,
        sequence=output.sequence,
        causation_id=output.causation_id,
    )
