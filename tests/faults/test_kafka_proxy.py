"""The Kafka proxy: what each action does to real clients of a real broker."""

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator

import aiokafka
import pytest
from aiokafka.protocol.api import RequestHeader_v1
from aiokafka.protocol.coordination import FindCoordinatorRequest_v1
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from tests.cluster import consume, produce
from tests.pipeline.waiting import until
from tests.streaming import in_background

from .actions import Action, Drop, DropAndCut, Duplicate, ErrorCode, Hold, NoOffsets, Rewrite, Watch
from .brokers import Brokers
from .evict import evict, member_behind, members
from .kafka_proxy import Lane
from .raw import ask
from .wire import (
    ADD_OFFSETS_TO_TXN,
    ADD_PARTITIONS_TO_TXN,
    END_TXN,
    FIND_COORDINATOR,
    HEARTBEAT,
    INIT_PRODUCER_ID,
    OFFSET_FETCH,
    PRODUCE,
    TXN_OFFSET_COMMIT,
    Unhandled,
)

SECONDS = 20.0


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    with Brokers(tmp_path_factory.mktemp("brokers"), 1, ["lane"]) as running:
        with_offsets = _consumer(running.servers, "any")
        until("the coordinators serve", lambda: _coordinators_serve(with_offsets, running.servers))
        with_offsets.close()
        yield running


def _coordinators_serve(consumer: Consumer, servers: str) -> bool:
    try:
        consumer.committed([TopicPartition("any", 0)], timeout=SECONDS)
        _transactional(servers, "any").init_transactions(SECONDS)
    except KafkaException:
        return False
    return True


@pytest.fixture
def lane(brokers: Brokers) -> Iterator[Lane]:
    lane = brokers.lane("lane")
    yield lane
    lane.clear()


@pytest.fixture
def topic(brokers: Brokers, unique: str) -> str:
    brokers.create_topic(unique)
    return unique


def _consumer(servers: str, group: str) -> Consumer:
    return Consumer({"bootstrap.servers": servers, "group.id": group, "enable.auto.commit": False, "log_level": 0})


def _transactional(servers: str, transactional_id: str) -> Producer:
    return Producer({"bootstrap.servers": servers, "transactional.id": transactional_id, "log_level": 0})


def _open_transaction(lane: Lane, topic: str) -> Producer:
    producer = _transactional(lane.servers, topic)
    producer.init_transactions(SECONDS)
    producer.begin_transaction()
    producer.produce(topic, b"one")
    producer.flush(SECONDS)
    return producer


def _end(servers: str, topic: str) -> int:
    consumer = _consumer(servers, topic)
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), SECONDS)[1])
    finally:
        consumer.close()


class RawClient:
    """A connection that asks for the coordinator of a group, as often as one likes, before it reads an answer."""

    def __init__(self, lane: Lane) -> None:
        self.socket = socket.create_connection(("127.0.0.1", lane.ports[1]), SECONDS)
        self._answers = self.socket.makefile("rb")

    def send(self, correlation: int) -> None:
        request = FindCoordinatorRequest_v1("group", 0)
        body = RequestHeader_v1(request, correlation, "raw").encode() + request.encode()
        self.socket.sendall(struct.pack(">i", len(body)) + body)

    def answered(self) -> int:
        """The correlation id of the next answer."""
        (size,) = struct.unpack(">i", self._answers.read(4))
        return int.from_bytes(self._answers.read(size)[:4], "big")

    def close(self) -> None:
        self._answers.close()
        self.socket.close()


@pytest.fixture
def raw(lane: Lane) -> Iterator[RawClient]:
    client = RawClient(lane)
    yield client
    client.close()


def test_given_no_fault_when_data_goes_through_then_it_is_what_it_was(lane: Lane, topic: str) -> None:
    values = [bytes([n % 256]) * 10_000 for n in range(500)]
    produce(lane.servers, topic, values)
    assert consume(lane.servers, topic, len(values)) == values


