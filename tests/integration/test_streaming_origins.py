"""Where reading begins: written once, whoever starts first and however many start at once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from atp_stream.local import LocalCluster
from atp_stream.streaming.cluster import Cluster, KafkaConfig
from atp_stream.streaming.errors import StateMismatch
from atp_stream.streaming.origins import Origins, describe_topics, establish
from atp_stream.streaming.producer import TransactionalProducer
from atp_stream.streaming.records import Partition
from atp_stream.streaming.transactional_ids import SharedId
from tests.cluster import create_topic
from tests.pipeline.waiting import until
from tests.streaming import OpenTransaction, committed, seen

SECONDS = 60.0


@dataclass(frozen=True)
class Group:
    """A group of workers that reads two topics, one of which holds records already."""

    kafka: KafkaConfig
    name: str

    @property
    def cluster(self) -> Cluster:
        return Cluster(self.kafka, self.name, SECONDS)

    @property
    def origins(self) -> str:
        return f"{self.name}-origins"

    @property
    def sources(self) -> list[str]:
        return [f"{self.name}-empty", f"{self.name}-full"]

    @property
    def partitions(self) -> list[Partition]:
        return [Partition(topic, number) for topic in self.sources for number in range(2)]

    def establish(self) -> Origins:
        """What each worker does at its start."""
        producer = TransactionalProducer(self.kafka, SharedId(f"{self.name}-origins"), self.name, 10_000, SECONDS)
        return establish(self.cluster, producer, self.origins, describe_topics(self.kafka, self.sources))


@pytest.fixture
def group(cluster: LocalCluster, unique: str) -> Group:
    group = Group({"bootstrap.servers": cluster.bootstrap_servers}, unique)
    create_topic(cluster.bootstrap_servers, group.origins)
    for topic in group.sources:
        create_topic(cluster.bootstrap_servers, topic, 2)
    committed(group.kafka, group.sources[1], b"a", b"b")
    return group


def starts(group: Group, origins: Origins) -> dict[Partition, int]:
    return {partition: origins.start(*partition) for partition in group.partitions}


def test_given_a_first_start_then_reading_begins_at_the_first_record_and_the_group_has_these_offsets(
    group: Group,
) -> None:
    origins = group.establish()
    assert starts(group, origins) == dict.fromkeys(group.partitions, 0)
    assert group.cluster.stable_offsets(group.partitions) == dict.fromkeys(group.partitions, 0)


def test_given_two_workers_that_start_for_the_first_time_at_once_then_there_is_one_set_of_origins(
    group: Group,
) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: group.establish(), range(2))
    assert starts(group, first) == starts(group, second)
    assert len(seen(group.cluster, group.origins)) == len(group.sources)
    assert group.cluster.stable_offsets(group.partitions) == dict.fromkeys(group.partitions, 0)


def test_given_origins_when_a_worker_starts_again_then_neither_they_nor_the_offsets_change(group: Group) -> None:
    first = group.establish()
    full = Partition(group.sources[1], 0)
    OpenTransaction(group.kafka, f"{group.name}-1").send_offsets(group.name, full, 2).commit()
    again = group.establish()
    assert starts(group, again) == starts(group, first)
    assert len(seen(group.cluster, group.origins)) == len(group.sources)
    assert group.cluster.stable_offsets([full]) == {full: 2}


def test_given_offsets_that_were_lost_then_a_start_does_not_begin_anew(group: Group) -> None:
    group.establish()
    admin = AdminClient(dict(group.kafka))
    admin.delete_consumer_groups([group.name])[group.name].result(SECONDS)
    group.establish()
    assert group.cluster.stable_offsets(group.partitions) == dict.fromkeys(group.partitions, None)


def test_given_more_partitions_than_before_then_only_the_new_ones_begin(group: Group) -> None:
    first = group.establish()
    topic = group.sources[1]
    full, added = Partition(topic, 0), Partition(topic, 2)
    OpenTransaction(group.kafka, f"{group.name}-1").send_offsets(group.name, full, 2).commit()
    admin = AdminClient(dict(group.kafka))
    admin.create_partitions([NewPartitions(topic, 3)])[topic].result(SECONDS)
    until("the partition is there", lambda: describe_topics(group.kafka, [topic])[topic].partitions == 3)
    again = group.establish()
    assert starts(group, again) == starts(group, first)
    assert again.start(*added) == 0
    assert group.cluster.stable_offsets([full, added]) == {full: 2, added: 0}


def test_given_a_topic_that_was_created_again_then_a_start_is_refused(cluster: LocalCluster, group: Group) -> None:
    group.establish()
    topic = group.sources[1]
    before = describe_topics(group.kafka, [topic])[topic].topic_id
    admin = AdminClient(dict(group.kafka))
    admin.delete_topics([topic])[topic].result(SECONDS)
    until("the topic is gone", lambda: topic not in admin.list_topics(timeout=SECONDS).topics)
    create_topic(cluster.bootstrap_servers, topic, 2)
    with pytest.raises(StateMismatch, match="is not the topic that was read before") as caught:
        group.establish()
    assert before in caught.value.cause


def test_given_offsets_without_origins_then_a_start_is_refused_and_they_are_named(group: Group) -> None:
    full = Partition(group.sources[1], 0)
    OpenTransaction(group.kafka, f"{group.name}-1").send_offsets(group.name, full, 2).commit()
    with pytest.raises(StateMismatch, match="where it began to read is not known") as caught:
        group.establish()
    assert caught.value.cause == f"{full.topic}[0]: 2"
