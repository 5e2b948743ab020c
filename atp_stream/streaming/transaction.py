"""One transaction as the stages see it: records to produce, and the state of a partition to read and change."""

from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import KafkaError, Message

from .dead_letters import FloodGuard, dead_letter
from .partition_state import OWN_PREFIX, WATERMARK_KEY, PartitionState
from .producer import TransactionalProducer
from .records import Record
from .watermark import encode_watermark


class StateChanges:
    """The state of one partition during a transaction: what was committed, overlaid with what it changes."""

    def __init__(self, state: PartitionState) -> None:
        self.state = state
        self.changed: dict[bytes, bytes] = {}
        #: Offset of the watermark record, the last of this changelog partition in the transaction; None until known.
        self.offset: int | None = None

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key` as of this point of the transaction."""
        value = self.changed.get(key)
        return self.state.get(key) if value is None else value

    def put(self, key: bytes, value: bytes) -> None:
        """Change `key`; visible to the rest of the transaction, written to the changelog and the store with it."""
        if key.startswith(OWN_PREFIX):
            raise ValueError(f"keys beginning with {OWN_PREFIX!r} are the engine's own: {key!r}")
        self.changed[key] = value

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        """Note where the watermark record came to lie. Must not raise (it is a delivery callback)."""
        if error is None:
            self.offset = message.offset()


class Transaction:
    """What a stage may do with a batch. Everything becomes visible together with the batch's offsets, or never."""

    def __init__(
        self,
        producer: TransactionalProducer,
        state: Callable[[int], PartitionState],
        dead_letters_topic: str,
        flood: FloodGuard,
    ) -> None:
        self.produce = producer.produce
        self._notes: list[object] = []
        #: Tell this to the observers of commits, if the transaction commits.
        self.note = self._notes.append
        self.refused: list[tuple[Record, str]] = []
        self._producer = producer
        self._state = state
        self._dead_letters_topic = dead_letters_topic
        self._flood = flood
        self.touched: dict[int, StateChanges] = {}
        #: By touched table partition, as written to its changelog.
        self.watermarks: Mapping[int, Mapping[str, int]] = {}

    def state(self, partition: int) -> StateChanges:
        """Return the state of a partition, which is this worker's for as long as the transaction can commit."""
        changes = self.touched.get(partition)
        if changes is None:
            changes = self.touched[partition] = StateChanges(self._state(partition))
        return changes

    def refuse(self, record: Record, code: str, message: str) -> None:
        """Set a record aside as bad input, with its cause.

        Raises `DeadLetterFlood` above the set rate: then nothing of the batch is committed.
        """
        self._flood.count(record, code, message)
        self.refused.append((record, code))
        value, key, headers = dead_letter(record, code, message)
        self.produce(self._dead_letters_topic, value, key, headers)

    @property
    def notes(self) -> Sequence[object]:
        """What was noted, in order."""
        return self._notes

    def withdraw(self) -> None:
        """Undo what counting this transaction has changed: it did not commit, and its records will be read again."""
        self._flood.forget(len(self.refused))

    def write_changelog(self, changelog: str, watermarks: Mapping[int, Mapping[str, int]]) -> None:
        """Produce what was changed, one record per key, and then the watermark record of each touched partition."""
        self.watermarks = watermarks
        for number, changes in self.touched.items():
            for key, value in changes.changed.items():
                self.produce(changelog, value, key, None, number)
            changes.changed[WATERMARK_KEY] = watermark = encode_watermark(watermarks[number])
            self.produce(changelog, watermark, WATERMARK_KEY, None, number, changes.delivered)