def test_given_a_held_request_then_what_follows_it_waits_until_it_is_released(lane: Lane, raw: RawClient) -> None:
    rule = lane.on(FIND_COORDINATOR, Hold(), response=False)
    raw.send(1)
    raw.send(2)
    rule.wait()
    raw.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        raw.socket.recv(1)
    raw.socket.settimeout(SECONDS)
    rule.release()
    assert [raw.answered(), raw.answered()] == [1, 2]
    assert rule.hits == 1


def test_given_a_request_held_alone_then_what_follows_it_passes(lane: Lane, raw: RawClient) -> None:
    rule = lane.on(FIND_COORDINATOR, Hold(rest_passes=True), response=False)
    for correlation in (1, 2, 3):
        raw.send(correlation)
    assert [raw.answered(), raw.answered()] == [2, 3]
    rule.release()
    assert raw.answered() == 1


def test_given_a_held_answer_then_the_client_gets_it_when_it_is_released(lane: Lane, raw: RawClient) -> None:
    rule = lane.on(FIND_COORDINATOR, Hold(rest_passes=True), response=True)
    raw.send(1)
    rule.wait()
    raw.send(2)
    assert raw.answered() == 2
    rule.release()
    assert raw.answered() == 1


def test_given_a_commit_held_with_its_connection_cut_then_the_retry_passes_and_the_first_comes_after_it(
    lane: Lane, topic: str
) -> None:
    producer = _open_transaction(lane, topic)
    answers = lane.on(END_TXN, Watch(), response=True, times=None)
    rule = lane.on(END_TXN, Hold(cut=True), response=False)
    producer.commit_transaction(SECONDS)
    assert answers.hits == 1
    rule.release()
    until("the broker has answered the late one, too", lambda: answers.hits == 2)
    assert consume(lane.servers, topic, 1) == [b"one"]


@pytest.mark.parametrize("action", [Drop(), DropAndCut()])
def test_given_the_answer_of_a_commit_is_lost_then_the_broker_has_committed_all_the_same(
    lane: Lane, topic: str, action: Action
) -> None:
    producer = _open_transaction(lane, topic)
    rule = lane.on(END_TXN, action, response=True)
    with in_background(lambda: producer.commit_transaction(SECONDS)) as committing:
        rule.wait()
        assert consume(lane.servers, topic, 1) == [b"one"]
        lane.cut()  # else the client waits for the swallowed answer for a minute
        committing.result()


