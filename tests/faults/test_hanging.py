"""Transactions that a coordinator left hanging are told from healthy ones, and ended as they were decided.

What a hanging one leaves behind is written as such: records of a producer whose transaction is over by the word of its
coordinator. A broker that does not check with the coordinator (KIP-890 part 1, switched off here) takes them.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.protocol.produce import ProduceRequest_v3
from aiokafka.protocol.transaction import TxnOffsetCommitRequest_v0
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from confluent_kafka import Consumer, KafkaException, TopicPartition

from atp_stream.streaming.cluster import Cluster
from atp_stream.streaming.dead_letter_records import Letter, Place
from atp_stream.streaming.dead_letter_replay import LetterLog, Markers, Replayer, Return, Verdict
from atp_stream.streaming.errors import ClusterUnreachable
from atp_stream.streaming.membership import NO_MEMBER
from atp_stream.streaming.producer import Outcome, TransactionalProducer
from atp_stream.streaming.records import Partition
from atp_stream.streaming.transactional_ids import KeptIds, SharedId
from tests.cluster import consume
from tests.pipeline.waiting import until
from tests.streaming import OpenTransaction, in_background

from .brokers import Brokers
from .hanging import Hanging, end_hanging
from .raw import ask
from .transactions import Transaction, described

_MAGIC, _TRANSACTIONAL, _BATCH_BYTES = 2, 1, 1000


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    settings = {"transaction.partition.verification.enable": "false"}
    with Brokers(tmp_path_factory.mktemp("brokers"), 1, [], settings=settings) as running:
        yield running


@pytest.fixture
def topic(brokers: Brokers, unique: str) -> str:
    brokers.create_topic(unique, 2)
    return unique


def begun(brokers: Brokers, name: str) -> OpenTransaction:
    return OpenTransaction({"bootstrap.servers": brokers.servers}, name)


def coordinators_word(brokers: Brokers, name: str) -> Transaction:
    return described(brokers.direct(brokers.transaction_coordinator(name)), name)


def over(brokers: Brokers, name: str) -> Transaction:
    """Return the coordinator's word when all markers are written: a producer's call returns before."""

    def complete() -> Transaction | None:
        word = coordinators_word(brokers, name)
        return word if word.state.startswith("Complete") else None

    word = until("the transaction is complete", complete)
    assert word
    return word


def leave_hanging(
    brokers: Brokers, name: str, partition: int, value: bytes, *, after: int, topic: str | None = None
) -> None:
    """Write a record as the producer would after so many records of the transaction that is over.

    The topic bears the name of the transactional id unless another is given.
    """
    topic = topic or name
    of = over(brokers, name)
    batch = DefaultRecordBatchBuilder(_MAGIC, 0, _TRANSACTIONAL, of.producer_id, of.epoch, after, _BATCH_BYTES)
    batch.append(0, None, None, value, [])
    request = ProduceRequest_v3(name, -1, 10_000, [(topic, [(partition, bytes(batch.build()))])])
    answer = ask(brokers.direct(brokers.leader(topic, partition)), request)
    assert answer.topics[0][1][0][1] == 0


def told(ended: list[Hanging]) -> list[tuple[tuple[str, int], int, str | None, bool, bool]]:
    return [(each.found.place, each.found.start, each.transactional_id, each.torn, each.known) for each in ended]


def test_given_a_commit_without_its_marker_when_it_is_ended_then_readers_see_it_and_go_on(
    brokers: Brokers, topic: str
) -> None:
    begun(brokers, topic).write(topic, b"whole").commit()
    leave_hanging(brokers, topic, 0, b"torn off", after=1)
    begun(brokers, f"{topic}-later").write(topic, b"later").commit()
    with in_background(lambda: consume(brokers.servers, topic, 3)) as consuming:
        assert consume(brokers.servers, topic, 1) == [b"whole"]
        assert not consuming.done()
        assert told(end_hanging(brokers.servers)) == [((topic, 0), 2, topic, True, True)]
        assert consuming.result() == [b"whole", b"torn off", b"later"]
    assert end_hanging(brokers.servers) == []


def test_given_an_abort_without_its_marker_when_it_is_ended_then_readers_go_on_without_it(
    brokers: Brokers, topic: str
) -> None:
    begun(brokers, f"{topic}-before").write(topic, b"before").commit()
    begun(brokers, topic).write(topic, b"undone").abort()
    leave_hanging(brokers, topic, 0, b"hanging", after=1)
    begun(brokers, f"{topic}-later").write(topic, b"later").commit()
    assert told(end_hanging(brokers.servers)) == [((topic, 0), 4, topic, False, True)]
    assert consume(brokers.servers, topic, 2) == [b"before", b"later"]


def test_given_the_producer_has_gone_on_elsewhere_when_it_is_ended_then_as_that_transaction_was_decided(
    brokers: Brokers, topic: str
) -> None:
    begun(brokers, topic).write(topic, b"whole").commit()
    leave_hanging(brokers, topic, 0, b"torn off", after=1)
    begun(brokers, topic).write(topic, b"undone", partition=1).abort()
    going_on = begun(brokers, topic).write(topic, b"elsewhere", partition=1)
    assert coordinators_word(brokers, topic).state == "Ongoing"
    assert told(end_hanging(brokers.servers)) == [((topic, 0), 2, topic, True, True)]
    going_on.commit()
    assert sorted(consume(brokers.servers, topic, 3)) == [b"elsewhere", b"torn off", b"whole"]


def test_given_the_log_of_the_coordinator_does_not_know_the_partition_when_it_is_ended_then_by_an_abort_that_says_so(
    brokers: Brokers, topic: str
) -> None:
    begun(brokers, topic).write(topic, b"whole").commit()
    leave_hanging(brokers, topic, 1, b"never added", after=0)
    assert told(end_hanging(brokers.servers)) == [((topic, 1), 0, topic, False, False)]
    begun(brokers, topic).write(topic, b"later", partition=1).commit()
    assert sorted(consume(brokers.servers, topic, 2)) == [b"later", b"whole"]


def test_given_a_groups_offsets_hang_when_they_are_ended_then_the_group_has_its_stable_offsets_again(
    brokers: Brokers, topic: str
) -> None:
    group = f"{topic}-group"
    begun(brokers, topic).send_offsets(group, Partition(topic, 0), 7).abort()
    begun(brokers, f"{topic}-earlier").send_offsets(group, Partition(topic, 0), 5).commit()
    of = over(brokers, topic)
    request = TxnOffsetCommitRequest_v0(topic, group, of.producer_id, of.epoch, [(topic, [(0, 7, "")])])
    assert ask(brokers.direct(brokers.group_coordinator(group)), request).errors[0][1][0][1] == 0
    consumer = Consumer({"bootstrap.servers": brokers.servers, "group.id": group})
    with pytest.raises(KafkaException):
        consumer.committed([TopicPartition(topic, 0)], 0.5)
    [ended] = end_hanging(brokers.servers)
    assert (ended.found.place[0], ended.torn, ended.known) == ("__consumer_offsets", False, True)
    assert consumer.committed([TopicPartition(topic, 0)], 30.0)[0].offset == 5
    consumer.close()


def test_given_healthy_transactions_then_they_are_left_alone(brokers: Brokers, topic: str) -> None:
    healthy = begun(brokers, topic).write(topic, b"healthy").send_offsets(topic, Partition(topic, 0), 1)
    assert end_hanging(brokers.servers) == []
    healthy.commit()
    assert consume(brokers.servers, topic, 1) == [b"healthy"]


def test_given_an_abort_without_its_marker_when_the_worker_goes_on_then_its_next_transaction_does_not_take_it_along(
    brokers: Brokers, topic: str, tmp_path: Path
) -> None:
    ids = KeptIds(tmp_path, topic)
    name = ids.next()
    begun(brokers, name).write(topic, b"undone").abort()
    leave_hanging(brokers, name, 0, b"hanging", after=1, topic=topic)
    worker = TransactionalProducer({"bootstrap.servers": brokers.servers}, ids, topic, 10_000, 30.0)
    worker.start()
    worker.begin()
    worker.produce(topic, b"next", None, partition=0)
    assert worker.commit([], NO_MEMBER) is Outcome.COMMITTED
    worker.close()
    assert told(end_hanging(brokers.servers)) == [((topic, 0), 2, name, False, True)]
    assert consume(brokers.servers, topic, 1) == [b"next"]


def test_given_an_abort_without_its_marker_when_letters_are_sent_back_then_none_is_until_it_has_ended(
    brokers: Brokers, topic: str
) -> None:
    kafka = {"bootstrap.servers": brokers.servers}
    name, letters = f"{topic}-dead-letters", f"{topic}-letters"
    brokers.create_topic(letters, 1)
    begun(brokers, name).write(topic, b"undone").abort()
    leave_hanging(brokers, name, 0, b"hanging", after=1, topic=topic)

    def replayer(deadline: float) -> Replayer:
        cluster = Cluster(kafka, topic, deadline)
        log = LetterLog(cluster, letters, 1)
        producer = TransactionalProducer(kafka, SharedId(name), topic, 10_000, 30.0)
        return Replayer(producer, cluster, log, Markers(log, {0: 0}), "call")

    letter = Letter(Place(0, 0), 0, Partition(topic, 0), 0, "X", "", frozenset(), None, b"letter", [])
    returned = Return(letter, topic, 0, None, b"letter", False)
    first = replayer(1.0)
    with pytest.raises(ClusterUnreachable) as raised:
        first.send([returned])
    first.close()
    assert f"{topic}[0]@2" in raised.value.cause
    assert told(end_hanging(brokers.servers)) == [((topic, 0), 2, name, False, True)]
    second = replayer(30.0)
    assert second.send([returned]) == {letter.place: Verdict.SENT}
    second.close()
    assert consume(brokers.servers, topic, 1) == [b"letter"]
