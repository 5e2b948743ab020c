"""Made-up events of Inventory Core: plausible, skewed, and now and then repeated, late or broken. Pure.

The same seed gives the same events, save for the times, which come from the clock that is handed in.
"""

import random
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from atp_stream.domain.events import Input, ReservationCreated, ReservationReleased, StockAvailabilityChanged
from atp_stream.domain.quantity import Quantity
from atp_stream.tools.feed_catalogue import Item, Place, make_items
from atp_stream.tools.feed_events import FeedEvent, Flaw, Trait

Clock = Callable[[], int]
"""Tells the time in epoch milliseconds."""


@dataclass(slots=True)
class _Open:
    """A reservation that has not been released; `left`: what has not been given back, in hundredths."""

    reservation_id: str
    item: Item
    location: str
    channel: str
    left: Quantity


_REPEATED_SHARE: Final = 0.01
_LATE_SHARE: Final = 0.01
_LATE_BY_MS: Final = 60_000
_OPEN_PER_ITEM: Final = 4
"""Reservations that are open at most, per item: beyond, some are released before more are made."""
_LEAST_OPEN: Final = 20
"""No release before so many are open: it would follow its own reservation too closely to be worth showing."""


class InventoryCore:
    """Makes up what Inventory Core publishes: stock of items in several tenants, reservations and their release.

    Demand and supply keep the balance: what is fulfilled leaves the stock, goods come in, and most reservations fit.
    """

    def __init__(self, *, seed: int, items: int, channels: Sequence[str], bad_percent: float, clock: Clock) -> None:
        self._random: Final = random.Random(seed)  # made-up events, not secrets  # noqa: S311  # nosec B311
        self._clock: Final = clock
        self._bad: Final = bad_percent / 100
        self.items: Final = make_items(items, channels)
        self._weights: Final = _skewed(items)
        self._run: Final = f"{self._random.getrandbits(32):08x}"
        self._reservations = 0
        self._open: list[_Open] = []
        self._most_open: Final = max(2 * _LEAST_OPEN, _OPEN_PER_ITEM * items)
        self._followed_by: deque[Place] = deque()
        self._recent: deque[FeedEvent] = deque(maxlen=50)

    def opening(self) -> Iterator[FeedEvent]:
        """Yield one stock event for each item, so that there is something to promise at once."""
        for item in self.items:
            yield self._remembered(self._stock(item.places[0], self._supply(item.places[0])))

    def events(self) -> Iterator[FeedEvent]:
        """Yield events without end."""
        while True:
            roll = self._random.random()
            if roll < self._bad:
                yield self._broken()
                continue
            roll = self._random.random()
            if roll < _REPEATED_SHARE and self._recent:
                yield replace(self._random.choice(self._recent), trait=Trait.REPEATED)
            elif roll < _REPEATED_SHARE + _LATE_SHARE and (place := self._place()).as_of is not None:
                yield self._late(place, place.as_of)
            else:
                yield self._remembered(self._plausible())

    def closing(self) -> Iterator[FeedEvent]:
        """Yield the release of every reservation that is still open: none is left behind for ever."""
        while self._open:
            yield FeedEvent(self._released(self._open.pop(), "CANCELLED"))

    def _remembered(self, event: Input) -> FeedEvent:
        made = FeedEvent(event)
        self._recent.append(made)
        return made

    def _plausible(self) -> Input:
        if self._followed_by:
            place = self._followed_by.popleft()
            return self._stock(place, place.on_hand)
        roll = self._random.random()
        if roll < 0.25:
            place = self._place()
            return self._stock(place, self._supply(place))
        full = len(self._open) >= self._most_open
        if roll < 0.70 and not full:
            return self._created()
        return self._release() if full or len(self._open) > _LEAST_OPEN else self._created()

    def _item(self) -> Item:
        return self._random.choices(self.items, cum_weights=self._weights)[0]

    def _place(self) -> Place:
        return self._random.choice(self._item().places)

    def _supply(self, place: Place) -> Quantity:
        """Return the quantity found at a place after goods came in or were counted; negative where oversold."""
        if place.item.oversold:
            return -100 * self._random.randint(1, 8)
        return place.item.step * self._random.randint(place.usual * 6 // 10, place.usual * 12 // 10)

    def _stock(self, place: Place, on_hand: Quantity) -> StockAvailabilityChanged:
        now = self._clock()
        place.on_hand, place.as_of = on_hand, now
        item = place.item
        return StockAvailabilityChanged(
            self._id(), now, item.tenant_id, item.item_id, place.location, place.channel, on_hand
        )

    def _late(self, place: Place, as_of: int) -> FeedEvent:
        item = place.item
        late = StockAvailabilityChanged(
            self._id(),
            max(0, as_of - _LATE_BY_MS),
            item.tenant_id,
            item.item_id,
            place.location,
            place.channel,
            self._supply(place),
        )
        return FeedEvent(late, trait=Trait.LATE)

    def _created(self) -> ReservationCreated:
        item = self._item()
        channel = self._random.choice(item.sold_in())
        # Now and then somebody wants more than there ever is.
        units = self._random.randint(1, 5) if self._random.random() > 0.03 else self._random.randint(30, 150)
        quantity = units * item.step
        self._reservations += 1
        reservation_id = f"res-{self._run}-{self._reservations:06d}"
        location = self._random.choice(item.places).location
        self._open.append(_Open(reservation_id, item, location, channel, quantity))
        from_shop = self._random.random() < 0.5
        now = self._clock()
        return ReservationCreated(
            self._id(),
            now,
            item.tenant_id,
            reservation_id,
            item.item_id,
            location,
            quantity,
            channel,
            reference=f"SO-{self._run}-{self._reservations:06d}" if from_shop else None,
            priority=self._random.choice((None, 1, 2)) if from_shop else None,
            expires_at=now + 86_400_000 if from_shop else None,
        )

    def _release(self) -> ReservationReleased:
        index = self._random.randrange(len(self._open))
        self._open[index], self._open[-1] = self._open[-1], self._open[index]
        reservation = self._open[-1]
        step = reservation.item.step
        if reservation.left > step and self._random.random() < 0.25:
            part = step * self._random.randint(1, reservation.left // step - 1)
            reservation.left -= part
            return self._released(replace(reservation, left=part), "REDUCED")
        self._open.pop()
        if self._random.random() < 0.4:
            return self._released(reservation, "CANCELLED")
        self._ship(reservation)
        return self._released(reservation, "FULFILLED")

    def _ship(self, reservation: _Open) -> None:
        """Take what was fulfilled from where it lay; that place's stock event comes next."""
        for place in reservation.item.places:
            if place.channel in (reservation.channel, None) and place.on_hand >= reservation.left:
                place.on_hand -= reservation.left
                self._followed_by.append(place)
                return

    def _released(self, reservation: _Open, reason: str) -> ReservationReleased:
        item = reservation.item
        return ReservationReleased(
            self._id(),
            self._clock(),
            item.tenant_id,
            reservation.reservation_id,
            item.item_id,
            reservation.location,
            reservation.left,
            reservation.channel,
            reason,
        )

    def _broken(self) -> FeedEvent:
        """Return an event that must change nothing: neither here nor anywhere else."""
        flaw = self._random.choice(tuple(Flaw))
        item = self._item()
        place, now = self._random.choice(item.places), self._clock()
        quantity = 0 if flaw is Flaw.ZERO_QUANTITY else item.step
        item_id = "" if flaw is Flaw.EMPTY_ID else item.item_id
        name, channel = f"res-{self._run}-broken-{self._random.getrandbits(32):08x}", item.channels[0]
        common = self._id(), now, item.tenant_id
        made: tuple[Input, ...] = (
            ReservationCreated(*common, name, item_id, place.location, quantity, channel),
            ReservationReleased(*common, name, item_id, place.location, quantity, channel, "CANCELLED"),
            StockAvailabilityChanged(*common, item_id, place.location, place.channel, quantity),
        )
        # 0 on hand is a fact like any other, so that only a reservation can have a quantity too few.
        return FeedEvent(self._random.choice(made[:2] if flaw is Flaw.ZERO_QUANTITY else made), flaw)

    def _id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


def _skewed(items: int) -> list[float]:
    """Return cumulative weights of the items, Zipf-like: a few are in nearly every basket."""
    total, weights = 0.0, []
    for rank in range(items):
        total += 1 / (rank + 3)
        weights.append(total)
    return weights
