"""What is done about each answer of librdkafka's transactional producer: docs/guarantees.md, the table of answers.

The answers are put in at the boundary, in place of confluent-kafka's class; time passes where a test says so.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from atp_stream.streaming import producer as module
from atp_stream.streaming.errors import ClusterUnreachable, NotPermitted, Superseded
from atp_stream.streaming.membership import NO_MEMBER, Membership, group_metadata
from atp_stream.streaming.producer import Outcome, TransactionalProducer
from atp_stream.streaming.transactional_ids import KeptIds, SharedId, TransactionalIds

MEMBER = Membership(7, "me")
OFFSETS = [TopicPartition("source", 0, 12)]
DEADLINE = 30.0

TIMED_OUT = KafkaError(KafkaError._TIMED_OUT, "time out", False, True, False)
COORDINATOR = KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE, "coordinator", False, True, False)
ILLEGAL = KafkaError(KafkaError.ILLEGAL_GENERATION, "generation", False, False, True)
UNKNOWN_MEMBER = KafkaError(KafkaError.UNKNOWN_MEMBER_ID, "member", False, False, True)
DELIVERY = KafkaError(KafkaError._INCONSISTENT, "a record was not delivered", False, False, True)
FENCED = KafkaError(KafkaError._FENCED, "fenced", True, False, False)
SEQUENCE = KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "sequence", True, False, True)
REFUSED = KafkaError(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "refused", True, False, False)
GROUP_REFUSED = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "refused", False, False, True)
TIMEOUT_REFUSED = KafkaError(KafkaError.INVALID_TRANSACTION_TIMEOUT, "too long", True, False, False)
CONFLICT = KafkaError(KafkaError._CONFLICT, "another call is in progress", False, False, False)
#: As librdkafka flags it.
RETRIABLE_CONFLICT = KafkaError(KafkaError._CONFLICT, "another call is in progress", False, True, False)
STATE = KafkaError(KafkaError._STATE, "wrong order", False, False, False)


@dataclass
class Time:
    """Passes by sleeping only, or where an answer says so."""

    now: float = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Takes:
    """An answer that takes so many seconds."""

    seconds: float
    error: KafkaError | None = None


Answer = KafkaError | Takes | Exception | None


@dataclass
class Kafka:
    """Stands in for confluent-kafka's class: gives the answers put in, in order, then success, and writes down."""

    time: Time
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    built: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, config: dict[str, Any]) -> "Client":
        self.built.append(config)
        return Client(self, len(self.built))

    def named(self, name: str) -> list[Any]:
        """Arguments of all calls of one name."""
        return [arguments for called, arguments in self.calls if called == name]

    def answer(self, name: str, arguments: Any) -> None:
        self.calls.append((name, arguments))
        answer = self.answers.get(name, [])
        found = answer.pop(0) if answer else None
        if isinstance(found, Takes):
            self.time.now += found.seconds
            found = found.error
        if isinstance(found, KafkaError):
            raise KafkaException(found)
        if isinstance(found, Exception):
            raise found


@dataclass
class Client:
    """One producer of confluent-kafka."""

    kafka: Kafka
    number: int

    def init_transactions(self, timeout: float) -> None:
        self.kafka.answer("init", self.number)

    def begin_transaction(self) -> None:
        self.kafka.answer("begin", self.number)

    def produce(self, topic: str, value: Any, key: Any, partition: int, **options: Any) -> None:
        self.kafka.answer("produce", (topic, value, key, partition, options))

    def poll(self, timeout: float) -> int:
        self.kafka.answer("poll", timeout)
        return 0

    def purge(self) -> None:
        self.kafka.calls.append(("purge", self.number))

    def send_offsets_to_transaction(self, offsets: Sequence[TopicPartition], metadata: bytes, timeout: float) -> None:
        self.kafka.answer("offsets", (self.number, list(offsets), metadata))

    def commit_transaction(self, timeout: float) -> None:
        self.kafka.answer("commit", self.number)

    def abort_transaction(self, timeout: float) -> None:
        self.kafka.answer("abort", self.number)


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    time = Time()
    kafka = Kafka(time)
    monkeypatch.setattr(module, "time", time)
    monkeypatch.setattr(module, "Producer", kafka)
    return kafka


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


