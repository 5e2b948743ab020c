"""Made-up events of Inventory Core, before they are encoded: what they say, and what is wrong with them on purpose."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from atp_stream.domain.events import Input, ReservationCreated, ReservationReleased, StockAvailabilityChanged


class Flaw(StrEnum):
    """What is wrong with a record on purpose. The first four are made when the event is encoded."""

    GARBAGE = "garbage"
    TRUNCATED = "truncated"
    NO_VALUE = "no value"
    UNKNOWN_SCHEMA = "unknown schema"
    """In JSON, which has no schema ids: an event type that is not consumed."""
    ZERO_QUANTITY = "quantity 0"
    EMPTY_ID = "empty id"


class Trait(StrEnum):
    """What makes a valid event a special one: it has to change nothing."""

    REPEATED = "repeated"
    """The very event has been there before."""
    LATE = "late"
    """Older than what was already said of the same place."""


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """An event to publish; what is wrong with it (None: nothing), and what is special about it."""

    KINDS: ClassVar = ("stock changes", "reservations", "releases")
    SPECIALS: ClassVar = ("repeated", "late", "broken")

    event: Input
    flaw: Flaw | None = None
    trait: Trait | None = None

    @property
    def kind(self) -> str:
        """One of KINDS."""
        kinds = {StockAvailabilityChanged: 0, ReservationCreated: 1, ReservationReleased: 2}
        return self.KINDS[kinds[type(self.event)]]

    @property
    def special(self) -> str | None:
        """One of SPECIALS, None for an event like most."""
        return "broken" if self.flaw is not None else self.trait
