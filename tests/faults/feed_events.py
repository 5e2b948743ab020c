"""What a feed publishes: plausible events of a set of items, and now and then one that is late, repeated or bad."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from typing import Any

from fastavro import parse_schema

from tests.pipeline.core import CREATED, RELEASED, STOCK, Event, schema_named, writer_schema
from tests.pipeline.publishing import Publisher

CHANNELS = ("ECOM", "POS", "WHOLESALE")
_UNKNOWN_SCHEMA_IDS = 3
_MOST_OPEN = 200
_RECENT = 50


@dataclass(frozen=True)
class Made:
    """A record to be published."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)


@cache
def _parsed(kind: str, plain: bool) -> Any:
    return parse_schema(writer_schema(kind) if plain else schema_named(kind))


class Maker:
    """Makes the records of one round. Its items have names that no other maker of the publisher gives."""

    def __init__(self, publisher: Publisher, choose: random.Random, items: int) -> None:
        self._publisher, self._choose, self._core = publisher, choose, publisher.core
        self._names = [f"item-{self._core.made}-{number}" for number in range(items)]
        self._open: list[Event] = []
        self._early: list[Event] = []
        self._recent: list[Event] = []
        self._topics = {
            kind: [
                topic
                for topic, source in publisher.sources.items()
                if source.event == kind and not source.keyed_by_item
            ]
            for kind in (STOCK, CREATED, RELEASED)
        }
        #: Topics that are keyed by item: of stock alone, and with items of their own, so that these have one order.
        self._keyed = [
            topic for topic, source in publisher.sources.items() if source.event == STOCK and source.keyed_by_item
        ]
        self._unknown = range(1_999_999_000, 1_999_999_000 + _UNKNOWN_SCHEMA_IDS)

    def make(self) -> Made:
        """Make the next record."""
        choose = self._choose
        draw = choose.random()
        if draw < 0.005:
            return self._bad()
        if draw < 0.03 and self._recent:
            return self._record(choose.choice(self._recent))  # once more
        if draw < 0.08 and self._keyed:
            event = self._stock(f"keyed-{choose.choice(self._names)}")
            return self._record(event, choose.choice(self._keyed))
        event = self._next()
        if not self._topics[event.kind]:
            return self.make()
        self._recent = [*self._recent[-_RECENT:], event]
        return self._record(event)

    def _next(self) -> Event:
        choose, draw = self._choose, self._choose.random()
        if draw < 0.3:
            event = self._stock(choose.choice(self._names))
            if choose.random() < 0.05:
                late = event.fields["timestamp"] - choose.randrange(500, 5000)
                event = Event(STOCK, {**event.fields, "timestamp": max(0, late)})
            return event
        if draw < 0.65 or not self._open:
            return self._created()
        if draw < 0.68:  # a release of what is created later, if ever
            created = self._reservation()
            self._early.append(created)
            return self._release(created, complete=True)
        if draw < 0.70 and self._early:
            return self._early.pop(choose.randrange(len(self._early)))
        at = choose.randrange(len(self._open))
        complete = len(self._open) > _MOST_OPEN or choose.random() < 0.6
        return self._release(self._open.pop(at) if complete else self._open[at], complete)

    def _stock(self, item: str) -> Event:
        choose = self._choose
        on_hand = f"{choose.randrange(-500, 20000) / 100:.2f}"
        channel = choose.choice((None, *CHANNELS))
        return self._core.stock(item, on_hand, channel, f"l-{choose.randrange(3)}")

    def _reservation(self) -> Event:
        choose = self._choose
        # Some of items of which no stock is ever known.
        item = choose.choice(self._names) if choose.random() < 0.98 else f"none-{choose.choice(self._names)}"
        quantity = f"{choose.randrange(1, 2500) / 100:.2f}"
        event = self._core.created(item, f"r-{self._core.made}", quantity, choose.choice(CHANNELS))
        if choose.random() < 0.2:
            more = {"reference": "order/7 %", "priority": choose.randrange(3), "expiresAt": None}
            event = Event(CREATED, {**event.fields, **more})
        return event

    def _created(self) -> Event:
        event = self._reservation()
        self._open.append(event)
        return event

    def _release(self, created: Event, complete: bool) -> Event:
        known = created.fields
        quantity = str(known["quantity"]) if complete else "0.50"
        reason = {"reason": "CANCELLED"} if self._choose.random() < 0.3 else {}
        return self._core.released(known["itemId"], known["reservationId"], quantity, known["channel"], **reason)

    def _record(self, event: Event, topic: str | None = None) -> Made:
        topic = topic or self._choose.choice(self._topics[event.kind])
        # A key that means nothing, or none, unless the topic is keyed by item.
        key = event.key if self._publisher.sources[topic].keyed_by_item else f"core-{self._core.made}"
        headers = {}
        if self._choose.random() < 0.3:
            headers = {"traceparent": f"00-{self._core.made:032x}-{self._core.made:016x}-01".encode(), "own": b"\x00"}
        return Made(topic, key.encode(), self._value(event, topic), headers)

    def _value(self, event: Event, topic: str) -> bytes:
        if self._publisher.sources[topic].encoding == "json":
            return event.json()
        plain = event.is_plain
        return event.avro(self._publisher.schema_ids[topic, plain], _parsed(event.kind, plain))

    def _bad(self) -> Made:
        choose = self._choose
        event = choose.choice([self._stock(self._names[0]), self._reservation()])
        topics = self._topics[event.kind] or self._topics[STOCK]
        topic = choose.choice(topics)
        good = self._value(event, topic)
        spoilt = [
            None,
            b"",
            b"\xffnonsense" * 5,
            good[: len(good) // 2],
            b"\x00" + choose.choice(self._unknown).to_bytes(4, "big") + good[5:],
            self._spoilt(event, topic, itemId=""),
            self._spoilt(event, topic, tenantId=" "),
            self._spoilt(event, topic, locationId="l" * 300),
            self._spoilt(event, topic, eventId="e\x07"),
            self._spoilt(event, topic, timestamp=-1),
        ]
        if event.kind == CREATED:
            spoilt += [self._spoilt(event, topic, quantity=Decimal(amount)) for amount in ("-1.00", "0.00")]
        if self._publisher.sources[topic].encoding == "avro":
            spoilt.append(good + b"\x00")
        return replace(self._record(event, topic), value=choose.choice(spoilt))

    def _spoilt(self, event: Event, topic: str, **fields: Any) -> bytes:
        return self._value(Event(event.kind, {**event.fields, **fields}), topic)