Make = Callable[..., TransactionalProducer]


def made(ids: TransactionalIds | None = None) -> TransactionalProducer:
    kafka = {"bootstrap.servers": "nowhere:1"}
    return TransactionalProducer(kafka, ids or SharedId("the-id"), "the-group", 5000, DEADLINE)


def begun(kafka: Kafka, **answers: Sequence[Answer]) -> TransactionalProducer:
    """A producer in a transaction, with the answers it will get."""
    producer = made()
    producer.start()
    kafka.answers.update({name: list(given) for name, given in answers.items()})
    producer.begin()
    return producer


# start


def test_given_settings_then_the_producer_is_transactional_and_partitions_as_java_does(kafka: Kafka) -> None:
    made().start()
    (config,) = kafka.built
    assert config["transactional.id"] == "the-id"
    assert config["transaction.timeout.ms"] == 5000
    assert config["partitioner"] == "murmur2_random"


def test_given_no_answer_in_time_when_started_then_the_same_call_is_made_again_on_the_same_producer(
    kafka: Kafka,
) -> None:
    kafka.answers["init"] = [TIMED_OUT, COORDINATOR]
    made().start()
    assert kafka.named("init") == [1, 1, 1]


@pytest.mark.parametrize("error", [FENCED, DELIVERY])
def test_given_an_answer_that_ends_the_producer_when_started_then_another_is_built(
    kafka: Kafka, error: KafkaError
) -> None:
    kafka.answers["init"] = [error]
    producer = made()
    producer.start()
    assert kafka.named("init") == [1, 2]
    assert producer.is_ready


def test_given_kept_ids_when_started_again_then_the_last_id_is_settled_and_the_work_goes_on_under_a_new_one(
    kafka: Kafka, tmp_path: Path
) -> None:
    producer = made(KeptIds(tmp_path, "group"))
    producer.start()
    producer.start()
    first, again, second = (config["transactional.id"] for config in kafka.built)
    assert first == again != second
    assert kafka.named("init") == [1, 2, 3]
    assert KeptIds(tmp_path, "group").last() == second


def test_given_kept_ids_when_the_last_one_cannot_be_settled_then_it_stays_the_last(
    kafka: Kafka, tmp_path: Path
) -> None:
    last = KeptIds(tmp_path, "group").next()
    kafka.answers["init"] = [Takes(31, TIMED_OUT)]
    with pytest.raises(ClusterUnreachable):
        made(KeptIds(tmp_path, "group")).start()
    assert KeptIds(tmp_path, "group").last() == last


def test_given_no_answer_until_the_deadline_when_started_then_the_cluster_counts_as_unreachable(kafka: Kafka) -> None:
    kafka.answers["init"] = [Takes(5, TIMED_OUT) for _ in range(7)]
    producer = made()
    with pytest.raises(ClusterUnreachable, match="30 s") as caught:
        producer.start()
    assert caught.value.cause == "time out"
    assert not producer.is_ready


@pytest.mark.parametrize("error", [REFUSED, TIMEOUT_REFUSED])
def test_given_a_refusal_when_started_then_it_is_not_asked_again(kafka: Kafka, error: KafkaError) -> None:
    kafka.answers["init"] = [error]
    with pytest.raises(NotPermitted) as caught:
        made().start()
    assert caught.value.fix
    assert kafka.named("init") == [1]


def test_given_an_answer_that_is_no_longer_wanted_when_started_then_it_gives_way(kafka: Kafka) -> None:
    kafka.answers["init"] = [TIMED_OUT]
    producer = made()
    with pytest.raises(Superseded):
        producer.start(lambda: len(kafka.named("init")) == 1)
    assert not producer.is_ready


# commit


def test_given_a_transaction_when_committed_then_offsets_and_membership_go_before_the_commit(kafka: Kafka) -> None:
    producer = begun(kafka)
    assert producer.commit(OFFSETS, MEMBER) is Outcome.COMMITTED
    assert producer.is_ready
    assert [name for name, _ in kafka.calls] == ["init", "begin", "offsets", "commit", "poll"]
    assert kafka.named("offsets") == [(1, OFFSETS, group_metadata("the-group", MEMBER))]


