"""What the cluster is asked: offsets that no former owner changes any more, true ends, and changelogs up to there."""

import threading
from collections.abc import Callable
from concurrent.futures import wait

import pytest
from confluent_kafka import Message, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)
from confluent_kafka.cimpl import NewTopic

from atp_stream.local import LocalCluster
from atp_stream.streaming import cluster as module
from atp_stream.streaming.cluster import Cluster, KafkaConfig
from atp_stream.streaming.errors import Superseded
from atp_stream.streaming.records import Partition
from tests.cluster import create_topic
from tests.pipeline.waiting import until
from tests.streaming import OpenTransaction, committed, in_background, seen

SECONDS = 60.0
#: How long something is watched that must not happen.
WATCHED_SECONDS = 1.0

End = Callable[[OpenTransaction], None]


@pytest.fixture
def kafka(cluster: LocalCluster) -> KafkaConfig:
    return {"bootstrap.servers": cluster.bootstrap_servers}


@pytest.fixture
def topic(cluster: LocalCluster, unique: str) -> str:
    create_topic(cluster.bootstrap_servers, unique, 2)
    return unique


@pytest.fixture
def reader(kafka: KafkaConfig, unique: str) -> Cluster:
    return Cluster(kafka, f"{unique}-group", SECONDS)


class SecondTime:
    """Is true from the second time on that it is asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked > 1


def end_is(reader: Cluster, topic: str, expected: tuple[int, int]) -> None:
    """The broker answers a commit before the markers are written: wait for them."""
    partition = Partition(topic, 0)
    until(f"{topic} ends at {expected}", lambda: reader.ends([partition])[partition] == expected)


@pytest.mark.parametrize(
    ("end", "expected"), [(OpenTransaction.commit, 5), (OpenTransaction.abort, 3)], ids=["commits", "aborts"]
)
def test_given_offsets_of_an_open_transaction_then_stable_offsets_are_those_after_it_ends(
    kafka: KafkaConfig, topic: str, reader: Cluster, end: End, expected: int
) -> None:
    partition = Partition(topic, 0)
    OpenTransaction(kafka, f"{topic}-1").send_offsets(f"{topic}-group", partition, 3).commit()
    pending = OpenTransaction(kafka, f"{topic}-2").send_offsets(f"{topic}-group", partition, 5)
    with in_background(lambda: reader.stable_offsets([partition, Partition(topic, 1)])) as answer:
        done, _ = wait([answer], WATCHED_SECONDS)
        assert not done
        end(pending)
        assert answer.result(SECONDS) == {partition: expected, Partition(topic, 1): None}


def test_given_an_answer_that_is_no_longer_wanted_then_stable_offsets_gives_way(
    kafka: KafkaConfig, topic: str, reader: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = Partition(topic, 0)
    pending = OpenTransaction(kafka, f"{topic}-1").send_offsets(f"{topic}-group", partition, 5)
    monkeypatch.setattr(module, "_CALL_SECONDS", 0.5)
    with pytest.raises(Superseded):
        reader.stable_offsets([partition], SecondTime())
    pending.abort()


def test_given_an_open_transaction_then_the_end_is_the_high_watermark_and_not_the_last_stable_offset(
    kafka: KafkaConfig, topic: str, reader: Cluster
) -> None:
    left_open = OpenTransaction(kafka, f"{topic}-1").write(topic, b"orphan")
    committed(kafka, topic, b"a", b"b")  # two records and a marker behind the orphan
    end_is(reader, topic, (0, 4))
    assert reader.ends([Partition(topic, 1)]) == {Partition(topic, 1): (0, 0)}
    left_open.abort()


def test_given_records_that_were_deleted_then_the_first_offset_follows_them(
    kafka: KafkaConfig, topic: str, reader: Cluster
) -> None:
    committed(kafka, topic, b"a", b"b", b"c")
    admin = AdminClient(dict(kafka))
    admin.delete_records([TopicPartition(topic, 0, 2)])[TopicPartition(topic, 0)].result(SECONDS)
    end_is(reader, topic, (2, 4))
    assert seen(reader, topic) == [b"c"]


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (OpenTransaction.commit, [b"a", b"orphan", b"b", b"c"]),
        (OpenTransaction.abort, [b"a", b"b", b"c"]),
    ],
    ids=["commits", "aborts"],
)
def test_given_an_open_transaction_before_committed_records_then_reading_waits_for_its_end_and_misses_nothing(
    kafka: KafkaConfig, topic: str, reader: Cluster, end: End, expected: list[bytes]
) -> None:
    committed(kafka, topic, b"a")
    left_open = OpenTransaction(kafka, f"{topic}-1").write(topic, b"orphan")
    committed(kafka, topic, b"b", b"c")
    with in_background(lambda: seen(reader, topic)) as found:
        done, _ = wait([found], WATCHED_SECONDS)
        assert not done
        end(left_open)
        assert found.result(SECONDS) == expected


def test_given_an_open_transaction_behind_the_span_then_reading_does_not_wait_for_it(
    kafka: KafkaConfig, topic: str, reader: Cluster
) -> None:
    committed(kafka, topic, b"a", b"b")
    end_is(reader, topic, (0, 3))
    ends = reader.ends([Partition(topic, 0)])
    left_open = OpenTransaction(kafka, f"{topic}-1").write(topic, b"later")
    found: list[bytes | None] = []
    reader.read(ends, lambda _, messages: found.extend(each.value() for each in messages))
    assert found == [b"a", b"b"]
    left_open.abort()


def test_given_records_behind_the_span_then_they_are_not_read(kafka: KafkaConfig, topic: str, reader: Cluster) -> None:
    committed(kafka, topic, b"a", b"b", b"c")
    found: list[bytes | None] = []
    reader.read({Partition(topic, 0): (1, 2)}, lambda _, messages: found.extend(each.value() for each in messages))
    assert found == [b"b"]


def test_given_aborted_records_and_markers_at_the_end_then_reading_ends_with_what_was_committed(
    kafka: KafkaConfig, topic: str, reader: Cluster
) -> None:
    committed(kafka, topic, b"a")
    for number in range(3):
        OpenTransaction(kafka, f"{topic}-1").write(topic, b"aborted-%d" % number).abort()
    end_is(reader, topic, (0, 8))
    assert seen(reader, topic) == [b"a"]


def test_given_nothing_but_aborted_records_then_reading_ends_with_nothing(
    kafka: KafkaConfig, topic: str, reader: Cluster
) -> None:
    OpenTransaction(kafka, f"{topic}-1").write(topic, b"aborted").abort()
    assert seen(reader, topic) == []
    assert seen(reader, topic, partition=1) == []


def test_given_several_partitions_then_each_is_read_in_order_to_its_own_end(
    kafka: KafkaConfig, topic: str, reader: Cluster
) -> None:
    transaction = OpenTransaction(kafka, f"{topic}-1")
    for partition, count in ((0, 300), (1, 20)):
        transaction.write(topic, *(b"%d" % n for n in range(count)), partition=partition)
    transaction.commit()
    found: dict[Partition, list[int]] = {}

    def consume(partition: Partition, messages: list[Message]) -> None:
        found.setdefault(partition, []).extend(int(each.value() or b"-1") for each in messages)

    reader.read(reader.ends([Partition(topic, 0), Partition(topic, 1)]), consume)
    assert found == {Partition(topic, 0): list(range(300)), Partition(topic, 1): list(range(20))}


def test_given_a_compacted_log_with_gaps_then_reading_ends_and_finds_the_last_of_each_key(
    kafka: KafkaConfig, unique: str, reader: Cluster
) -> None:
    config = {
        "cleanup.policy": "compact",
        "segment.bytes": str(1 << 20),
        "min.cleanable.dirty.ratio": "0.01",
        "max.compaction.lag.ms": "1",
        "segment.ms": "1",
    }
    admin = AdminClient(dict(kafka))
    # The cleaner looks every 15 s by default. It starts anew with this setting.
    often = ConfigEntry("log.cleaner.backoff.ms", "200", incremental_operation=AlterConfigOpType.SET)
    (broker,) = admin.list_topics(timeout=SECONDS).brokers
    resource = ConfigResource(ConfigResource.Type.BROKER, str(broker), incremental_configs=[often])
    admin.incremental_alter_configs([resource])[resource].result(SECONDS)
    admin.create_topics([NewTopic(unique, 1, 1, config=config)])[unique].result(SECONDS)
    transaction = OpenTransaction(kafka, f"{unique}-1")
    for _ in range(5):
        transaction.write(unique, b"a", b"b")
    transaction.commit()
    whole = {Partition(unique, 0): (0, 10)}

    def read() -> list[bytes | None]:
        found: list[bytes | None] = []
        reader.read(whole, lambda _, messages: found.extend(each.value() for each in messages))
        return found

    def compacted() -> bool:
        committed(kafka, unique, b"b")  # begins a segment: those before it may be cleaned
        return read().count(b"a") == 1

    until("the log is compacted", compacted)
    assert read() in ([b"a"], [b"a", b"b"])  # the last b may lie behind the span


def test_given_a_reading_that_is_no_longer_wanted_then_it_gives_way(
    kafka: KafkaConfig, topic: str, reader: Cluster
) -> None:
    left_open = OpenTransaction(kafka, f"{topic}-1").write(topic, b"orphan")
    stop = threading.Event()
    spans = reader.ends([Partition(topic, 0)])
    with in_background(lambda: reader.read(spans, lambda *_: None, stop.is_set)) as reading:
        done, _ = wait([reading], WATCHED_SECONDS)
        assert not done
        stop.set()
        with pytest.raises(Superseded):
            reading.result(SECONDS)
    left_open.abort()
