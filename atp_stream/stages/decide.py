"""Decide: from the changes log to what comes out (design section 4, step 2).

For each record of a partition: decode, load item and reservation, `decide`, number what follows, encode. An item that a
batch changes several times goes to the changelog once, with its last state.
"""

from collections.abc import Sequence
from typing import Literal

from atp_stream.contracts.errors import BadInput, ErrorClass
from atp_stream.contracts.inputs import InputDecoder
from atp_stream.contracts.keys import item_key, reservation_key
from atp_stream.contracts.outputs import OutputEncoder
from atp_stream.contracts.state_codec import decode_item, decode_reservation, encode_item, encode_reservation
from atp_stream.domain.decide import Decision, Outcome, decide
from atp_stream.domain.emission import emit, latest_only
from atp_stream.domain.events import Fact, Input, StockAvailabilityChanged
from atp_stream.domain.policy import Policy
from atp_stream.domain.state import NEW_ITEM, ItemState, Reservation
from atp_stream.errors import ConfigurationError
from atp_stream.settings import SourceTopic
from atp_stream.stages.notes import Decided
from atp_stream.stages.records import event_to_decide, resolve_schemas, traceparent_of
from atp_stream.streaming.partitioner import partition_of
from atp_stream.streaming.records import Partition, Record
from atp_stream.streaming.transaction import StateChanges, Transaction

Emit = Literal["every_change", "latest_per_batch"]


class Decide:
    """The stage of the changes log, or, with `claim`, of a source topic that is keyed by item already.

    `policy` is the one in force; `mode` whether every change of availability goes out, or the newest per batch;
    `partitions` the count of the claimed topic, which is the state's.
    """

    def __init__(
        self,
        decoder: InputDecoder,
        encoder: OutputEncoder,
        policy: Policy,
        mode: Emit,
        claim: SourceTopic | None = None,
        partitions: int = 0,
    ) -> None:
        self._decoder = decoder
        self._encoder = encoder
        self._policy = policy
        self._every_change = mode == "every_change"
        self._claim = claim
        self._partitions = partitions

    async def prepare(self, records: Sequence[Record]) -> None:
        """Ask the registry for schemas of these records that are not known yet."""
        if self._claim is None or self._claim.encoding == "avro":
            await resolve_schemas(self._decoder, records)

    def process(self, partition: Partition, records: Sequence[Record], transaction: Transaction) -> None:
        """Decide each record, in the order of the log."""
        batch = _Batch(transaction.state(partition.number))
        for record in records:
            try:
                event = event_to_decide(record, self._decoder, self._claim)
            except BadInput as bad:
                transaction.refuse(record, bad.error_class, bad.message)
                continue
            key = item_key(event.tenant_id, event.item_id)
            is_new = batch.load(key)
            if self._claim is not None:
                self._check_claim(record, key, is_new)
            decision = batch.decide(key, event, self._policy)
            if decision.outcome is Outcome.OUT_OF_RANGE:
                transaction.refuse(
                    record, ErrorClass.QUANTITY_OUT_OF_RANGE, "the item's on hand in sum is outside decimal(18,2)"
                )
            elif self._every_change or not decision.facts:
                self._emit(batch, key, record, event, decision.outcome, decision.facts, transaction)
            else:
                batch.later.setdefault(key, []).append((record, event, decision))
        for key, decided in batch.later.items():
            kept = latest_only((event, decision.facts) for _, event, decision in decided)
            for (event, facts), (record, _, decision) in zip(kept, decided, strict=True):
                self._emit(batch, key, record, event, decision.outcome, facts, transaction)
        batch.write()

    def _check_claim(self, record: Record, key: bytes, is_new: bool) -> None:
        """Find out a producer with other keys, or one that spreads the right ones in another way.

        With either, one item would have two states. The partition is worked out for new items only: where an item is
        known already, it has been found right.
        """
        if record.key != key:
            raise _wrong_claim(record, f"its key is {record.key!r}, not {key!r}")
        if is_new and (expected := partition_of(key, self._partitions)) != record.partition:
            raise _wrong_claim(record, f"the key {key!r} lies in partition {record.partition}, not {expected}")

    def _emit(
        self,
        batch: "_Batch",
        key: bytes,
        record: Record,
        event: Input,
        outcome: Outcome,
        facts: Sequence[Fact],
        transaction: Transaction,
    ) -> None:
        batch.items[key], outputs = emit(batch.items[key], event, facts, self._policy)
        if outputs:
            trace = traceparent_of(record)
            for output in outputs:
                topic, value, headers = self._encoder.encode(output, trace)
                transaction.produce(topic, value, key, headers)
        transaction.note(Decided(record, event, outcome, outputs))


class _Batch:
    """The decoded state of what a batch touches: each entry is decoded once and encoded once."""

    def __init__(self, state: StateChanges) -> None:
        self._state = state
        self.items: dict[bytes, ItemState] = {}
        self._loaded: dict[bytes, ItemState] = {}
        self._reservations: dict[bytes, Reservation] = {}
        #: For `latest_per_batch`: what was decided and is not emitted yet, by item key.
        self.later: dict[bytes, list[tuple[Record, Input, Decision]]] = {}

    def load(self, key: bytes) -> bool:
        """Load the item with this key. Returns whether nothing is known of it yet."""
        if key in self.items:
            return False
        stored = self._state.get(key)
        self._loaded[key] = self.items[key] = NEW_ITEM if stored is None else decode_item(stored)
        return stored is None

    def decide(self, key: bytes, event: Input, policy: Policy) -> Decision:
        """Decide an event of the item with this key, which is loaded, and keep the state that follows."""
        item = self.items[key]
        if isinstance(event, StockAvailabilityChanged):
            decision = decide(item, None, event, policy)
        else:
            entry_key = reservation_key(key, event.reservation_id)
            decision = decide(item, self._reservation(entry_key), event, policy)
            if decision.reservation is not None:
                self._reservations[entry_key] = decision.reservation
        self.items[key] = decision.item
        return decision

    def _reservation(self, key: bytes) -> Reservation | None:
        known = self._reservations.get(key)
        if known is None and (stored := self._state.get(key)) is not None:
            known = decode_reservation(stored)
        return known

    def write(self) -> None:
        """Put what has changed into the transaction."""
        for key, item in self.items.items():
            if item is not self._loaded[key]:
                self._state.put(key, encode_item(item))
        for key, reservation in self._reservations.items():
            self._state.put(key, encode_reservation(reservation))


def _wrong_claim(record: Record, cause: str) -> ConfigurationError:
    return ConfigurationError(
        f"{record.topic} is not keyed by item",
        cause=f"the record at partition {record.partition}, offset {record.offset}: {cause}",
        setting=f"topics.sources.{record.topic}.keyed_by_item",
        fix="set it to false: the topic then passes through the changes log",
    )
