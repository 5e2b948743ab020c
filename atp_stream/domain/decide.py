"""The rules: what an input changes, and the facts that follow (design section 3). One function per kind of input."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias

from atp_stream.domain.availability import Balance, Supply, supply_of
from atp_stream.domain.events import (
    AllocationCommitted,
    AllocationReleased,
    AvailabilityCalculated,
    Fact,
    Input,
    ReservationCreated,
    ReservationDenied,
    ReservationReleased,
    StockAvailabilityChanged,
)
from atp_stream.domain.ids import allocation_id
from atp_stream.domain.policy import Policy
from atp_stream.domain.quantity import MAX, Quantity
from atp_stream.domain.state import SHARED, Cause, ItemState, Reservation, Stock


class Outcome(StrEnum):
    """What became of an input, for metrics and logs."""

    CHANGED = "changed"
    """Stock taken over."""
    STALE = "stale"
    """Stock older than the one held for that place: ignored."""
    OUT_OF_RANGE = "out_of_range"
    """Stock that ``decimal(18,2)`` could not carry in sum: refused, state unchanged; to be dead-lettered."""
    COMMITTED = "committed"
    DENIED = "denied"
    RELEASED = "released"
    """All or part of an allocation given back."""
    CLOSED = "closed"
    """A release with nothing to give back, or the creation that came after it: nothing out."""
    DUPLICATE = "duplicate"
    """Known already: ignored."""


class Decision(NamedTuple):
    """The state after an input, and what has come about."""

    item: ItemState
    """The very object passed in where nothing has changed. Its sequence is advanced by ``emission.emit`` alone."""
    reservation: Reservation | None
    """The new entry of the reservation that the event names; None: unchanged, or the event names none."""
    facts: tuple[Fact, ...]
    """Allocation facts first, then availability in the order of the channel codes."""
    outcome: Outcome


def decide(item: ItemState, reservation: Reservation | None, event: Input, policy: Policy) -> Decision:
    """Decide one input. Pure: the same arguments give an equal decision.

    ``reservation`` is the entry of the reservation that the event names; None: never seen, or the event names none.
    """
    return _RULES[type(event)](item, reservation, event, policy)


def _stock_changed(item: ItemState, _: Reservation | None, event: StockAvailabilityChanged, policy: Policy) -> Decision:
    channel = SHARED if event.channel is None else event.channel
    places = item.on_hand.get(event.location_id, {})
    held = places.get(channel)
    if held is not None and event.timestamp < held.as_of:
        return _ignored(item, Outcome.STALE)
    on_hand = {**item.on_hand, event.location_id: {**places, channel: Stock(event.on_hand, event.timestamp)}}
    supply = supply_of(on_hand)
    if supply.magnitude > MAX:
        return _ignored(item, Outcome.OUT_OF_RANGE)
    changed = ItemState(on_hand, item.reserved, item.emitted, item.sequence)
    return _settle(changed, event, supply, event.channel, policy, Outcome.CHANGED)


def _reservation_created(
    item: ItemState, known: Reservation | None, event: ReservationCreated, policy: Policy
) -> Decision:
    if known is not None:
        return _ignored(item, Outcome.CLOSED if known.released_unseen else Outcome.DUPLICATE)
    supply = supply_of(item.on_hand)
    channel, quantity = event.channel, event.quantity
    balance = Balance(supply, item.reserved, policy)
    available = balance.available(channel)
    if quantity <= available:
        allocation = allocation_id(event.tenant_id, event.item_id, event.reservation_id)
        committed = AllocationCommitted(allocation, channel, quantity)
        entry = Reservation("committed", channel, quantity, allocation)
        reserved = _reserve(item, channel, quantity)
        return _settle(reserved, event, supply, channel, policy, Outcome.COMMITTED, committed, entry)
    reason = balance.shortage_reason(channel, quantity)
    denied = ReservationDenied(event.reservation_id, channel, quantity, available, reason)
    entry = Reservation("denied", channel, quantity, None)
    return _settle(item, event, supply, channel, policy, Outcome.DENIED, denied, entry)


def _reservation_released(
    item: ItemState, known: Reservation | None, event: ReservationReleased, policy: Policy
) -> Decision:
    if known is None:
        return _ignored(item, Outcome.CLOSED, Reservation("closed", event.channel, 0, None))
    if known.status == "denied":
        return _ignored(item, Outcome.CLOSED, Reservation("closed", known.channel, known.quantity, None))
    if known.status == "closed" or event.event_id in known.releases:
        return _ignored(item, Outcome.DUPLICATE)
    channel, allocation = known.channel, known.allocation_id
    assert allocation is not None  # committed
    given_back = min(event.quantity, known.quantity)
    left = known.quantity - given_back
    if left:
        entry = Reservation("committed", channel, left, allocation, (*known.releases, event.event_id))
    else:
        entry = Reservation("closed", channel, 0, allocation)
    released = AllocationReleased(allocation, channel, given_back, event.reason)
    changed = _reserve(item, channel, -given_back)
    return _settle(changed, event, supply_of(item.on_hand), channel, policy, Outcome.RELEASED, released, entry)


_Rule: TypeAlias = Callable[[ItemState, Reservation | None, Any, Policy], Decision]

_RULES: Final[Mapping[type[Input], _Rule]] = {
    StockAvailabilityChanged: _stock_changed,
    ReservationCreated: _reservation_created,
    ReservationReleased: _reservation_released,
}


def _ignored(item: ItemState, outcome: Outcome, reservation: Reservation | None = None) -> Decision:
    """Nothing out: the item stays as it is, and the input names no channel."""
    return Decision(item, reservation, (), outcome)


def _reserve(item: ItemState, channel: str, quantity: Quantity) -> ItemState:
    """Return the item with so much more reserved in the channel, or less where negative."""
    reserved = {**item.reserved, channel: item.reserved.get(channel, 0) + quantity}
    return ItemState(item.on_hand, reserved, item.emitted, item.sequence)


def _settle(
    item: ItemState,
    event: Input,
    supply: Supply,
    named: str | None,
    policy: Policy,
    outcome: Outcome,
    allocation: Fact | None = None,
    reservation: Reservation | None = None,
) -> Decision:
    """Finish every input that is not ignored: the availability of each channel whose pair is not the last emitted one.

    ``supply`` is that of the item, ``named`` the channel that the input names, ``allocation`` the first fact.
    """
    channels = {*item.emitted}
    if named is not None:
        channels.add(named)
    if supply.shared is not None:
        channels.update(policy.channels)
    balance = Balance(supply, item.reserved, policy)
    facts: list[Fact] = [] if allocation is None else [allocation]
    news: dict[str, tuple[Quantity, Quantity]] = {}
    for channel in sorted(channels):
        available, reserved = pair = balance.available(channel), item.reserved.get(channel, 0)
        if item.emitted.get(channel) != pair:
            news[channel] = pair
            facts.append(AvailabilityCalculated(channel, available, reserved))
    emitted = {**item.emitted, **news} if news else item.emitted
    cause = Cause(event.event_id, event.kind, event.timestamp)
    settled = ItemState(item.on_hand, item.reserved, emitted, item.sequence, cause)
    return Decision(settled, reservation, tuple(facts), outcome)
