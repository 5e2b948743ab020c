"""Random histories: inputs of several items, with re-deliveries, under policies. Quantities in hundredths."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from hypothesis import strategies as st

from atp_stream.domain.decide import Decision, decide
from atp_stream.domain.emission import emit
from atp_stream.domain.events import (
    Input,
    OutputEvent,
    ReservationCreated,
    ReservationReleased,
    StockAvailabilityChanged,
)
from atp_stream.domain.policy import ChannelPolicy, Policy
from atp_stream.domain.quantity import MAX
from atp_stream.domain.state import NEW_ITEM, ItemState, Reservation

CODES = ("ECOM", "KIOSK", "POS")
CONFIGURED = ("POS", "ECOM")

History = list[tuple[Input, Policy]]


@dataclass
class Item:
    state: ItemState = NEW_ITEM
    reservations: dict[str, Reservation] = field(default_factory=dict)
    outputs: list[OutputEvent] = field(default_factory=list)

    def known(self, event: Input) -> Reservation | None:
        return None if isinstance(event, StockAvailabilityChanged) else self.reservations.get(event.reservation_id)

    def apply(self, event: Input, policy: Policy) -> Decision:
        decision = decide(self.state, self.known(event), event, policy)
        if decision.reservation is not None:
            assert not isinstance(event, StockAvailabilityChanged)
            self.reservations[event.reservation_id] = decision.reservation
        self.state, outputs = emit(decision.item, event, decision.facts, policy)
        self.outputs.extend(outputs)
        return decision


def run(history: Iterable[tuple[Input, Policy]]) -> dict[str, Item]:
    """Apply a history from the beginning; returns the items by id."""
    items: dict[str, Item] = {}
    for event, policy in history:
        items.setdefault(event.item_id, Item()).apply(event, policy)
    return items


# Kind, item, channel, location, timestamp, quantity, reservation. Small ranges, so that they often meet.
RANGES = (10, 4, 6, 2, 6, 99, 12)


def input_of(number: int, picks: tuple[int, ...], scale: int = 1) -> Input:
    """Make the input with this number of a history; ``picks`` are within ``RANGES``.

    Reservation ids are one of twelve, and of another twelve after every 60 inputs.
    """
    kind, item_pick, channel_pick, location_pick, now, quantity_pick, reservation_pick = picks
    event_id, item, location = f"e{number}", f"item-{item_pick // 3}", f"location-{location_pick}"
    channel, quantity = CODES[channel_pick % 3], (1 + quantity_pick) * scale
    reservation = f"r{number // 60}-{reservation_pick}"
    if kind < 3:
        shared_or_channel = None if channel_pick >= 3 else channel
        on_hand = min(MAX, 2 * quantity - 20 * scale)
        return StockAvailabilityChanged(event_id, now, "tenant", item, location, shared_or_channel, on_hand)
    if kind < 8:
        wanted = 1 + quantity // 3
        return ReservationCreated(event_id, now, "tenant", reservation, item, location, wanted, channel)
    given_back, reason = 1 + quantity // 5, "CANCELLED" if kind == 8 else None
    return ReservationReleased(event_id, now, "tenant", reservation, item, location, given_back, channel, reason)


@st.composite
def policies(draw: st.DrawFn, scale: int = 1) -> Policy:
    def amount() -> int:
        return draw(st.integers(0, 40)) * scale

    pools = {
        code: ChannelPolicy(amount(), None if draw(st.booleans()) else amount())
        for code in draw(st.sets(st.sampled_from(CODES)))
    }
    return Policy("1", CONFIGURED, amount() if draw(st.booleans()) else 0, pools)


def inputs(seed: int, length: int, scale: int = 1) -> list[Input]:
    """Inputs from a seed, which spreads them more evenly than drawn numbers; one in six is one delivered again."""
    random = Random(seed)
    events: list[Input] = []
    for number in range(length):
        picks = tuple(random.randrange(options) for options in RANGES)
        back = random.randrange(60)
        events.append(events[-back] if 0 < back <= min(10, number) else input_of(number, picks, scale))
    return events


@st.composite
def histories(draw: st.DrawFn, scale: int = 1) -> History:
    """Up to 60 inputs; the policy may change once, in the middle."""
    events = inputs(draw(st.integers(0, 2**32)), draw(st.integers(0, 60)), scale)
    first, second = draw(policies(scale)), draw(policies(scale))
    return [(event, first if number < 30 else second) for number, event in enumerate(events)]
