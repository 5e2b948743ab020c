"""The replay: the changes log decided once more, from its origin to the cut, into rows of what has to be there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Message

from atp_stream.contracts.errors import BadInput
from atp_stream.contracts.keys import item_key
from atp_stream.contracts.state_codec import decode_item, decode_reservation, encode_item, encode_reservation
from atp_stream.domain.decide import Decision, Outcome, decide
from atp_stream.domain.events import (
    AllocationCommitted,
    AllocationReleased,
    AvailabilityCalculated,
    Input,
    ReservationDenied,
    StockAvailabilityChanged,
)
from atp_stream.domain.ids import allocation_id
from atp_stream.domain.policy import Policy
from atp_stream.domain.state import NEW_ITEM, SHARED, ItemState, Reservation
from atp_stream.settings import SourceTopic
from atp_stream.stages.records import event_to_decide
from atp_stream.streaming.header_names import headers_of
from atp_stream.streaming.partitioner import partition_of
from atp_stream.streaming.records import Partition, PlainRecord
from atp_stream.tools.verify.changelog import Wanted, allocation_row
from atp_stream.tools.verify.ingest import Bits
from atp_stream.tools.verify.packed import pack_fact
from atp_stream.tools.verify.reading import offset_of
from atp_stream.tools.verify.report import Findings, place
from atp_stream.tools.verify.schemas import Schemas
from atp_stream.tools.verify.scratch import EXPECTED, ITEM, OUTPUTS, REPLAYED, Scratch

_MOST_HELD: Final = 10_000
"""Items and reservations held decoded; beyond, all go to disk."""


@dataclass(frozen=True)
class Rules:
    """What is decided by. every_change: the emit mode; partitions: of the state."""

    policy: Policy
    every_change: bool
    partitions: int


class Replay:
    """Decides records again. Under `every_change` the outputs are known by number, else those of each reservation."""

    def __init__(
        self,
        scratch: Scratch,
        schemas: Schemas,
        rules: Rules,
        keyed: Mapping[str, SourceTopic],
        until: Mapping[Partition, int],
        refused: Mapping[Partition, Bits] | None,
        wanted: Wanted,
        findings: Findings,
    ) -> None:
        """`keyed`: topics beside the changes log; `until`: the cut; `refused`: dead letters, None: not all known."""
        self._scratch: Final = scratch
        self._schemas: Final = schemas
        self._policy: Final = rules.policy
        self._every_change: Final = rules.every_change
        self._partitions: Final = rules.partitions
        self._keyed: Final = keyed
        self._until: Final = until
        self._refused: Final = refused
        self._wanted: Final = wanted
        self._findings: Final = findings
        self._items: Final[dict[bytes, ItemState]] = {}
        self._reservations: Final[dict[bytes, tuple[Reservation, bytes]]] = {}
        self._ordinal = 0

    def take(self, partition: Partition, messages: list[Message]) -> None:
        """Decide records of one partition; those behind the cut are passed over."""
        until, source = self._until[partition], self._keyed.get(partition.topic)
        if source is None or source.encoding == "avro":
            values = (message.value() for message in messages)
            needed = (self._schemas.decoder.needs(value) for value in values if isinstance(value, bytes))
            if unknown := {schema_id for schema_id in needed if schema_id is not None}:
                self._schemas.resolve(unknown)
        refused = (self._refused or {}).get(partition)
        for message in messages:
            offset, key = offset_of(message), message.key()
            if offset >= until:
                break
            if isinstance(key, bytes) and not self._wanted(key):
                continue
            if refused is None or offset not in refused:  # what was refused then is not decided now
                self._decide(partition, offset, message, source)
        if len(self._items) + len(self._reservations) > _MOST_HELD:
            self.write()

    def _decide(self, partition: Partition, offset: int, message: Message, source: SourceTopic | None) -> None:
        record = _record(message)
        key = record.key
        try:
            event = event_to_decide(record, self._schemas.decoder, source)
        except BadInput as bad:
            self._unset(partition, offset, key, str(bad.error_class))
            return
        name = item_key(event.tenant_id, event.item_id)
        if name != key:
            self._findings.add(name, "key of the input", name.decode(), key, place(*partition, offset))
        item = self._items.get(name)
        if item is None:
            expected = partition_of(name, self._partitions)
            if expected != partition.number:
                what = "partition of the input"
                self._findings.add(name, what, expected, partition.number, place(*partition, offset))
                return
            stored = self._scratch.get(name + b"/" + ITEM + REPLAYED)
            item = NEW_ITEM if stored is None else decode_item(stored)
        decision = self._decision(name, item, event)
        if decision.outcome is Outcome.OUT_OF_RANGE:
            self._unset(partition, offset, name, "quantity_out_of_range")
        elif decision.outcome is Outcome.COMMITTED and uses_safety_stock(item, decision.item, event, self._policy):
            what = "commitment that takes safety stock"
            self._findings.add(name, what, "none", event.event_id, place(*partition, offset))
        self._items[name] = self._expect(name, event, decision)

    def _unset(self, partition: Partition, offset: int, key: object, code: str) -> None:
        if self._refused is None:
            return
        item = key if isinstance(key, bytes) else None
        self._findings.add(item, "dead letter of a refused input", code, "none", place(*partition, offset))

    def _decision(self, name: bytes, item: ItemState, event: Input) -> Decision:
        if isinstance(event, StockAvailabilityChanged):
            return decide(item, None, event, self._policy)
        row = allocation_row(name, allocation_id(event.tenant_id, event.item_id, event.reservation_id)) + REPLAYED
        held = self._reservations.get(row)
        if held is not None:
            known: Reservation | None = held[0]
        else:
            stored = self._scratch.get(row)
            known = None if stored is None else decode_reservation(stored[4 + int.from_bytes(stored[:4], "big") :])
        decision = decide(item, known, event, self._policy)
        if decision.reservation is not None:
            self._reservations[row] = (decision.reservation, event.reservation_id.encode())
        return decision

    def _expect(self, name: bytes, event: Input, decision: Decision) -> ItemState:
        """Write the outputs that follow; return the item with its number advanced."""
        item, version = decision.item, self._policy.version
        for sequence, fact in enumerate(decision.facts, item.sequence + 1):
            packed = pack_fact(fact, event.timestamp, event.event_id, version)
            if self._every_change:
                self._scratch.put(name + b"/" + OUTPUTS + sequence.to_bytes(8, "big") + EXPECTED, packed)
            elif not isinstance(fact, AvailabilityCalculated):
                self._ordinal += 1
                if isinstance(fact, AllocationCommitted | AllocationReleased):
                    allocation = fact.allocation_id
                else:
                    assert isinstance(fact, ReservationDenied)
                    allocation = allocation_id(event.tenant_id, event.item_id, fact.reservation_id)
                row = allocation_row(name, allocation) + EXPECTED + self._ordinal.to_bytes(8, "big")
                self._scratch.put(row, packed)
        if not decision.facts:
            return item
        return ItemState(item.on_hand, item.reserved, item.emitted, item.sequence + len(decision.facts), item.changed)

    def write(self) -> None:
        """Write what is held to disk."""
        for name, item in self._items.items():
            if item is not NEW_ITEM:
                self._scratch.put(name + b"/" + ITEM + REPLAYED, encode_item(item))
        for row, (reservation, reservation_id) in self._reservations.items():
            size = len(reservation_id).to_bytes(4, "big")
            self._scratch.put(row, size + reservation_id + encode_reservation(reservation))
        self._items.clear()
        self._reservations.clear()
        self._scratch.flush()


def _record(message: Message) -> PlainRecord:
    key, value = message.key(), message.value()
    return PlainRecord(
        message.topic() or "",
        message.partition() or 0,
        offset_of(message),
        0,  # nothing is decided by it
        key if isinstance(key, bytes) else None,
        value if isinstance(value, bytes) else None,
        headers_of(message),
    )


def uses_safety_stock(before: ItemState, after: ItemState, event: Input, policy: Policy) -> bool:
    """Return whether a commitment has taken shared stock that leaves less than the safety stock. Summed anew."""
    assert event.channel is not None
    dedicated: dict[str, int] = {}
    for places in after.on_hand.values():
        for channel, stock in places.items():
            dedicated[channel] = dedicated.get(channel, 0) + stock.on_hand
    shared = dedicated.pop(SHARED, 0)
    used = {channel: max(0, amount - max(0, dedicated.get(channel, 0))) for channel, amount in after.reserved.items()}
    used_before = max(0, before.reserved.get(event.channel, 0) - max(0, dedicated.get(event.channel, 0)))
    return used[event.channel] > used_before and shared - sum(used.values()) < policy.safety_stock
