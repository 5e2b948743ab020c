"""What a cluster says of its transactions: the logs' open ones, the coordinators' words, and how they ended.

The requests are those behind `kafka-transactions.sh` (KIP-664), in the versions that Kafka 4.x accepts.
"""

import struct
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from .raw import NO_TAGS, ask_flexible, compact_array, compact_string
from .wire import WRITE_TXN_MARKERS, Cursor

DESCRIBE_PRODUCERS, DESCRIBE_TRANSACTIONS, LIST_TRANSACTIONS = 61, 65, 66

Place = tuple[str, int]
"""A topic and a partition."""

_LOG = "__transaction_state"
_COMPLETE_COMMIT, _COMPLETE_ABORT = 4, 5
_SECONDS = 30.0


class Unsettled(Exception):
    """A broker cannot say now: leaders or coordinators are moving. Ask again."""


@dataclass(frozen=True)
class Open:
    """A transaction that is open in a partition's log, by the leader's word. `start`: its first offset there."""

    place: Place
    producer_id: int
    epoch: int
    coordinator_epoch: int
    start: int


@dataclass(frozen=True)
class Transaction:
    """A coordinator's word about a producer's present or last transaction.

    places: while it is open all its partitions; while it is being ended those that have no marker yet.
    """

    transactional_id: str
    state: str
    producer_id: int
    epoch: int
    places: frozenset[Place]


@dataclass(frozen=True)
class LogEntry:
    """One step of a transaction in the coordinator's log."""

    status: int
    places: frozenset[Place]


def open_transactions(server: str, places: Collection[Place]) -> list[Open]:
    """Return what is open in the partitions, which the broker has to lead."""
    by_topic = defaultdict(list)
    for topic, partition in places:
        by_topic[topic].append(partition)
    topics = (compact_string(topic) + _numbers(numbers) + NO_TAGS for topic, numbers in by_topic.items())
    answer = ask_flexible(server, DESCRIBE_PRODUCERS, 0, compact_array(topics) + NO_TAGS)
    answer.skip(4)  # throttle time
    return [found for found in _producers(answer) if found.start >= 0]


def _producers(answer: Cursor) -> Iterator[Open]:
    for _topic in answer.array():
        topic = answer.string()
        for _partition in answer.array():
            place = topic, answer.number("i")
            _settled(answer.number("h"), f"the producers of {place}")
            answer.string()
            for _producer in answer.array():
                producer_id, epoch = answer.number("q"), answer.number("i")
                answer.skip(12)  # last sequence, time of the last record
                coordinator_epoch, start = answer.number("i"), answer.number("q")
                answer.tags()
                yield Open(place, producer_id, epoch, coordinator_epoch, start)
            answer.tags()
        answer.tags()


def coordinated(server: str, producer_ids: Collection[int]) -> list[Transaction]:
    """Return what the broker, as a coordinator, says of the producers that have these ids."""
    filters = compact_array([]) + compact_array(struct.pack(">q", number) for number in producer_ids)
    answer = ask_flexible(server, LIST_TRANSACTIONS, 0, filters + NO_TAGS)
    answer.skip(4)  # throttle time
    _settled(answer.number("h"), f"the transactions of {server}")
    for _unknown in answer.array():
        answer.string()
    found = []
    for _transaction in answer.array():
        found.append(answer.string())
        answer.skip(8)  # producer id
        answer.string()
        answer.tags()
    return [described(server, transactional_id) for transactional_id in found]


def described(server: str, transactional_id: str) -> Transaction:
    """Return what the broker, which has to be its coordinator, says of the transactional id."""
    answer = ask_flexible(server, DESCRIBE_TRANSACTIONS, 0, compact_array([compact_string(transactional_id)]) + NO_TAGS)
    answer.skip(4)  # throttle time
    answer.array()
    _settled(answer.number("h"), f"the transaction of {transactional_id}")
    answer.string()
    state = answer.string()
    answer.skip(12)  # time-out, begin
    producer_id, epoch = answer.number("q"), answer.number("h")
    return Transaction(transactional_id, state, producer_id, epoch, frozenset(_places(answer)))


def write_marker(server: str, transaction: Open, *, commit: bool) -> None:
    """End the transaction in this one partition, which the broker has to lead.

    In version 1 the marker bears the records' own epoch, as that of `kafka-transactions.sh abort` does; from version 2
    on it may say that epochs rise with each transaction, and would then have to bear a later one (KIP-890, KIP-1228).
    """
    topic, partition = transaction.place
    marker = (
        struct.pack(">qhb", transaction.producer_id, transaction.epoch, commit)
        + compact_array([compact_string(topic) + _numbers([partition]) + NO_TAGS])
        # No marker yet from this producer: -1. Nothing is older than 0.
        + struct.pack(">i", max(transaction.coordinator_epoch, 0))
        + NO_TAGS
    )
    answer = ask_flexible(server, WRITE_TXN_MARKERS, 1, compact_array([marker]) + NO_TAGS)
    for _marker in answer.array():
        answer.skip(8)
        for _topic in answer.array():
            answer.string()
            for _partition in answer.array():
                answer.skip(4)
                _settled(answer.number("h"), f"the marker to {transaction.place}")
                answer.tags()
            answer.tags()
        answer.tags()


def logged(servers: str, producer_ids: Collection[int]) -> Mapping[int, list[LogEntry]]:
    """Return what the coordinators' log still has about these producers, by producer id, in order."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "transaction-log-reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_uncommitted",
        }
    )
    found: dict[int, list[LogEntry]] = {number: [] for number in producer_ids}
    try:
        left = set(consumer.list_topics(_LOG, timeout=_SECONDS).topics[_LOG].partitions)
        consumer.assign([TopicPartition(_LOG, partition, OFFSET_BEGINNING) for partition in left])
        while left:
            message = consumer.poll(_SECONDS)
            if message is None:
                raise Unsettled(f"{_LOG}: no record, and not at the end")
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
            elif error is not None:
                raise KafkaException(error)
            elif (value := message.value()) is not None:
                producer_id, entry = _entry(value)
                if producer_id in found:
                    found[producer_id].append(entry)
    finally:
        consumer.close()
    return found


def _entry(value: bytes) -> tuple[int, LogEntry]:
    (version,) = struct.unpack_from(">h", value)
    cursor = Cursor(value, 2, flexible=version >= 1)
    producer_id = cursor.number("q")
    cursor.skip(6)  # epoch, time-out
    status = cursor.number("b")
    return producer_id, LogEntry(status, frozenset(_places(cursor)))


def decided(entries: Iterable[LogEntry], place: Place) -> bool | None:
    """Return how the last ended transaction with this partition was to end: True for a commit; None if not known.

    A producer's marker ends whatever it has open in a partition, so what is open there belongs to that transaction.
    """
    word, within = None, False
    for entry in entries:
        if entry.status in (_COMPLETE_COMMIT, _COMPLETE_ABORT):
            word = entry.status == _COMPLETE_COMMIT if within else word
            within = False
        else:
            within = within or place in entry.places
    return word


def _places(cursor: Cursor) -> Iterator[Place]:
    for _topic in cursor.array():
        topic = cursor.string()
        for _partition in cursor.array():
            yield topic, cursor.number("i")
        cursor.tags()


def _numbers(numbers: Iterable[int]) -> bytes:
    return compact_array(struct.pack(">i", number) for number in numbers)


def _settled(code: int, what: str) -> None:
    if code:
        raise Unsettled(f"{what}: error code {code}")
