"""What the tests of the transactional producer's answers have in common: a broker behind a proxy, and what is seen."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from atp_stream.streaming.cluster import Cluster
from atp_stream.streaming.membership import NO_MEMBER, Membership
from atp_stream.streaming.producer import Outcome, TransactionalProducer
from atp_stream.streaming.records import Partition
from atp_stream.streaming.transactional_ids import SharedId
from tests.faults.brokers import Brokers
from tests.faults.kafka_proxy import Lane
from tests.pipeline.waiting import until
from tests.streaming import seen

SECONDS = 60.0

_LANE = "producer"
#: Refusals are the broker's own: whoever has no rule may do everything.
_WITH_PERMISSIONS = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}


@contextmanager
def behind_proxy(directory: Path, count: int) -> Iterator[Brokers]:
    """One broker or three, for a producer behind a proxy; the coordinators serve."""
    with Brokers(directory, count, [_LANE], settings=_WITH_PERMISSIONS) as brokers:
        until("the coordinator serves", lambda: _coordinator_serves(brokers.servers))
        yield brokers


def _coordinator_serves(servers: str) -> bool:
    try:
        Producer({"bootstrap.servers": servers, "transactional.id": "any", "log_level": 0}).init_transactions(SECONDS)
    except KafkaException:
        return False
    return True


@dataclass
class Bench:
    """Producers of one test behind the proxy, and an observer who reads committed data directly from the broker."""

    brokers: Brokers
    name: str

    @property
    def lane(self) -> Lane:
        return self.brokers.lane(_LANE)

    @property
    def source(self) -> Partition:
        return Partition(self.name, 0)

    @property
    def cluster(self) -> Cluster:
        return Cluster({"bootstrap.servers": self.brokers.servers}, self.name, SECONDS)

    def producer(
        self, *, timeout_ms: int = 10_000, deadline: float = SECONDS, transactional_id: str = ""
    ) -> TransactionalProducer:
        """Return a producer, not yet started."""
        kafka = {"bootstrap.servers": self.lane.servers}
        return TransactionalProducer(kafka, SharedId(transactional_id or self.name), self.name, timeout_ms, deadline)

    def started(self, *, timeout_ms: int = 10_000, deadline: float = SECONDS) -> TransactionalProducer:
        """Return a producer that has committed the record `before` and the offset 1: all its connections are there."""
        producer = self.producer(timeout_ms=timeout_ms, deadline=deadline)
        producer.start()
        assert self.transact(producer, b"before", 1) is Outcome.COMMITTED
        return producer

    def transact(
        self, producer: TransactionalProducer, value: bytes, offset: int, membership: Membership = NO_MEMBER
    ) -> Outcome:
        """Make a transaction of one record and the source's offset."""
        producer.begin()
        producer.produce(self.name, value, b"key")
        return self.commit(producer, offset, membership)

    def transact_rest(self, producer: TransactionalProducer, value: bytes, offset: int) -> Outcome:
        """Add a record to the open transaction and commit it with the source's offset."""
        producer.produce(self.name, value, b"key")
        return self.commit(producer, offset)

    def commit(self, producer: TransactionalProducer, offset: int, membership: Membership = NO_MEMBER) -> Outcome:
        """Commit the transaction with the source's offset."""
        return producer.commit([TopicPartition(*self.source, offset)], membership)

    def opened(self, producer: TransactionalProducer, value: bytes) -> None:
        """Begin a transaction, and return when its record lies in the log."""
        written = Partition(self.name, 0)
        before = self.cluster.ends([written])[written][1]
        producer.begin()
        producer.produce(self.name, value, b"key")
        until("the record lies in the log", lambda: self.cluster.ends([written])[written][1] > before)

    def visible(self) -> tuple[list[bytes], int | None]:
        """What a consumer of committed data sees, and the group's offset, once no transaction is open any more."""
        offset = self.cluster.stable_offsets([self.source])[self.source]
        return seen(self.cluster, self.name), offset

    def goes_on(self, producer: TransactionalProducer, *, after: list[bytes], offset: int | None) -> None:
        """Settle what is open, compare with what must be there then, and see that the next transaction commits."""
        if not producer.is_ready:
            producer.start()
        assert self.visible() == (after, offset)
        assert self.transact(producer, b"next", 100) is Outcome.COMMITTED
        assert self.visible() == ([*after, b"next"], 100)

    def deny(self, kind: ResourceType, name: str, operation: AclOperation) -> None:
        """Have the broker refuse everybody the operation on what has the name."""
        admin = AdminClient({"bootstrap.servers": self.brokers.servers})
        rule = AclBinding(kind, name, ResourcePatternType.LITERAL, "User:*", "*", operation, AclPermissionType.DENY)
        admin.create_acls([rule])[rule].result(SECONDS)


@pytest.fixture
def bench(brokers: Brokers, unique: str) -> Iterator[Bench]:
    """A topic of the test's own, behind the proxy of its module's `brokers`."""
    brokers.create_topic(unique)
    bench = Bench(brokers, unique)
    yield bench
    bench.lane.clear()
