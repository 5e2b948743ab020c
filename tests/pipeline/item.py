"""One item as the oracle sees it: what is known of it, and what has to come out, by the rules of design section 3."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from .core import CREATED, STOCK
from .ids import allocation_id, event_id

ZERO = Decimal("0.00")
AVAILABILITY, COMMITTED = "AvailabilityCalculatedEvent", "AllocationCommittedEvent"
GIVEN_BACK, DENIED = "AllocationReleasedEvent", "ReservationDeniedEvent"
#: The greatest sum of stock, as absolute quantities, that an item may have.
MOST = Decimal(10**18 - 1) / 100


class Policy(NamedTuple):
    """The rules in force, in units."""

    version: str = "1"
    channels: tuple[str, ...] = ("POS", "ECOM", "WHOLESALE", "MARKETPLACE")
    safety_stock: Decimal = ZERO
    protected: Mapping[str, Decimal] = {}
    limit: Mapping[str, Decimal] = {}


class Held(NamedTuple):
    """What is known of a reservation."""

    status: str
    channel: str
    #: Committed: what is left of it. Denied, and closed after that: what was asked. Otherwise closed: 0.
    quantity: Decimal
    allocation: str | None = None
    #: Event ids of the partial releases of a committed one.
    releases: tuple[str, ...] = ()


class Balance(NamedTuple):
    """Stock and its use by channel, summed over the places."""

    dedicated: Mapping[str, Decimal]
    shared: Decimal
    shared_used: Mapping[str, Decimal]


@dataclass
class Item:
    """What has become of an item. What came out is kept until somebody takes it."""

    policy: Policy
    places: dict[tuple[str, str | None], tuple[Decimal, int]] = field(default_factory=dict)
    reservations: dict[str, Held] = field(default_factory=dict)
    #: By channel, what its committed reservations hold: kept along, so that many of them cost no more.
    committed: dict[str, Decimal] = field(default_factory=dict)
    emitted: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    expected: list[dict[str, Any]] = field(default_factory=list)
    sequence: int = 0
    #: Event id, kind and timestamp of the last input that was not ignored.
    changed: list[Any] | None = None

    def reserved(self, channel: str) -> Decimal:
        return self.committed.get(channel, ZERO)

    def balance(self) -> Balance:
        dedicated: dict[str, Decimal] = {}
        shared = ZERO
        for (_, channel), (on_hand, _) in self.places.items():
            if channel is None:
                shared += on_hand
            else:
                dedicated[channel] = dedicated.get(channel, ZERO) + on_hand
        dedicated = {channel: max(ZERO, amount) for channel, amount in dedicated.items()}
        used = {code: max(ZERO, amount - dedicated.get(code, ZERO)) for code, amount in self.committed.items()}
        return Balance(dedicated, shared, used)

    def available(self, channel: str, policy: Policy, balance: Balance | None = None) -> Decimal:
        dedicated, shared, shared_used = balance or self.balance()
        reserved = self.reserved(channel)
        free = shared - policy.safety_stock - sum(shared_used.values(), ZERO)
        for code, amount in policy.protected.items():
            if code != channel:
                free -= max(ZERO, amount - shared_used.get(code, ZERO))
        own = dedicated.get(channel, ZERO)
        found = own - min(reserved, own) + max(ZERO, free)
        if channel in policy.limit:
            found = min(found, policy.limit[channel] - reserved)
        return max(ZERO, found)

    def reason(self, channel: str, quantity: Decimal) -> str:
        lenient = self.policy._replace(limit={})
        if quantity <= self.available(channel, lenient):
            return "CHANNEL_LIMIT"
        lenient = lenient._replace(protected={})
        if quantity <= self.available(channel, lenient):
            return "PROTECTED_FOR_OTHER_CHANNEL"
        lenient = lenient._replace(safety_stock=ZERO)
        return "SAFETY_STOCK" if quantity <= self.available(channel, lenient) else "INSUFFICIENT_STOCK"

    def apply(self, kind: str, event: Mapping[str, Any]) -> bool:
        """Take an input. False: refused, as no output could carry the stock in sum."""
        channel = event.get("channel")
        if kind == STOCK:
            place = (event["locationId"], channel)
            held = self.places.get(place)
            if held is not None and held[1] > event["timestamp"]:
                return True
            others = (abs(on_hand) for other, (on_hand, _) in self.places.items() if other != place)
            if sum(others, abs(event["onHand"])) > MOST:
                return False
            self.places[place] = (event["onHand"], event["timestamp"])
        else:
            assert isinstance(channel, str)
            took = self._created(event, channel) if kind == CREATED else self._released(event, channel)
            if took is None:
                return True
            channel = took
        self.changed = [event["eventId"], kind, event["timestamp"]]
        channels = set(self.emitted) | ({channel} if channel else set())
        if any(its is None for _, its in self.places):
            channels |= set(self.policy.channels)
        balance = self.balance()
        for code in sorted(channels):
            pair = (self.available(code, self.policy, balance), self.reserved(code))
            if self.emitted.get(code) != pair:
                self.emitted[code] = pair
                self.expect(AVAILABILITY, event, channel=code, available=pair[0], reserved=pair[1])
        return True

    def _created(self, event: Mapping[str, Any], channel: str) -> str | None:
        """The channel that it concerns; None: ignored."""
        name, quantity = event["reservationId"], event["quantity"]
        if name in self.reservations:
            return None
        available = self.available(channel, self.policy)
        if quantity <= available:
            allocation = allocation_id(event["tenantId"], event["itemId"], name)
            self.reservations[name] = Held("committed", channel, quantity, allocation)
            self.committed[channel] = self.reserved(channel) + quantity
            self.expect(COMMITTED, event, allocationId=allocation, channel=channel, quantity=quantity)
        else:
            why = self.reason(channel, quantity)
            self.reservations[name] = Held("denied", channel, quantity)
            refused = {"reservationId": name, "quantity": quantity, "available": available, "reason": why}
            self.expect(DENIED, event, channel=channel, **refused)
        return channel

    def _released(self, event: Mapping[str, Any], channel: str) -> str | None:
        """The channel that it concerns; None: nothing is given back."""
        name = event["reservationId"]
        known = self.reservations.get(name, Held("denied", channel, ZERO))
        if known.status != "committed":
            self.reservations[name] = known._replace(status="closed")
            return None
        if event["eventId"] in known.releases:
            return None
        back = min(known.quantity, event["quantity"])
        left = known.quantity - back
        self.reservations[name] = (
            known._replace(quantity=left, releases=(*known.releases, event["eventId"]))
            if left
            else known._replace(status="closed", quantity=ZERO, releases=())
        )
        channel = known.channel
        self.committed[channel] = self.reserved(channel) - back
        self.expect(
            GIVEN_BACK,
            event,
            allocationId=known.allocation,
            channel=channel,
            quantity=back,
            reason=event.get("reason"),
        )
        return channel

    def check_sums(self) -> None:
        """Hold what is kept along against the sums taken anew."""
        anew: dict[str, Decimal] = {}
        for held in self.reservations.values():
            if held.status == "committed":
                anew[held.channel] = anew.get(held.channel, ZERO) + held.quantity
        assert anew == {code: amount for code, amount in self.committed.items() if amount}

    def expect(self, kind: str, cause: Mapping[str, Any], **fields: Any) -> None:
        self.sequence += 1
        common = {"timestamp": cause["timestamp"], "tenantId": cause["tenantId"], "itemId": cause["itemId"]}
        self.expected.append(
            {
                "event-type": kind,
                "causation-id": cause["eventId"],
                "sequence": self.sequence,
                "rules-version": self.policy.version,
                "eventId": event_id(cause["tenantId"], cause["itemId"], cause["eventId"], kind, self.sequence),
                **common,
                **fields,
            }
        )
