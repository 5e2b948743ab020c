"""One item driven through ``decide`` and ``emit`` as the application does, for tests. Quantities in hundredths."""

from collections.abc import Mapping

from atp_stream.domain.decide import Decision, decide
from atp_stream.domain.emission import emit
from atp_stream.domain.events import (
    AvailabilityCalculated,
    Input,
    OutputEvent,
    ReservationCreated,
    ReservationReleased,
    StockAvailabilityChanged,
)
from atp_stream.domain.policy import ChannelPolicy, Policy
from atp_stream.domain.state import NEW_ITEM, ItemState, Reservation

CHANNELS = ("POS", "ECOM", "WHOLESALE", "MARKETPLACE")
TENANT = "tenant-1"
ITEM = "item-1"


def policy(
    *, safety_stock: int = 0, version: str = "1", channels: tuple[str, ...] = CHANNELS, **pools: ChannelPolicy
) -> Policy:
    return Policy(version, channels, safety_stock, pools)


class Scenario:
    """Event ids are e1, e2, ... and timestamps 1, 2, ... in the order of the calls, unless given."""

    def __init__(self, in_force: Policy | None = None) -> None:
        self.policy = in_force or policy()
        self.item: ItemState = NEW_ITEM
        self.reservations: dict[str, Reservation] = {}
        self.outputs: list[OutputEvent] = []
        self._calls = 0

    def stock(
        self,
        on_hand: int,
        channel: str | None = None,
        *,
        location: str = "berlin",
        timestamp: int | None = None,
        event_id: str | None = None,
    ) -> Decision:
        name, now = self._next(event_id, timestamp)
        return self.apply(StockAvailabilityChanged(name, now, TENANT, ITEM, location, channel, on_hand))

    def reserve(
        self,
        reservation_id: str,
        quantity: int,
        channel: str = "ECOM",
        *,
        event_id: str | None = None,
        timestamp: int | None = None,
    ) -> Decision:
        name, now = self._next(event_id, timestamp)
        return self.apply(ReservationCreated(name, now, TENANT, reservation_id, ITEM, "berlin", quantity, channel))

    def release(
        self,
        reservation_id: str,
        quantity: int,
        channel: str = "ECOM",
        *,
        reason: str | None = None,
        event_id: str | None = None,
        timestamp: int | None = None,
    ) -> Decision:
        name, now = self._next(event_id, timestamp)
        return self.apply(
            ReservationReleased(name, now, TENANT, reservation_id, ITEM, "berlin", quantity, channel, reason)
        )

    def apply(self, event: Input) -> Decision:
        named = None if isinstance(event, StockAvailabilityChanged) else event.reservation_id
        known = None if named is None else self.reservations.get(named)
        decision = decide(self.item, known, event, self.policy)
        if decision.reservation is not None:
            assert named is not None
            self.reservations[named] = decision.reservation
        self.item, outputs = emit(decision.item, event, decision.facts, self.policy)
        self.outputs.extend(outputs)
        return decision

    def snapshot(self) -> tuple[ItemState, Mapping[str, Reservation], int]:
        return self.item, dict(self.reservations), len(self.outputs)

    def available(self, channel: str) -> int:
        """What a consumer of the availability events believes to be available."""
        return self._last(channel).available

    def reserved(self, channel: str) -> int:
        return self._last(channel).reserved

    def channels(self) -> list[str]:
        """The channels of which a consumer has heard, in the order of their codes."""
        return sorted({o.fact.channel for o in self.outputs if isinstance(o.fact, AvailabilityCalculated)})

    def _last(self, channel: str) -> AvailabilityCalculated:
        facts = [o.fact for o in self.outputs if isinstance(o.fact, AvailabilityCalculated)]
        return [fact for fact in facts if fact.channel == channel][-1]

    def _next(self, event_id: str | None, timestamp: int | None) -> tuple[str, int]:
        self._calls += 1
        return event_id or f"e{self._calls}", self._calls if timestamp is None else timestamp