def test_given_a_commit_that_times_out_then_the_same_call_is_made_on_the_same_producer(kafka: Kafka) -> None:
    producer = begun(kafka, commit=[TIMED_OUT, TIMED_OUT])
    assert producer.commit(OFFSETS, MEMBER) is Outcome.COMMITTED
    assert kafka.named("commit") == [1, 1, 1]
    assert kafka.named("abort") == []


def test_given_offsets_not_taken_yet_then_the_same_offsets_and_membership_are_sent_again(kafka: Kafka) -> None:
    producer = begun(kafka, offsets=[COORDINATOR, TIMED_OUT])
    assert producer.commit(OFFSETS, MEMBER) is Outcome.COMMITTED
    assert kafka.named("offsets") == [(1, OFFSETS, group_metadata("the-group", MEMBER))] * 3
    assert kafka.named("commit") == [1]


@pytest.mark.parametrize("error", [ILLEGAL, UNKNOWN_MEMBER])
def test_given_the_partitions_belong_to_another_then_the_batch_is_aborted_and_never_sent_again(
    kafka: Kafka, error: KafkaError
) -> None:
    producer = begun(kafka, offsets=[error])
    assert producer.commit(OFFSETS, MEMBER) is Outcome.ABORTED
    assert len(kafka.named("offsets")) == 1
    assert kafka.named("commit") == []
    assert kafka.named("abort") == [1]
    assert producer.is_ready


def test_given_a_record_that_was_not_delivered_when_committed_then_it_is_aborted(kafka: Kafka) -> None:
    producer = begun(kafka, commit=[DELIVERY])
    assert producer.commit(OFFSETS, MEMBER) is Outcome.ABORTED
    assert kafka.named("abort") == [1]


@pytest.mark.parametrize("call", ["offsets", "commit"])
@pytest.mark.parametrize("error", [FENCED, SEQUENCE])
def test_given_a_fatal_answer_then_the_outcome_is_unknown_and_the_producer_given_up(
    kafka: Kafka, call: str, error: KafkaError
) -> None:
    producer = begun(kafka, **{call: [error]})
    assert producer.commit(OFFSETS, MEMBER) is Outcome.UNKNOWN
    assert not producer.is_ready
    assert kafka.named("abort") == []
    producer.start()
    assert kafka.named("init") == [1, 2]


@pytest.mark.parametrize("call", ["offsets", "commit"])
def test_given_no_answer_until_the_deadline_then_the_outcome_is_unknown_and_the_producer_given_up(
    kafka: Kafka, call: str
) -> None:
    producer = begun(kafka, **{call: [Takes(5, TIMED_OUT) for _ in range(7)]})
    assert producer.commit(OFFSETS, MEMBER) is Outcome.UNKNOWN
    assert len(kafka.named(call)) == 6
    assert kafka.named("abort") == []
    assert not producer.is_ready


def test_given_a_slow_commit_then_it_counts_and_the_producer_is_given_up(kafka: Kafka) -> None:
    producer = begun(kafka, commit=[Takes(2.1)])
    assert producer.commit(OFFSETS, MEMBER) is Outcome.COMMITTED
    assert not producer.is_ready
    assert kafka.named("poll") == [0]  # what was delivered is known before


@pytest.mark.parametrize("call", ["offsets", "commit"])
@pytest.mark.parametrize("error", [REFUSED, GROUP_REFUSED])
def test_given_a_refusal_then_the_worker_ends(kafka: Kafka, call: str, error: KafkaError) -> None:
    producer = begun(kafka, **{call: [error]})
    with pytest.raises(NotPermitted) as caught:
        producer.commit(OFFSETS, MEMBER)
    assert caught.value.fix


@pytest.mark.parametrize("call", ["offsets", "commit"])
@pytest.mark.parametrize("error", [CONFLICT, RETRIABLE_CONFLICT, STATE])
def test_given_an_answer_that_only_a_bug_of_ours_brings_then_it_comes_up(
    kafka: Kafka, call: str, error: KafkaError
) -> None:
    producer = begun(kafka, **{call: [error]})
    with pytest.raises(RuntimeError, match="in the wrong order"):
        producer.commit(OFFSETS, MEMBER)


