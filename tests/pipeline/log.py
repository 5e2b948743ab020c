"""Reading topics from outside: what a consumer sees, read_committed unless said otherwise."""

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import NamedTuple, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from .waiting import until

_SECONDS = 30.0

Offsets = Mapping[tuple[str, int], int]


class Entry(NamedTuple):
    """A record as it lies in the log."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    def header(self, name: str) -> bytes | None:
        """The value of a header that is there exactly once."""
        (value,) = [found for key, found in self.headers if key == name]
        return value


class Log:
    """Topics from the given offsets (else from their beginning) on; what was read so far is in `entries`."""

    def __init__(self, servers: str, topics: Iterable[str], starts: Offsets | None = None, isolation: str = "") -> None:
        self.entries: list[Entry] = []
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "reader-without-a-group",
                "enable.auto.commit": False,
                "isolation.level": isolation or "read_committed",
                "enable.partition.eof": True,
                "log_level": 0,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 20,
            }
        )
        self._partitions = [
            TopicPartition(topic, number)
            for topic in topics
            for number in self._consumer.list_topics(topic, timeout=_SECONDS).topics[topic].partitions
        ]
        self._position = {(each.topic, each.partition): self._start(each, starts or {}) for each in self._partitions}
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in self._position.items()])

    def _start(self, partition: TopicPartition, starts: Offsets) -> int:
        given = starts.get((partition.topic, partition.partition))
        return self.first_and_end(partition)[0] if given is None else given

    def first_and_end(self, partition: TopicPartition) -> tuple[int, int]:
        """First offset, and the end: the last stable offset where committed records are read."""

        def probe() -> tuple[int, int] | None:
            try:
                return self._consumer.get_watermark_offsets(partition, timeout=_SECONDS)
            except KafkaException as failure:
                if not failure.args[0].retriable():
                    raise
                return None  # a broker that has just been started again

        found = until(f"the ends of {partition} are known", probe)
        assert found is not None
        return found

    def ends(self) -> dict[tuple[str, int], int]:
        """Where the partitions end now."""
        return {(each.topic, each.partition): self.first_and_end(each)[1] for each in self._partitions}

    def _poll(self) -> None:
        for message in self._consumer.consume(5000, 0.05):
            error, topic, number, offset = message.error(), message.topic(), message.partition(), message.offset()
            assert topic is not None
            assert number is not None
            assert offset is not None
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    if error.retriable() or error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
                        continue
                    raise KafkaException(error)
                self._position[topic, number] = offset
                continue
            key, value, headers = message.key(), message.value(), message.headers() or []
            assert key is None or isinstance(key, bytes)
            self._position[topic, number] = offset + 1
            self.entries.append(Entry(topic, number, offset, key, value, tuple(headers)))  # type: ignore[arg-type]

    def until(
        self, what: str, enough: Callable[[list[Entry]], bool], context: Callable[[], str] = lambda: ""
    ) -> list[Entry]:
        """Read on until `enough` of what was read; return all of it."""

        def probe() -> bool:
            self._poll()
            return enough(self.entries)

        until(what, probe, lambda: f"{len(self.entries)} records read\n{context()}")
        return self.entries

    def to_end(self) -> list[Entry]:
        """Read up to where the partitions end now; return all that was read."""
        ends = self.ends()
        return self.until(
            f"read up to {ends}", lambda _: all(self._position[place] >= end for place, end in ends.items())
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()


def read(servers: str, topics: Iterable[str], starts: Offsets | None = None, isolation: str = "") -> list[Entry]:
    """Everything that lies in the topics now."""
    with Log(servers, topics, starts, isolation) as log:
        return log.to_end()
