"""What the tests of the streaming package on a real Kafka have in common: transactions left open, and what is seen."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from confluent_kafka import Message, Producer, TopicPartition

from atp_stream.streaming.cluster import Cluster, KafkaConfig
from atp_stream.streaming.membership import NO_MEMBER, group_metadata
from atp_stream.streaming.records import Partition

_SECONDS = 30.0

T = TypeVar("T")


class OpenTransaction:
    """A transaction of a producer of its own: what is in it lies in the log, and how it ends is up to the test."""

    def __init__(self, kafka: KafkaConfig, transactional_id: str) -> None:
        self._producer = Producer({**kafka, "transactional.id": transactional_id, "linger.ms": 0})
        self._producer.init_transactions(_SECONDS)
        self._producer.begin_transaction()

    def write(self, topic: str, *values: bytes, partition: int = 0) -> "OpenTransaction":
        """Write records with the value as key, and return when they lie in the log."""
        for value in values:
            self._producer.produce(topic, value, value, partition)
        assert self._producer.flush(_SECONDS) == 0
        return self

    def send_offsets(self, group: str, partition: Partition, offset: int) -> "OpenTransaction":
        """Have the group's offset wait for the end of the transaction."""
        self._producer.send_offsets_to_transaction(
            [TopicPartition(*partition, offset)], group_metadata(group, NO_MEMBER), _SECONDS
        )
        return self

    def commit(self) -> None:
        self._producer.commit_transaction(_SECONDS)

    def abort(self) -> None:
        self._producer.abort_transaction(_SECONDS)


def committed(kafka: KafkaConfig, topic: str, *values: bytes) -> None:
    """Write the values in a transaction of their own."""
    OpenTransaction(kafka, f"{topic}-writer").write(topic, *values).commit()


def seen(cluster: Cluster, topic: str, partition: int = 0) -> list[bytes]:
    """The committed values of a partition from its first record to its high watermark."""
    found: list[bytes] = []

    def consume(_partition: Partition, messages: list[Message]) -> None:
        found.extend(value for each in messages if (value := each.value()) is not None)

    cluster.read(cluster.ends([Partition(topic, partition)]), consume)
    return found


@contextmanager
def in_background(call: Callable[[], T]) -> Iterator["Future[T]"]:
    """Make the call in a thread; leaving waits for its end."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(call)
