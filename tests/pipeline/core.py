"""Events as Inventory Core publishes them: by its own writer schemas, which lack what has a default, or as JSON."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from fastavro import parse_schema, schemaless_writer

STOCK, CREATED, RELEASED = "StockAvailabilityChangedEvent", "ReservationCreatedEvent", "ReservationReleasedEvent"
BEGAN = 1767323045000
SCHEMAS = Path(__file__).parents[2] / "schemas"

_ENVELOPE = ("eventId", "timestamp", "tenantId")


def schema_named(event: str) -> dict[str, Any]:
    """The schema file of an event, ours or Core's."""
    (path,) = SCHEMAS.glob(f"{event.removesuffix('Event')}Schema.*")
    schema: dict[str, Any] = json.loads(path.read_text())
    return schema


@cache
def writer_schema(event: str) -> dict[str, Any]:
    """Core's own schema: without the fields that have defaults."""
    schema = schema_named(event)
    return {**schema, "fields": [each for each in schema["fields"] if "default" not in each]}


@dataclass(frozen=True)
class Event:
    """An event type and its fields, quantities as decimals."""

    kind: str
    fields: dict[str, Any]

    @property
    def key(self) -> str:
        """The key of its item, as the design says it (the ids of these tests need no escapes)."""
        return f"{self.fields['tenantId']}/{self.fields['itemId']}"

    @property
    def is_plain(self) -> bool:
        """Whether Core's writer schema carries all of it."""
        return self.fields.keys() <= {each["name"] for each in writer_schema(self.kind)["fields"]}

    def avro(self, schema_id: int, schema: dict[str, Any] | None = None) -> bytes:
        """The event in the Confluent wire format."""
        stream = BytesIO()
        schemaless_writer(stream, parse_schema(schema or writer_schema(self.kind)), self.fields)
        return b"\x00" + schema_id.to_bytes(4, "big") + stream.getvalue()

    def json(self) -> bytes:
        """The event in Core's JSON envelope."""
        payload = {name: value for name, value in self.fields.items() if name not in _ENVELOPE}
        for name in ("quantity", "onHand"):
            if name in payload:
                payload[name] = str(payload[name])
        moment = datetime.fromtimestamp(self.fields["timestamp"] / 1000, UTC)
        envelope = {
            "eventType": self.kind,
            "eventId": self.fields["eventId"],
            "timestamp": moment.isoformat(timespec="milliseconds"),
            "aggregateId": self.fields["itemId"],
            "tenantId": self.fields["tenantId"],
            "payload": payload,
        }
        return json.dumps(envelope).encode()


@dataclass
class Core:
    """Makes events of one tenant. Event ids and timestamps follow from how many it has made."""

    tenant: str
    made: int = 0
    _open: list[Event] = field(default_factory=list)

    def _event(self, kind: str, item: str, location: str, fields: dict[str, Any]) -> Event:
        self.made += 1
        common = {"eventId": f"e-{self.made}", "timestamp": BEGAN + self.made, "tenantId": self.tenant}
        return Event(kind, {**common, "itemId": item, "locationId": location, **fields})

    def stock(self, item: str, on_hand: str, channel: str | None = None, location: str = "l-1") -> Event:
        named = {} if channel is None else {"channel": channel}
        return self._event(STOCK, item, location, {**named, "onHand": Decimal(on_hand)})

    def created(self, item: str, reservation: str, quantity: str, channel: str = "ECOM") -> Event:
        fields = {"reservationId": reservation, "quantity": Decimal(quantity), "channel": channel}
        return self._event(CREATED, item, "l-1", fields)

    def released(self, item: str, reservation: str, quantity: str, channel: str = "ECOM", **more: str) -> Event:
        fields = {"reservationId": reservation, "quantity": Decimal(quantity), "channel": channel, **more}
        return self._event(RELEASED, item, "l-1", fields)

    def feed(self, seed: int, items: int) -> Iterator[Event]:
        """Yield events of all kinds without end: stock shared and dedicated, reservations, releases, repetitions."""
        choose = random.Random(seed)
        while True:
            item, channel = f"item-{choose.randrange(items)}", choose.choice(("ECOM", "POS"))
            draw = choose.random()
            if draw < 0.4:
                on_hand, location = f"{choose.randrange(20000) / 100:.2f}", f"l-{choose.randrange(2)}"
                yield self.stock(item, on_hand, choose.choice((None, channel)), location)
            elif draw < 0.75 or not self._open:
                quantity = f"{choose.randrange(1, 900) / 100:.2f}"
                self._open.append(self.created(item, f"r-{self.made}", quantity, channel))
                yield self._open[-1]
            elif draw < 0.8:
                yield choose.choice(self._open)  # once more
            else:
                known = self._open.pop(choose.randrange(len(self._open))).fields
                part = choose.choice((str(known["quantity"]), "0.50"))
                yield self.released(known["itemId"], known["reservationId"], part, known["channel"])
