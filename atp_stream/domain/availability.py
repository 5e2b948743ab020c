"""What each channel may still promise: the formula of design section 3, name by name. Quantities in hundredths.

    dedicated[c]   = sum of on_hand[l, c] over locations      shared = sum of on_hand[l, shared]
    own_used[c]    = min(reserved[c], pos(dedicated[c]))      shared_used[c] = reserved[c] - own_used[c]
    free           = shared - safety_stock - sum over k of shared_used[k]
    kept_for(c)    = sum over k != c of pos(protected[k] - shared_used[k])
    available[c]   = pos(dedicated[c]) - own_used[c] + pos(free - kept_for(c))
                     then at most limit[c] - reserved[c] where a limit is set, and never below 0

Both halves of a result fit ``decimal(18,2)`` as long as ``Supply.magnitude`` does: available[c] is at most the sum of
the positive stock, and available[c] + reserved[c] is at most the greater of that sum and reserved[c]; so a commitment,
which takes no more than available[c], never lifts reserved[c] above the greatest sum there has been.
"""

from collections.abc import Mapping
from typing import NamedTuple

from atp_stream.domain.events import ShortageReason
from atp_stream.domain.policy import Policy
from atp_stream.domain.quantity import Quantity
from atp_stream.domain.state import SHARED, Stock


def pos(quantity: Quantity) -> Quantity:
    """Return the quantity, or 0 where it is negative."""
    return quantity if quantity > 0 else 0


class Supply(NamedTuple):
    """The stock of an item, summed over its locations."""

    dedicated: Mapping[str, Quantity]
    """By channel; may be negative (oversold)."""
    shared: Quantity | None
    """None: no shared stock is known, which counts as 0."""
    magnitude: Quantity
    """The sum of the absolute quantities of all places."""


def supply_of(on_hand: Mapping[str, Mapping[str, Stock]]) -> Supply:
    """Sum the stock over the locations."""
    dedicated: dict[str, Quantity] = {}
    shared: Quantity | None = None
    magnitude = 0
    for places in on_hand.values():
        for channel, stock in places.items():
            quantity = stock.on_hand
            magnitude += quantity if quantity > 0 else -quantity
            if channel != SHARED:
                dedicated[channel] = dedicated.get(channel, 0) + quantity
            else:
                shared = quantity if shared is None else shared + quantity
    return Supply(dedicated, shared, magnitude)


class HeldBack(NamedTuple):
    """Why a channel may not promise all that it has on hand and not reserved. No part is negative."""

    safety_stock: Quantity
    reserved_by_others: Quantity
    """Of the shared stock, by other channels."""
    protected_for_others: Quantity
    """Of the shared stock that is free."""
    over_limit: Quantity
    short: Quantity
    """Promised, or to be kept as safety stock, and not there."""

    @property
    def total(self) -> Quantity:
        """The parts in one: on hand less available and reserved. Negative where more is promised than is there."""
        *held, short = self
        return sum(held) - short


class Balance:
    """Supply against what is reserved, under a policy: answers for any channel at the same small cost.

    What all channels have in common is summed once.
    """

    __slots__ = ("_dedicated", "_free", "_kept", "_pools", "_reserved", "_safety_stock", "_shared_used")

    def __init__(self, supply: Supply, reserved: Mapping[str, Quantity], policy: Policy) -> None:
        self._dedicated = dedicated = supply.dedicated
        self._reserved = reserved
        self._pools = policy.by_channel
        self._safety_stock = policy.safety_stock
        # Only channels that reserve more than is dedicated to them use shared stock.
        self._shared_used = shared_used = {
            channel: quantity - pos(dedicated.get(channel, 0))
            for channel, quantity in reserved.items()
            if quantity > dedicated.get(channel, 0)
        }
        self._free = (supply.shared or 0) - policy.safety_stock - sum(shared_used.values())
        self._kept = 0
        for channel, pool in policy.by_channel.items():
            unused = pool.protected - shared_used.get(channel, 0)
            if unused > 0:
                self._kept += unused

    def _own_free(self, channel: str) -> Quantity:
        """Return ``pos(dedicated[c]) - own_used[c]``, which is this, since what is reserved is never negative."""
        return pos(self._dedicated.get(channel, 0) - self._reserved.get(channel, 0))

    def _kept_for(self, channel: str) -> Quantity:
        """Return the sum over all channels, less the channel's own part."""
        pool = self._pools.get(channel)
        return self._kept if pool is None else self._kept - pos(pool.protected - self._shared_used.get(channel, 0))

    def available(self, channel: str) -> Quantity:
        """Return what the channel may still promise; never negative."""
        available = self._own_free(channel)
        if self._free > 0:
            available += pos(self._free - self._kept_for(channel))
        pool = self._pools.get(channel)
        if pool is None or pool.limit is None:
            return available
        return pos(min(available, pool.limit - self._reserved.get(channel, 0)))

    def held_back(self, channel: str) -> HeldBack:
        """Return what stands between what the channel has on hand and what it may promise or has reserved."""
        unlimited = self._own_free(channel) + pos(self._free - self._kept_for(channel))
        return HeldBack(
            safety_stock=self._safety_stock,
            reserved_by_others=sum(used for other, used in self._shared_used.items() if other != channel),
            protected_for_others=min(self._kept_for(channel), pos(self._free)),
            over_limit=unlimited - self.available(channel),
            short=pos(-self._free) + pos(-self._dedicated.get(channel, 0)),
        )

    def shortage_reason(self, channel: str, quantity: Quantity) -> ShortageReason:
        """Name the constraint that bound for a quantity greater than ``available(channel)``.

        The constraints are lifted in the order limit, protection, safety stock, stock, each on top of those before it;
        the reason is the one with which the reservation would have fitted. So each denial has a reason, and
        ``INSUFFICIENT_STOCK`` says that no policy, however lenient, would have helped.

        Example: 100 shared, of which 30 are safety stock and 50 protected for another channel, limit 10. Of 15, the
        limit keeps 10: CHANNEL_LIMIT. Of 60, 20 without the limit, 70 without the protection as well:
        PROTECTED_FOR_OTHER_CHANNEL. Of 80: SAFETY_STOCK. Of 120: INSUFFICIENT_STOCK.
        """
        own_free = self._own_free(channel)
        if quantity <= own_free + pos(self._free - self._kept_for(channel)):
            return ShortageReason.CHANNEL_LIMIT
        if quantity <= own_free + pos(self._free):
            return ShortageReason.PROTECTED_FOR_OTHER_CHANNEL
        if quantity <= own_free + pos(self._free + self._safety_stock):
            return ShortageReason.SAFETY_STOCK
        return ShortageReason.INSUFFICIENT_STOCK
