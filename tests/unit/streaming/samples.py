"""What the tests of the engine are made of: records, a clock that stands still, a producer that writes down."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event

from confluent_kafka import KafkaError, Message, TopicPartition

from atp_stream.streaming.membership import Membership
from atp_stream.streaming.producer import Delivered, Outcome, TransactionalProducer

HeaderList = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Consumed:
    """A record as consumed."""

    topic: str = "source"
    partition: int = 0
    offset: int = 0
    key: bytes | None = b"k"
    value: bytes | None = b"v"
    headers: HeaderList = ()
    timestamp: int = 0


@dataclass
class Produced:
    """A record as handed to the producer."""

    topic: str
    value: bytes | None
    key: bytes | None
    headers: HeaderList | None
    partition: int


def delivered(offset: int) -> Message:
    """A delivery report."""
    return Message(topic="changelog", partition=0, offset=offset)


@dataclass
class WritingProducer(TransactionalProducer):
    """Takes the place of the transactional producer; its transactions end as `outcomes` says, then committed."""

    outcomes: list[Outcome] = field(default_factory=list)
    ready: bool = True
    produced: list[Produced] = field(default_factory=list)
    committed: list[tuple[list[TopicPartition], Membership]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    #: A commit has begun; it goes on once it may.
    committing: Event = field(default_factory=Event)
    may_commit: Event = field(default_factory=Event)
    _callbacks: list[Delivered] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.may_commit.set()

    @property
    def is_ready(self) -> bool:
        return self.ready

    def begin(self) -> None:
        self.calls.append("begin")

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: HeaderList | None = None,
        partition: int = -1,
        on_delivery: Delivered | None = None,
    ) -> None:
        self.produced.append(Produced(topic, value, key, headers, partition))
        if on_delivery is not None:
            self._callbacks.append(on_delivery)

    def commit(self, offsets: Sequence[TopicPartition], membership: Membership) -> Outcome:
        self.calls.append("commit")
        self.committing.set()
        assert self.may_commit.wait(30)
        self.committed.append((list(offsets), membership))
        outcome = self.outcomes.pop(0) if self.outcomes else Outcome.COMMITTED
        for callback in self._callbacks:
            if outcome is Outcome.COMMITTED:
                callback(None, delivered(100 + len(self.produced)))
            else:
                callback(KafkaError(KafkaError._PURGE_QUEUE), delivered(-1))
        self._callbacks.clear()
        return outcome

    def abort(self) -> bool:
        self.calls.append("abort")
        return True

    def close(self) -> None:
        self.calls.append("close")
