"""What the web API answers with, as JSON in camelCase. The OpenAPI document is made from these.

Quantities are exact: decimals with two places here and JSON numbers with two places (`120.00`) on the wire, written by
`encode`. Times are epoch milliseconds where an event said them.
"""

import datetime
import enum
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

encode: Final = msgspec.json.Encoder(decimal_format="number").encode
"""Write a model: a decimal becomes a JSON number, never a float on its way."""

Quantity = Annotated[
    Decimal,
    Meta(description="An exact number, always with two places. Read it as a decimal, not as a float."),
]


def quantity(hundredths: int) -> Decimal:
    """Return hundredths as a decimal with two places: 12000 is 120.00."""
    return Decimal(hundredths).scaleb(-2)


def hundredths(amount: Decimal) -> int:
    """Return a decimal with at most two places in hundredths."""
    return int(amount.scaleb(2))


class Model(msgspec.Struct, frozen=True, rename="camel"):
    """Base of everything that is answered."""


class Availability(Model, frozen=True):
    """What a channel may still promise of an item, and what is committed in it."""

    item_id: str
    channel: str
    available: Quantity
    reserved: Quantity
    promise_date: Annotated[
        datetime.date | None,
        Meta(description="As asked for; what will be there by then is not known yet, so the answer is that of now."),
    ] = None


class Cause(Model, frozen=True):
    """The input event that last changed an item."""

    event_id: str
    kind: str
    timestamp: int


class HeldBack(Model, frozen=True):
    """Why a channel may not promise all that is on hand and not reserved by itself.

    `heldBack` is the sum of the other parts less `short`: what is promised or to be kept, and is not there.
    """

    safety_stock: Quantity
    reserved_by_others: Quantity
    protected_for_others: Quantity
    over_limit: Quantity
    short: Quantity


class Place(Model, frozen=True):
    """What is physically there at a location: dedicated to a channel, or (`channel` null) shared by all."""

    location_id: str
    channel: str | None
    on_hand: Quantity
    as_of: Annotated[int, Meta(description="The timestamp of the event that said so, epoch ms.")]


class ChannelPool(Model, frozen=True):
    """One channel's part of an item: `onHand = available + reserved + heldBack`."""

    channel: str
    protected: Annotated[Quantity, Meta(description="Shared quantity ring-fenced for the channel.")]
    limit: Annotated[Quantity | None, Meta(description="The most that it may have reserved; null: no limit.")]
    on_hand: Annotated[Quantity, Meta(description="Dedicated to the channel, and shared.")]
    dedicated: Quantity
    reserved: Quantity
    available: Quantity
    held_back: Quantity
    held_back_for: HeldBack


class Pools(Model, frozen=True):
    """All that is known of an item."""

    tenant_id: str
    item_id: str
    sequence: Annotated[int, Meta(description="The number of the item's last event.")]
    rules_version: str
    safety_stock: Annotated[Quantity, Meta(description="Shared quantity that no allocation may consume.")]
    on_hand: Sequence[Place]
    channels: Sequence[ChannelPool]
    changed: Annotated[Cause | None, Meta(description="Null for an item last changed before this was kept.")]


class Reservation(Model, frozen=True):
    """What has become of a reservation."""

    item_id: str
    reservation_id: str
    status: Literal["committed", "denied", "closed"]
    channel: str
    quantity: Annotated[
        Quantity,
        Meta(
            description="Committed: what is left of it. Denied, and closed after a denial: what was asked for. "
            "Otherwise closed: 0."
        ),
    ]
    allocation_id: Annotated[str | None, Meta(description="Null: it was never committed.")]
    releases: Annotated[Sequence[str], Meta(description="Committed: the event ids of its partial releases.")]


class ItemStatus(enum.StrEnum):
    """How a channel stands with an item, the most urgent first."""

    OVERSOLD = "oversold"
    """More is committed than is there."""
    OUT = "out"
    """Nothing may be promised."""
    LOW = "low"
    """Less than the threshold may be promised."""
    OK = "ok"


class ItemRow(Model, frozen=True):
    """An item in one channel: `onHand = available + reserved + heldBack`."""

    tenant_id: str
    item_id: str
    channel: str
    on_hand: Quantity
    available: Quantity
    reserved: Quantity
    held_back: Quantity
    held_back_for: HeldBack
    status: ItemStatus
    sequence: int
    changed: Cause | None


class ItemPage(Model, frozen=True):
    """A part of the list of items."""

    items: Sequence[ItemRow]
    next_cursor: Annotated[
        str | None,
        Meta(description="To be passed as `cursor` for the part that follows; null: there is none."),
    ]
    missing_partitions: Annotated[
        Sequence[int],
        Meta(description="Partitions that could not be read; only ever with `partial=true`."),
    ] = ()


class Restoring(Model, frozen=True):
    """How far a worker is from having its state."""

    partitions: int
    records: int
    seconds: Annotated[float | None, Meta(description="Left, as far as can be told.")]


class WorkerInfo(Model, frozen=True):
    """A worker of the group. One that does not answer has a URL, its partitions and the state `unreachable` only."""

    url: str
    state: Annotated[str, Meta(description="`processing`, or why it waits; see docs/operations.md.")]
    ready: bool
    table_partitions: Annotated[
        Sequence[int],
        Meta(description="The partitions of the state that the group has given it."),
    ]
    pid: int | None = None
    host: str | None = None
    version: str | None = None
    uptime_seconds: float | None = None
    reason: Annotated[str | None, Meta(description="Why it is not ready.")] = None
    partitions: Annotated[Mapping[str, Sequence[int]] | None, Meta(description="By topic.")] = None
    lag: Annotated[int | None, Meta(description="Records that wait for it at the brokers, at least.")] = None
    restoring: Annotated[Restoring | None, Meta(description="Null: nothing is being restored.")] = None
    transactions: int | None = None
    records: int | None = None


class Workers(Model, frozen=True):
    """All workers of the group, as the group last settled."""

    asked: Annotated[str, Meta(description="URL of the worker that answers this.")]
    workers: Sequence[WorkerInfo]
