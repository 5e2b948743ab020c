"""The rules of design section 3 once more, written as plainly as possible and without regard to cost.

Every number is a ``Fraction`` of units, every sum is taken anew over all places and all reservations ever seen.
Facts are tuples whose first element is their kind.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from atp_stream.domain.events import (
    AllocationCommitted,
    AllocationReleased,
    AvailabilityCalculated,
    Fact,
    Input,
    ReservationCreated,
    ReservationDenied,
    StockAvailabilityChanged,
)
from atp_stream.domain.policy import ChannelPolicy, Policy

PlainFact = tuple[str, str, Fraction, object]


def units(hundredths: int) -> Fraction:
    return Fraction(hundredths, 100)


@dataclass(frozen=True)
class Figures:
    """What the formula needs, in units."""

    dedicated: dict[str, Fraction]
    shared: Fraction
    reserved: dict[str, Fraction]

    def shared_used(self, channel: str) -> Fraction:
        own = max(Fraction(0), self.dedicated.get(channel, Fraction(0)))
        reserved = self.reserved.get(channel, Fraction(0))
        return reserved - min(reserved, own)

    def all_shared_used(self) -> Fraction:
        return sum((self.shared_used(channel) for channel in self.reserved), Fraction(0))


def available(figures: Figures, policy: Policy, channel: str) -> Fraction:
    zero = Fraction(0)
    own = max(zero, figures.dedicated.get(channel, zero))
    reserved = figures.reserved.get(channel, zero)
    free = figures.shared - units(policy.safety_stock) - figures.all_shared_used()
    kept = zero
    for other, pool in policy.by_channel.items():
        if other != channel:
            kept += max(zero, units(pool.protected) - figures.shared_used(other))
    result = own - min(reserved, own) + max(zero, free - kept)
    limit = policy.by_channel.get(channel, ChannelPolicy()).limit
    if limit is not None:
        result = min(result, units(limit) - reserved)
    return max(zero, result)


def without_limits(policy: Policy) -> Policy:
    pools = {code: ChannelPolicy(pool.protected, None) for code, pool in policy.by_channel.items()}
    return Policy(policy.version, policy.channels, policy.safety_stock, pools)


def without_pools(policy: Policy) -> Policy:
    return Policy(policy.version, policy.channels, policy.safety_stock, {})


def without_anything(policy: Policy) -> Policy:
    return Policy(policy.version, policy.channels, 0, {})


def reason(figures: Figures, policy: Policy, channel: str, quantity: Fraction) -> str:
    for name, lenient in (
        ("CHANNEL_LIMIT", without_limits(policy)),
        ("PROTECTED_FOR_OTHER_CHANNEL", without_pools(policy)),
        ("SAFETY_STOCK", without_anything(policy)),
    ):
        if quantity <= available(figures, lenient, channel):
            return name
    return "INSUFFICIENT_STOCK"


@dataclass
class Seen:
    status: str
    channel: str
    left: Fraction
    releases: set[str] = field(default_factory=set)


@dataclass
class Reference:
    """One item."""

    places: dict[tuple[str, str | None], tuple[Fraction, int]] = field(default_factory=dict)
    reservations: dict[str, Seen] = field(default_factory=dict)
    emitted: dict[str, tuple[Fraction, Fraction]] = field(default_factory=dict)

    def figures(self) -> Figures:
        dedicated: dict[str, Fraction] = {}
        reserved: dict[str, Fraction] = {}
        for (_, channel), (quantity, _) in self.places.items():
            if channel is not None:
                dedicated[channel] = dedicated.get(channel, Fraction(0)) + quantity
        for seen in self.reservations.values():
            if seen.status == "committed":
                reserved[seen.channel] = reserved.get(seen.channel, Fraction(0)) + seen.left
        shared = sum((q for (_, channel), (q, _) in self.places.items() if channel is None), Fraction(0))
        return Figures(dedicated, shared, reserved)

    def apply(self, event: Input, policy: Policy) -> list[PlainFact]:
        if isinstance(event, StockAvailabilityChanged):
            place = (event.location_id, event.channel)
            if place in self.places and self.places[place][1] > event.timestamp:
                return []
            self.places[place] = (units(event.on_hand), event.timestamp)
            return self._availability(policy, [] if event.channel is None else [event.channel])

        seen = self.reservations.get(event.reservation_id)
        if isinstance(event, ReservationCreated):
            if seen is not None:
                return []
            wanted, figures = units(event.quantity), self.figures()
            if wanted <= available(figures, policy, event.channel):
                self.reservations[event.reservation_id] = Seen("committed", event.channel, wanted)
                first: PlainFact = ("committed", event.channel, wanted, None)
            else:
                self.reservations[event.reservation_id] = Seen("denied", event.channel, wanted)
                why = reason(figures, policy, event.channel, wanted)
                first = ("denied", event.channel, wanted, (available(figures, policy, event.channel), why))
            return [first, *self._availability(policy, [event.channel])]

        if seen is None:
            self.reservations[event.reservation_id] = Seen("closed", event.channel, Fraction(0))
            return []
        if seen.status != "committed":
            seen.status = "closed"
            return []
        if event.event_id in seen.releases:
            return []
        given_back = min(units(event.quantity), seen.left)
        seen.left -= given_back
        seen.releases.add(event.event_id)
        if seen.left == 0:
            seen.status = "closed"
        return [("released", seen.channel, given_back, event.reason), *self._availability(policy, [seen.channel])]

    def _availability(self, policy: Policy, named: Iterable[str]) -> list[PlainFact]:
        figures = self.figures()
        channels = set(self.emitted) | set(named)
        if any(channel is None for _, channel in self.places):
            channels |= set(policy.channels)
        facts: list[PlainFact] = []
        for channel in sorted(channels):
            pair = (available(figures, policy, channel), figures.reserved.get(channel, Fraction(0)))
            if self.emitted.get(channel) != pair:
                self.emitted[channel] = pair
                facts.append(("availability", channel, *pair))
        return facts


def plain(fact: Fact) -> PlainFact:
    """A fact of the domain in the words of the reference."""
    match fact:
        case AvailabilityCalculated():
            return ("availability", fact.channel, units(fact.available), units(fact.reserved))
        case AllocationCommitted():
            return ("committed", fact.channel, units(fact.quantity), None)
        case AllocationReleased():
            return ("released", fact.channel, units(fact.quantity), fact.reason)
        case ReservationDenied():
            return ("denied", fact.channel, units(fact.quantity), (units(fact.available), str(fact.reason)))
        case _:
            raise AssertionError(f"not decided in this version: {fact}")