@pytest.mark.parametrize("membership", [Membership(-1, "me"), Membership(7, ""), Membership(-1, "")])
def test_given_a_membership_that_the_broker_would_not_check_then_it_is_never_sent(
    kafka: Kafka, membership: Membership
) -> None:
    producer = begun(kafka)
    with pytest.raises(ValueError, match="would not be checked"):
        producer.commit(OFFSETS, membership)
    assert kafka.named("offsets") == []


def test_given_a_groups_first_offsets_then_they_are_sent_without_a_member(kafka: Kafka) -> None:
    producer = begun(kafka)
    assert producer.commit(OFFSETS, NO_MEMBER) is Outcome.COMMITTED
    assert kafka.named("offsets") == [(1, OFFSETS, group_metadata("the-group", NO_MEMBER))]


# begin, produce


def test_given_a_record_that_the_failed_producer_refuses_then_commit_says_so_without_sending_offsets(
    kafka: Kafka,
) -> None:
    producer = begun(kafka, produce=[DELIVERY])
    producer.produce("topic", b"v", b"k")
    producer.produce("topic", b"v", b"k")
    assert producer.commit(OFFSETS, MEMBER) is Outcome.ABORTED
    assert kafka.named("offsets") == []
    assert kafka.named("abort") == [1]
    assert not producer.is_ready  # its sequence numbers may have a gap
    producer.start()
    producer.begin()
    assert producer.commit(OFFSETS, MEMBER) is Outcome.COMMITTED


def test_given_a_producer_fenced_between_transactions_then_the_next_one_ends_unknown(kafka: Kafka) -> None:
    producer = begun(kafka)
    assert producer.commit(OFFSETS, MEMBER) is Outcome.COMMITTED
    kafka.answers["begin"] = [FENCED]
    producer.begin()
    producer.produce("topic", b"v", b"k")
    assert producer.commit(OFFSETS, MEMBER) is Outcome.UNKNOWN
    assert not producer.is_ready


def test_given_a_refused_record_then_the_worker_ends(kafka: Kafka) -> None:
    refused = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "refused", False, False, True)
    producer = begun(kafka, produce=[refused])
    producer.produce("topic", b"v", b"k")
    with pytest.raises(NotPermitted):
        producer.commit(OFFSETS, MEMBER)


def test_given_no_room_for_a_record_then_it_is_produced_once_there_is_room(kafka: Kafka) -> None:
    producer = begun(kafka, produce=[BufferError(), BufferError()])
    producer.produce("topic", b"v", b"k", [("h", b"1")], 3)
    wanted = ("topic", b"v", b"k", 3, {"headers": [("h", b"1")]})
    assert kafka.named("produce") == [wanted] * 3
    assert len(kafka.named("poll")) == 2
    assert producer.commit(OFFSETS, MEMBER) is Outcome.COMMITTED


@dataclass
class Delivered:
    """A record that was, or was not, delivered."""

    def topic(self) -> str:
        return "topic"


def test_given_a_callback_then_it_is_called_and_what_it_raises_hides_no_answer(kafka: Kafka) -> None:
    found: list[object] = []

    def callback(*arguments: object) -> None:
        found.append(arguments)
        raise ValueError("in the callback")

    begun(kafka).produce("topic", b"v", b"k", on_delivery=callback)
    ((_, _, _, partition, options),) = kafka.named("produce")
    assert partition == -1
    message = Delivered()
    options["on_delivery"](None, message)
    assert found == [(None, message)]


def test_given_a_record_that_was_not_delivered_then_the_next_transaction_says_which_and_why(kafka: Kafka) -> None:
    refused = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "refused", False, False, False)
    producer = begun(kafka, commit=[DELIVERY, DELIVERY])
    producer.produce("topic", b"v", b"k")
    assert producer.commit(OFFSETS, MEMBER) is Outcome.ABORTED
    producer.start()
    producer.begin()
    producer.produce("topic", b"v", b"k")
    first, second = kafka.named("produce")
    assert set(first[-1]) == {"headers"}  # a callback for each record costs more than the record
    second[-1]["on_delivery"](refused, Delivered())
    with pytest.raises(NotPermitted):
        producer.commit(OFFSETS, MEMBER)


