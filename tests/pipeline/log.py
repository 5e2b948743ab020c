"""Reading topics from outside: what a consumer sees, read_committed unless said otherwise."""

import time
from collections.abc import Callable, Iterable, Mapping
from operator import methodcaller
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from .waiting import until

_SECONDS = 30.0
#: A reader that hears nothing for so long is given up for a new one.
_DEAF_SECONDS = 10.0

#: As a method it may, after some calls, return without the error that it has set: the interpreter checks less then.
_asked = methodcaller("headers")

#: Errors that no waiting helps against: records that should be there are gone.
_NOT_READABLE = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)

Offsets = Mapping[tuple[str, int], int]

T = TypeVar("T")


class Entry(NamedTuple):
    """A record as it lies in the log. Bytes of a header name that are not UTF-8 are lone surrogates (PEP 383)."""

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
        self._config: dict[str, str | int | bool] = {
            "bootstrap.servers": servers,
            "group.id": "reader-without-a-group",
            "enable.auto.commit": False,
            "isolation.level": isolation or "read_committed",
            "enable.partition.eof": True,
            "log_level": 0,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 20,
        }
        self._consumer = Consumer(self._config)
        self._position: dict[tuple[str, int], int] = {}
        self._partitions = [
            TopicPartition(topic, number)
            for topic in topics
            for number in self._consumer.list_topics(topic, timeout=_SECONDS).topics[topic].partitions
        ]
        #: By partition with records: behind the last one that was read.
        self.reached: dict[tuple[str, int], int] = {}
        position = {(each.topic, each.partition): self._start(each, starts or {}) for each in self._partitions}
        self._position.update(position)
        self._assign()

    def _assign(self) -> None:
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in self._position.items()])

    def _renew(self) -> None:
        """Go on with a new client: one that has seen a partition without a leader may take it for unknown for good."""
        self._consumer.close()
        self._consumer = Consumer(self._config)
        self._assign()

    def _start(self, partition: TopicPartition, starts: Offsets) -> int:
        given = starts.get((partition.topic, partition.partition))
        return self.first_and_end(partition)[0] if given is None else given

    def _patiently(self, what: str, ask: Callable[[], T]) -> T:
        """Ask once more while a broker is away, or has just been started again."""
        failures: list[str] = []

        def probe() -> tuple[T] | None:
            try:
                return (ask(),)
            except KafkaException as failure:
                failures.append(str(failure))
                self._renew()
                return None

        found = until(what, probe, lambda: failures[-1])
        assert found is not None
        return found[0]

    def first_and_end(self, partition: TopicPartition) -> tuple[int, int]:
        """First offset, and the end: the last stable offset where committed records are read."""
        found = self._patiently(
            f"the ends of {partition} are known",
            lambda: self._consumer.get_watermark_offsets(partition, timeout=_SECONDS),
        )
        assert found is not None
        return found

    def ends(self) -> dict[tuple[str, int], int]:
        """Where the partitions end now: the last stable offset where committed records are read."""
        # In place of a time, -1 asks for the end, of all partitions at once.
        wanted = [TopicPartition(each.topic, each.partition, -1) for each in self._partitions]

        def ask() -> list[TopicPartition]:
            found = self._consumer.offsets_for_times(wanted, timeout=_SECONDS) if wanted else []
            for each in found:
                if each.error:
                    raise KafkaException(each.error)
            return found

        found = self._patiently("the ends of the partitions are known", ask)
        return {(each.topic, each.partition): each.offset for each in found}

    def _poll(self) -> None:
        for message in self._consumer.consume(5000, 0.05):
            error, topic, number, offset = message.error(), message.topic(), message.partition(), message.offset()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                if error.code() in _NOT_READABLE or error.fatal():
                    raise KafkaException(error)
                continue  # a broker that is away: what the caller waits for is bounded
            assert topic is not None
            assert number is not None
            assert offset is not None
            if error is not None:
                self._position[topic, number] = offset
                continue
            key, value, headers = message.key(), message.value(), _headers(message)
            assert key is None or isinstance(key, bytes)
            self._position[topic, number] = self.reached[topic, number] = offset + 1
            self.entries.append(Entry(topic, number, offset, key, value, headers))

    def until(
        self, what: str, enough: Callable[[list[Entry]], bool], context: Callable[[], str] = lambda: ""
    ) -> list[Entry]:
        """Read on until `enough` of what was read; return all of it."""

        heard = time.monotonic()

        def probe() -> bool:
            nonlocal heard
            before = dict(self._position)
            self._poll()
            if before != self._position:
                heard = time.monotonic()
            elif time.monotonic() - heard > _DEAF_SECONDS:
                heard = time.monotonic()
                self._renew()
            return enough(self.entries)

        until(what, probe, lambda: f"{len(self.entries)} records read\n{context()}")
        return self.entries

    def to_end(self) -> list[Entry]:
        """Read up to where the partitions end now; return all that was read."""
        ends = self.ends()
        return self.until(
            f"read up to {ends}", lambda _: all(self._position[place] >= end for place, end in ends.items())
        )

    def take(self) -> list[Entry]:
        """What was read and not taken yet, up to where the partitions end now; it is not kept."""
        found = [*self.to_end()]
        self.entries.clear()
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._consumer.close()


def _headers(message: Message) -> tuple[tuple[str, bytes | None], ...]:
    """The headers; at most one name may be other than UTF-8."""
    try:
        found: Any = _asked(message) or ()
    except SystemError as error:
        # Asked once more, the client gives all but that name: there is nothing in its place, and looking at it would
        # end the process. That it is not there shows in the representation.
        cause = error.__cause__
        if not isinstance(cause, UnicodeDecodeError):
            raise
        name = cause.object.decode(errors="surrogateescape")
        given: Any = _asked(message)
        found = [(name if repr(pair).startswith("(<NULL>,") else pair[0], pair[1]) for pair in given]
    return tuple(found)


def read(servers: str, topics: Iterable[str], starts: Offsets | None = None, isolation: str = "") -> list[Entry]:
    """Everything that lies in the topics now."""
    with Log(servers, topics, starts, isolation) as log:
        return log.to_end()
