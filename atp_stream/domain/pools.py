"""An item as one looks at it: what each channel has, and what keeps it from having more. Quantities in hundredths.

For every channel

    on hand = available + reserved + held back

where on hand is what is dedicated to the channel and all that is shared.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from atp_stream.domain.availability import Balance, HeldBack, supply_of
from atp_stream.domain.policy import ChannelPolicy, Policy
from atp_stream.domain.quantity import Quantity
from atp_stream.domain.state import ItemState

_NO_RULES = ChannelPolicy()


@dataclass(frozen=True, slots=True)
class ChannelPool:
    """One channel of an item."""

    dedicated: Quantity
    on_hand: Quantity
    """Dedicated and shared."""
    reserved: Quantity
    available: Quantity
    protected: Quantity
    limit: Quantity | None
    held_back: HeldBack

    @property
    def is_oversold(self) -> bool:
        """Whether more is promised than is there."""
        return self.held_back.total < 0


def channels_of(item: ItemState, policy: Policy) -> tuple[str, ...]:
    """Return the channels that may be asked for, in order: those that the item's events named, and all configured."""
    return tuple(sorted({*item.emitted, *policy.channels}))


def pools(item: ItemState, policy: Policy, channels: Iterable[str]) -> dict[str, ChannelPool]:
    """Return these channels of the item, by their codes, under the policy in force."""
    supply = supply_of(item.on_hand)
    balance = Balance(supply, item.reserved, policy)
    found: dict[str, ChannelPool] = {}
    for channel in channels:
        rules = policy.by_channel.get(channel, _NO_RULES)
        dedicated = supply.dedicated.get(channel, 0)
        found[channel] = ChannelPool(
            dedicated,
            dedicated + (supply.shared or 0),
            item.reserved.get(channel, 0),
            balance.available(channel),
            rules.protected,
            rules.limit,
            balance.held_back(channel),
        )
    return found


def available(item: ItemState, policy: Policy, channel: str) -> Quantity:
    """Return what the channel may promise at the moment, as the next reservation would find it."""
    return Balance(supply_of(item.on_hand), item.reserved, policy).available(channel)