# abort, close


def test_given_an_abort_that_times_out_then_it_is_made_again(kafka: Kafka) -> None:
    producer = begun(kafka, abort=[TIMED_OUT])
    producer.abort()
    assert kafka.named("abort") == [1, 1]
    assert producer.is_ready


@pytest.mark.parametrize("error", [FENCED, STATE])
def test_given_an_abort_that_fails_then_the_outcome_is_unknown_and_the_producer_given_up(
    kafka: Kafka, error: KafkaError
) -> None:
    producer = begun(kafka, offsets=[ILLEGAL], abort=[error])
    assert producer.commit(OFFSETS, MEMBER) is Outcome.UNKNOWN
    assert not producer.is_ready


def test_given_a_slow_abort_then_the_producer_is_given_up(kafka: Kafka) -> None:
    producer = begun(kafka, abort=[Takes(2.1)])
    assert producer.abort()
    assert not producer.is_ready


@pytest.mark.parametrize(
    ("text", "is_ready"),
    [
        ("[thrd:TxnCoordinator]: TxnCoordinator: b:1: Disconnected: connection reset (after 21ms in state UP)", False),
        ("[thrd:b:1/1]: b:1/1: 1 request(s) timed out: disconnect (after 60021ms in state UP)", False),
        (
            "[thrd:b:1/1]: b:1/1: Connect to ipv4#1.2.3.4:1 failed: Connection refused (after 0ms in state CONNECT)",
            True,
        ),
    ],
)
@pytest.mark.parametrize("end", ["commit", "abort"])
def test_given_a_connection_lost_in_use_when_the_transaction_is_over_then_the_producer_is_given_up(
    kafka: Kafka, text: str, is_ready: bool, end: str
) -> None:
    producer = begun(kafka)
    kafka.built[0]["logger"].log(logging.INFO, "%s [%s] %s", "FAIL", "rdkafka#producer-1", text)
    assert producer.commit(OFFSETS, MEMBER) is Outcome.COMMITTED if end == "commit" else producer.abort()
    assert producer.is_ready is is_ready
    producer.start()
    producer.begin()
    assert producer.commit(OFFSETS, MEMBER) is Outcome.COMMITTED
    assert producer.is_ready


@pytest.mark.parametrize("error", [CONFLICT, RETRIABLE_CONFLICT])
def test_given_another_call_in_progress_when_aborted_then_it_comes_up_as_the_bug_it_is(
    kafka: Kafka, error: KafkaError
) -> None:
    producer = begun(kafka, abort=[error])
    with pytest.raises(RuntimeError, match="in the wrong order"):
        producer.abort()


def test_given_an_open_transaction_when_another_begins_then_it_comes_up_as_the_bug_it_is(kafka: Kafka) -> None:
    producer = begun(kafka)
    kafka.answers["begin"] = [STATE]
    with pytest.raises(RuntimeError, match="wrong order"):
        producer.begin()


def test_given_a_fatal_error_while_there_is_no_room_then_commit_says_how_it_ends(kafka: Kafka) -> None:
    producer = begun(kafka, produce=[BufferError(), FENCED], poll=[FENCED])
    producer.produce("topic", b"v", b"k")
    assert producer.commit(OFFSETS, MEMBER) is Outcome.UNKNOWN


def test_given_a_producer_that_was_closed_then_nothing_can_begin(kafka: Kafka) -> None:
    producer = begun(kafka)
    producer.close()
    producer.close()
    assert not producer.is_ready
    with pytest.raises(RuntimeError, match="not started"):
        producer.begin()


def test_given_a_worker_that_ends_then_no_call_is_made_a_second_time(kafka: Kafka) -> None:
    producer = begun(kafka, commit=[TIMED_OUT])
    producer.hurry()
    assert producer.commit(OFFSETS, MEMBER) is Outcome.UNKNOWN
    assert not producer.is_ready