def test_given_a_lost_request_then_the_broker_never_had_it(lane: Lane, topic: str) -> None:
    producer = Producer({"bootstrap.servers": lane.servers, "retries": 0, "log_level": 0})
    errors: list[KafkaError | None] = []
    rule = lane.on(PRODUCE, DropAndCut(), response=False)
    producer.produce(topic, b"one", on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(SECONDS) == 0
    assert rule.hits == 1
    assert errors[0] is not None
    assert _end(lane.servers, topic) == 0


def test_given_a_request_is_sent_twice_then_the_client_sees_one_answer(lane: Lane, topic: str) -> None:
    producer = Producer({"bootstrap.servers": lane.servers, "log_level": 0})
    lane.on(PRODUCE, Duplicate(), response=False)
    for value in (b"one", b"two"):
        producer.produce(topic, value)
        assert producer.flush(SECONDS) == 0
    assert consume(lane.servers, topic, 3) == [b"one", b"one", b"two"]


def test_given_a_request_is_rewritten_then_the_broker_sees_the_other(lane: Lane, raw: RawClient) -> None:
    lane.on(FIND_COORDINATOR, Rewrite(lambda body: body[:4] + (7).to_bytes(4, "big") + body[8:]), response=False)
    raw.send(1)
    assert raw.answered() == 7


def _init(lane: Lane, topic: str) -> None:
    _transactional(lane.servers, topic).init_transactions(SECONDS)


def _transact(lane: Lane, topic: str) -> None:
    producer = _transactional(lane.servers, topic)
    producer.init_transactions(SECONDS)
    producer.begin_transaction()
    producer.produce(topic, b"one")
    consumer = _consumer(lane.servers, topic)
    metadata = consumer.consumer_group_metadata()
    consumer.close()
    producer.send_offsets_to_transaction([TopicPartition(topic, 0, 1)], metadata, SECONDS)
    producer.commit_transaction(SECONDS)


def _committed(lane: Lane, topic: str) -> None:
    consumer = _consumer(lane.servers, topic)
    try:
        for each in consumer.committed([TopicPartition(topic, 0)], timeout=SECONDS):
            if each.error:
                raise KafkaException(each.error)
    finally:
        consumer.close()


def _deliver(lane: Lane, topic: str) -> None:
    errors: list[KafkaError | None] = []
    producer = Producer({"bootstrap.servers": lane.servers, "log_level": 0})
    producer.produce(topic, b"one", on_delivery=lambda error, _: errors.append(error))
    producer.flush(SECONDS)
    if errors[0] is not None:
        raise KafkaException(errors[0])


@pytest.mark.parametrize(
    ("api_key", "code", "use"),
    [
        (PRODUCE, KafkaError.TOPIC_AUTHORIZATION_FAILED, _deliver),
        (OFFSET_FETCH, KafkaError.GROUP_AUTHORIZATION_FAILED, _committed),
        (INIT_PRODUCER_ID, KafkaError.INVALID_TRANSACTION_TIMEOUT, _init),
        (ADD_PARTITIONS_TO_TXN, KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, _transact),
        (ADD_OFFSETS_TO_TXN, KafkaError.GROUP_AUTHORIZATION_FAILED, _transact),
        (TXN_OFFSET_COMMIT, KafkaError.ILLEGAL_GENERATION, _transact),
        (END_TXN, KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, _transact),
    ],
)
def test_given_an_answer_with_an_error_code_then_librdkafka_reads_it(
    lane: Lane, topic: str, api_key: int, code: int, use: Callable[[Lane, str], None]
) -> None:
    rule = lane.on(api_key, ErrorCode(code), response=True)
    with pytest.raises(KafkaException) as caught:
        use(lane, topic)
    assert caught.value.args[0].code() == code
    rule.wait()


def test_given_an_answer_that_names_no_offsets_then_there_are_none(lane: Lane, topic: str) -> None:
    consumer = _consumer(lane.servers, topic)
    consumer.commit(offsets=[TopicPartition(topic, 0, 7)], asynchronous=False)
    lane.on(OFFSET_FETCH, NoOffsets(), response=True)
    found = [consumer.committed([TopicPartition(topic, 0)], SECONDS)[0].offset for _ in range(2)]
    consumer.close()
    assert found == [-1001, 7]


async def test_given_a_heartbeat_answered_with_unknown_member_then_aiokafka_joins_again(lane: Lane, topic: str) -> None:
    async with _member(lane, topic) as consumer:
        before = consumer._coordinator.member_id
        lane.on(HEARTBEAT, ErrorCode(KafkaError.UNKNOWN_MEMBER_ID), response=True)
        await asyncio.to_thread(until, "a new member id", lambda: consumer._coordinator.member_id not in ("", before))


async def test_given_a_member_is_evicted_then_the_group_goes_on_without_it(
    brokers: Brokers, lane: Lane, topic: str
) -> None:
    async with _member(lane, topic) as consumer:
        member = await asyncio.to_thread(member_behind, lane)
        assert member == consumer._coordinator.member_id
        found = await asyncio.to_thread(members, brokers.servers, topic)
        assert [each.member_id for each in found] == [member]
        lane.on(HEARTBEAT, Drop(), response=False, times=None)  # else it would be back at once
        await asyncio.to_thread(evict, brokers.servers, topic, member, "stranger")
        assert await asyncio.to_thread(members, brokers.servers, topic) == []


def _member(lane: Lane, topic: str) -> aiokafka.AIOKafkaConsumer:
    return aiokafka.AIOKafkaConsumer(
        topic,
        bootstrap_servers=lane.servers,
        group_id=topic,
        heartbeat_interval_ms=100,
        session_timeout_ms=1_500,
        retry_backoff_ms=20,
        enable_auto_commit=False,
    )


def test_given_a_delay_then_the_answer_comes_when_it_is_cleared(lane: Lane, raw: RawClient) -> None:
    lane.delay(3_600)
    raw.send(1)
    raw.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        raw.socket.recv(1)
    raw.socket.settimeout(SECONDS)
    lane.clear()
    assert raw.answered() == 1


def test_given_a_short_delay_then_the_answer_comes_by_itself(lane: Lane, raw: RawClient) -> None:
    lane.delay(0.05)
    raw.send(1)
    assert raw.answered() == 1


def test_given_a_throttle_then_data_comes_whole_all_the_same(lane: Lane, topic: str) -> None:
    produce(lane.servers, topic, [b"x" * 50_000])
    lane.throttle(100_000)
    assert consume(lane.servers, topic, 1) == [b"x" * 50_000]


def test_given_a_cut_then_the_connection_is_reset(lane: Lane, raw: RawClient) -> None:
    raw.send(1)
    assert raw.answered() == 1
    lane.cut()
    with pytest.raises(ConnectionResetError):
        raw.socket.recv(1)


def test_given_a_port_that_refuses_then_nothing_gets_in_until_it_opens_again(lane: Lane, raw: RawClient) -> None:
    raw.send(1)
    assert raw.answered() == 1
    lane.refuse(True)
    with pytest.raises(ConnectionResetError):
        raw.socket.recv(1)
    with pytest.raises(ConnectionRefusedError):
        RawClient(lane)
    lane.refuse(False)
    again = RawClient(lane)
    again.send(2)
    assert again.answered() == 2
    again.close()


@pytest.mark.parametrize("responses", [False, True])
def test_given_a_one_way_partition_then_connections_stay_silent_and_are_reset_when_it_ends(
    lane: Lane, raw: RawClient, responses: bool
) -> None:
    requests = lane.on(FIND_COORDINATOR, Watch(), response=False, times=None)
    lane.black_hole(responses=responses)
    raw.send(1)
    raw.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        raw.socket.recv(1)
    assert requests.hits == responses
    lane.clear()
    with pytest.raises(ConnectionResetError):
        raw.socket.recv(1)


def test_given_a_rule_that_is_removed_or_for_another_broker_then_nothing_is_changed(lane: Lane, raw: RawClient) -> None:
    lane.on(FIND_COORDINATOR, Drop(), response=False).remove()
    lane.on(FIND_COORDINATOR, Drop(), response=False, broker=2)
    raw.send(1)
    assert raw.answered() == 1


def test_given_an_action_that_fails_then_whoever_waits_for_it_is_told(lane: Lane, raw: RawClient) -> None:
    def wrong(body: bytes) -> bytes:
        raise Unhandled("this version")

    rule = lane.on(FIND_COORDINATOR, Rewrite(wrong), response=False)
    raw.send(1)
    assert raw.answered() == 1
    with pytest.raises(Unhandled, match="this version"):
        rule.wait()
    with pytest.raises(Unhandled, match="this version"):
        lane.clear()


def test_given_an_answer_that_cannot_be_changed_then_the_rule_is_refused(lane: Lane) -> None:
    with pytest.raises(ValueError, match="error codes"):
        lane.on(FIND_COORDINATOR, ErrorCode(1), response=True)


def test_given_a_question_of_no_client_then_it_is_answered(brokers: Brokers) -> None:
    assert ask(brokers.servers, FindCoordinatorRequest_v1("group", 0)).coordinator_id == 1
    assert brokers.group_coordinator("group") == brokers.transaction_coordinator("id") == 1
