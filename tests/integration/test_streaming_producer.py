"""Commits as the broker checks them: by membership, by transactional id, by transaction timeout."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiokafka
import pytest
from confluent_kafka import Consumer, TopicPartition

from atp_stream.local import LocalCluster
from atp_stream.streaming.cluster import Cluster, KafkaConfig
from atp_stream.streaming.errors import NotPermitted
from atp_stream.streaming.membership import NO_MEMBER, Membership, check_format, group_metadata
from atp_stream.streaming.partitioner import partition_of
from atp_stream.streaming.producer import Outcome, TransactionalProducer
from atp_stream.streaming.records import Partition
from atp_stream.streaming.transactional_ids import SharedId
from tests.cluster import create_topic
from tests.pipeline.waiting import until
from tests.streaming import seen

SECONDS = 60.0

Join = Callable[[], Awaitable["Member"]]


class Member:
    """A member of the group, by the same client as the worker's."""

    def __init__(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        self.consumer = consumer

    @property
    def membership(self) -> Membership:
        coordinator = self.consumer._coordinator
        return Membership(coordinator.generation, coordinator.member_id)


@pytest.fixture
def kafka(cluster: LocalCluster) -> KafkaConfig:
    return {"bootstrap.servers": cluster.bootstrap_servers}


@pytest.fixture
def source(cluster: LocalCluster, unique: str) -> Partition:
    create_topic(cluster.bootstrap_servers, f"{unique}-source", 2)
    return Partition(f"{unique}-source", 0)


@pytest.fixture
def out(cluster: LocalCluster, unique: str) -> str:
    create_topic(cluster.bootstrap_servers, f"{unique}-out")
    return f"{unique}-out"


@pytest.fixture
def group(kafka: KafkaConfig, unique: str) -> Cluster:
    return Cluster(kafka, unique, SECONDS)


def producer_of(kafka: KafkaConfig, unique: str, timeout_ms: int = 10_000) -> TransactionalProducer:
    return TransactionalProducer(kafka, SharedId(f"{unique}-id"), unique, timeout_ms, SECONDS)


@pytest.fixture
async def join(cluster: LocalCluster, unique: str, source: Partition) -> AsyncIterator[Join]:
    async with AsyncExitStack() as stack:

        async def joined() -> Member:
            consumer = aiokafka.AIOKafkaConsumer(
                source.topic,
                bootstrap_servers=cluster.bootstrap_servers,
                group_id=unique,
                enable_auto_commit=False,
                heartbeat_interval_ms=100,
                auto_offset_reset="earliest",
            )
            await stack.enter_async_context(consumer)
            return Member(consumer)

        yield joined


def transact(
    producer: TransactionalProducer, out: str, value: bytes, offset: TopicPartition, by: Membership
) -> Outcome:
    producer.begin()
    producer.produce(out, value, b"key")
    return producer.commit([offset], by)


async def test_given_a_member_of_the_group_when_it_commits_then_records_and_offsets_are_there(
    kafka: KafkaConfig, unique: str, group: Cluster, join: Join, source: Partition, out: str
) -> None:
    member = await join()
    producer = producer_of(kafka, unique)
    await asyncio.to_thread(producer.start)
    found: list[int | None] = []
    producer.begin()
    producer.produce(out, b"one", b"key", on_delivery=lambda _, message: found.append(message.offset()))
    outcome = await asyncio.to_thread(producer.commit, [TopicPartition(*source, 3)], member.membership)
    assert outcome is Outcome.COMMITTED
    assert found == [0]
    assert await asyncio.to_thread(group.stable_offsets, [source]) == {source: 3}
    assert await asyncio.to_thread(seen, group, out) == [b"one"]


async def test_given_a_rebalance_since_when_a_batch_is_committed_then_it_is_aborted_and_nothing_of_it_is_seen(
    kafka: KafkaConfig, unique: str, group: Cluster, join: Join, source: Partition, out: str
) -> None:
    first = await join()
    producer = producer_of(kafka, unique)
    await asyncio.to_thread(producer.start)
    frozen = first.membership
    offset = TopicPartition(*source, 3)
    assert await asyncio.to_thread(transact, producer, out, b"one", offset, frozen) is Outcome.COMMITTED
    await join()
    assert first.membership.generation > frozen.generation
    offset.offset = 5
    assert await asyncio.to_thread(transact, producer, out, b"two", offset, frozen) is Outcome.ABORTED
    assert producer.is_ready
    assert await asyncio.to_thread(group.stable_offsets, [source]) == {source: 3}
    assert await asyncio.to_thread(seen, group, out) == [b"one"]
    assert await asyncio.to_thread(transact, producer, out, b"again", offset, first.membership) is Outcome.COMMITTED
    assert await asyncio.to_thread(seen, group, out) == [b"one", b"again"]


async def test_given_a_member_that_is_not_known_when_it_commits_then_the_batch_is_aborted(
    kafka: KafkaConfig, unique: str, group: Cluster, join: Join, source: Partition, out: str
) -> None:
    member = await join()
    producer = producer_of(kafka, unique)
    await asyncio.to_thread(producer.start)
    stranger = member.membership._replace(member_id="stranger")
    offset = TopicPartition(*source, 3)
    assert await asyncio.to_thread(transact, producer, out, b"one", offset, stranger) is Outcome.ABORTED
    assert await asyncio.to_thread(group.stable_offsets, [source]) == {source: None}
    assert await asyncio.to_thread(seen, group, out) == []


def test_given_another_producer_with_the_same_id_then_the_outcome_is_unknown_and_nothing_is_seen(
    kafka: KafkaConfig, unique: str, group: Cluster, source: Partition, out: str
) -> None:
    first, second = producer_of(kafka, unique), producer_of(kafka, unique)
    first.start()
    first.begin()
    first.produce(out, b"fenced", b"key")
    second.start()
    assert first.commit([TopicPartition(*source, 3)], NO_MEMBER) is Outcome.UNKNOWN
    assert not first.is_ready
    assert group.stable_offsets([source]) == {source: None}
    assert seen(group, out) == []
    first.start()  # and is now the one that fences
    assert transact(first, out, b"one", TopicPartition(*source, 3), NO_MEMBER) is Outcome.COMMITTED
    assert transact(second, out, b"two", TopicPartition(*source, 4), NO_MEMBER) is Outcome.UNKNOWN
    assert seen(group, out) == [b"one"]


def test_given_a_producer_given_up_in_a_transaction_when_its_successor_starts_then_the_transaction_is_over(
    kafka: KafkaConfig, unique: str, group: Cluster, source: Partition, out: str
) -> None:
    # A time-out far away: it is the start that ends the orphan.
    first, second = producer_of(kafka, unique, 300_000), producer_of(kafka, unique, 300_000)
    first.start()
    first.begin()
    first.produce(out, b"orphan", b"key")
    written = Partition(out, 0)
    until("the orphan lies in the log", lambda: group.ends([written])[written][1] == 1)
    first.close()
    second.start()
    assert seen(group, out) == []
    assert transact(second, out, b"one", TopicPartition(*source, 3), NO_MEMBER) is Outcome.COMMITTED
    assert seen(group, out) == [b"one"]


def test_given_a_bug_in_a_stage_when_the_transaction_is_aborted_then_nothing_is_seen_and_the_next_one_commits(
    kafka: KafkaConfig, unique: str, group: Cluster, source: Partition, out: str
) -> None:
    producer = producer_of(kafka, unique)
    producer.start()
    producer.begin()
    producer.produce(out, b"aborted", b"key")
    producer.abort()
    assert producer.is_ready
    assert transact(producer, out, b"one", TopicPartition(*source, 3), NO_MEMBER) is Outcome.COMMITTED
    assert seen(group, out) == [b"one"]


def test_given_a_record_that_is_too_large_for_its_topic_then_the_transaction_is_aborted(
    cluster: LocalCluster, kafka: KafkaConfig, unique: str, group: Cluster, source: Partition, out: str
) -> None:
    producer = producer_of(kafka, unique)
    producer.start()
    producer.begin()
    producer.produce(out, random.Random(1).randbytes(1_500_000), b"key")  # the broker takes 1 MB
    producer.produce(out, b"small", b"key")
    outcome = producer.commit([TopicPartition(*source, 3)], NO_MEMBER)
    assert outcome is not Outcome.COMMITTED
    assert seen(group, out) == []
    assert group.stable_offsets([source]) == {source: None}


def test_given_a_transaction_timeout_that_the_broker_refuses_when_started_then_its_setting_is_named(
    kafka: KafkaConfig, unique: str
) -> None:
    with pytest.raises(NotPermitted) as caught:
        producer_of(kafka, unique, 3_600_000).start()
    assert "transaction.max.timeout.ms" in caught.value.fix


def test_given_a_key_then_it_lies_where_java_puts_it(cluster: LocalCluster, kafka: KafkaConfig, unique: str) -> None:
    create_topic(cluster.bootstrap_servers, unique, 6)
    producer = producer_of(kafka, unique)
    producer.start()
    producer.begin()
    keys = [b"tenant/item-%d" % n for n in range(40)]
    for key in keys:
        producer.produce(unique, key, key)
    assert producer.commit([TopicPartition(unique, 0, 0)], NO_MEMBER) is Outcome.COMMITTED
    group = Cluster(kafka, unique, SECONDS)
    for number in range(6):
        assert seen(group, unique, number) == [key for key in keys if partition_of(key, 6) == number]


def test_given_a_consumer_of_librdkafka_that_has_joined_then_its_metadata_is_what_is_built_here(
    kafka: KafkaConfig, unique: str, source: Partition
) -> None:
    consumer = Consumer({**kafka, "group.id": unique, "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([source.topic])

        def joined() -> bool:
            consumer.poll(0.1)
            return bool(consumer.assignment())

        until("the consumer has joined", joined)
        metadata: bytes = consumer.consumer_group_metadata()
        member_id: str = consumer.memberid()
        generation = int.from_bytes(metadata[len(b"CGMDv2:") :][:4], "little", signed=True)
        assert generation >= 1
        assert metadata == group_metadata(unique, Membership(generation, member_id))
    finally:
        consumer.close()
    check_format(kafka, unique)
