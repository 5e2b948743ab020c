"""The rows of lists: an item in one channel, by what it is chosen and put in order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from atp_stream.domain.availability import Balance, pos, supply_of
from atp_stream.domain.policy import Policy
from atp_stream.domain.state import ItemState
from atp_stream.web.models import ItemStatus

RANKS: Final = {status: rank for rank, status in enumerate(ItemStatus)}


class KeyPosition(NamedTuple):
    """A place in the order of keys. Channel empty: before the item's first row."""

    key: bytes
    channel: str


class AttentionPosition(NamedTuple):
    """A place in the order of urgency. available: hundredths."""

    rank: int
    available: int
    key: bytes
    channel: str


Position: TypeAlias = KeyPosition | AttentionPosition


class Row(NamedTuple):
    """An item in one channel, as found: what it is chosen and put in order by."""

    key: bytes
    channel: str
    item: ItemState
    available: int
    status: ItemStatus

    @property
    def by_key(self) -> KeyPosition:
        """Where it stands in the order of keys."""
        return KeyPosition(self.key, self.channel)

    @property
    def by_attention(self) -> AttentionPosition:
        """Where it stands in the order of urgency."""
        return AttentionPosition(RANKS[self.status], self.available, self.key, self.channel)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows are wanted; empty or None: all. low: hundredths."""

    tenant: str | None
    prefix: str
    channel: str | None
    statuses: frozenset[ItemStatus]
    low: int

    def rows(self, key: bytes, item: ItemState, policy: Policy) -> Iterator[Row]:
        """Yield the wanted rows of an item, in the order of the channels that its events have made known."""
        if self.channel is None:
            channels: Sequence[str] = sorted(item.emitted)
        else:
            channels = [self.channel] if self.channel in item.emitted else []
        standing = Standing(item, policy)
        for channel in channels:
            available, status = standing.of(channel, self.low)
            if not self.statuses or status in self.statuses:
                yield Row(key, channel, item, available, status)


class Standing:
    """How the channels of an item stand, without all that `domain.pools` works out: it is asked of every item."""

    __slots__ = ("_balance", "_is_short", "_item", "_supply")

    def __init__(self, item: ItemState, policy: Policy) -> None:
        self._item = item
        self._supply = supply = supply_of(item.on_hand)
        self._balance = Balance(supply, item.reserved, policy)
        beyond = [quantity - pos(supply.dedicated.get(channel, 0)) for channel, quantity in item.reserved.items()]
        self._is_short = sum(map(pos, beyond)) > (supply.shared or 0)

    def of(self, channel: str, low: int) -> tuple[int, ItemStatus]:
        """Return what a channel may promise, and its status.

        Oversold: what is committed to it is not all there. That may be its own doing, or, of stock that all share,
        that of all channels together.
        """
        available, reserved = self._balance.available(channel), self._item.reserved.get(channel, 0)
        dedicated = self._supply.dedicated.get(channel, 0)
        if available + reserved > dedicated + (self._supply.shared or 0) or (
            self._is_short and reserved > pos(dedicated)
        ):
            return available, ItemStatus.OVERSOLD
        if available == 0:
            return available, ItemStatus.OUT
        return available, ItemStatus.LOW if available < low else ItemStatus.OK
