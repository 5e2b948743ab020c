"""What of librdkafka's answers ends a reading, what passes by itself, and when patience ends."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from atp_stream.streaming import cluster as module
from atp_stream.streaming.cluster import Cluster
from atp_stream.streaming.errors import ClusterUnreachable, NotPermitted, Superseded
from atp_stream.streaming.records import Partition

PARTITION = Partition("log", 0)
DEADLINE = 30.0


def record(offset: int) -> Message:
    return Message(topic="log", partition=0, offset=offset, value=b"%d" % offset)


def end(offset: int) -> Message:
    return Message(topic="log", partition=0, offset=offset, error=KafkaError(KafkaError._PARTITION_EOF))


def failed(code: int, topic: str | None = "log") -> Message:
    return Message(topic=topic, partition=0, offset=1_000_000, error=KafkaError(code))


@dataclass
class Client:
    """Stands in for confluent-kafka's consumer: each call takes a second and gives what is put in, then nothing."""

    now: float = 0.0
    answers: list[Any] = field(default_factory=list)
    #: What the client hears by itself.
    events: list[Message] = field(default_factory=list)
    asked: int = 0
    open: int = 0

    def __call__(self, config: dict[str, Any]) -> "Client":
        self.open += 1
        return self

    def _answer(self) -> Any:
        self.now += 1
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else []
        if isinstance(answer, KafkaError):
            raise KafkaException(answer)
        return answer

    def assign(self, partitions: list[TopicPartition]) -> None: ...

    def consume(self, count: int, timeout: float) -> list[Message]:
        return list(self._answer())

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
        return 0, self._answer()

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return list(self._answer())

    def poll(self, timeout: float) -> Message | None:
        return self.events.pop(0) if self.events else None

    def close(self) -> None:
        self.open -= 1

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    client = Client()
    monkeypatch.setattr(module, "Consumer", client)
    monkeypatch.setattr(module, "time", client)
    logging.disable()
    yield client
    logging.disable(logging.NOTSET)
    assert client.open == 0


def read(client: Client, span: tuple[int, int] = (0, 10), **options: Any) -> list[int | None]:
    found: list[int | None] = []
    Cluster({}, "group", DEADLINE).read(
        {PARTITION: span}, lambda _, messages: found.extend(each.offset() for each in messages), **options
    )
    return found


def test_given_nothing_to_read_then_nobody_is_asked(client: Client) -> None:
    assert read(client, (10, 10)) == []
    assert client.asked == 0


def test_given_the_last_record_of_the_span_then_reading_ends(client: Client) -> None:
    client.answers = [[record(0), record(8)], [record(9)], [record(10)]]
    assert read(client) == [0, 8, 9]
    assert client.asked == 2


def test_given_markers_at_the_end_then_reading_ends_with_the_end_of_the_partition(client: Client) -> None:
    client.answers = [[record(0), end(1)], [record(5)], [end(9)], [end(10)]]
    assert read(client) == [0, 5]
    assert client.asked == 4


def test_given_a_record_behind_the_span_then_reading_ends_without_it(client: Client) -> None:
    client.answers = [[record(0), record(17)]]
    assert read(client) == [0]


@pytest.mark.parametrize("topic", ["log", None])
@pytest.mark.parametrize("code", [KafkaError._TRANSPORT, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR])
def test_given_a_failure_that_passes_then_reading_goes_on_and_does_not_take_it_for_the_end(
    client: Client, code: int, topic: str | None
) -> None:
    client.answers = [[record(0), failed(code, topic)], [failed(code, topic)], [record(9)]]
    assert read(client) == [0, 9]


def test_given_nothing_but_failures_then_patience_ends_all_the_same(client: Client) -> None:
    client.answers = [[failed(KafkaError._ALL_BROKERS_DOWN, None)] for _ in range(100)]
    with pytest.raises(ClusterUnreachable, match="1 partitions are not read to their end"):
        read(client)
    assert client.asked == 31


def test_given_records_from_time_to_time_then_patience_begins_anew(client: Client) -> None:
    for offset in range(10):
        client.answers += [*([[]] * 25), [record(offset)]]
    assert read(client) == list(range(10))


def test_given_a_refusal_then_reading_ends_with_what_to_do(client: Client) -> None:
    client.answers = [[record(0), failed(KafkaError.TOPIC_AUTHORIZATION_FAILED)]]
    with pytest.raises(NotPermitted) as caught:
        read(client)
    assert caught.value.fix


def test_given_a_span_whose_records_are_gone_then_reading_ends(client: Client) -> None:
    client.answers = [[failed(KafkaError._AUTO_OFFSET_RESET)]]
    with pytest.raises(KafkaException):
        read(client)


def test_given_a_reading_that_is_not_wanted_any_more_then_it_gives_way(client: Client) -> None:
    with pytest.raises(Superseded):
        read(client, should_stop=lambda: client.asked == 3)


def test_given_no_answer_at_first_then_offsets_are_asked_for_again_with_a_new_client(client: Client) -> None:
    client.answers = [KafkaError(KafkaError._TIMED_OUT), [TopicPartition("log", 0, 7)]]
    assert Cluster({}, "group", DEADLINE).stable_offsets([PARTITION]) == {PARTITION: 7}
    assert client.asked == 2


def test_given_no_answer_until_the_deadline_then_the_cluster_counts_as_unreachable(client: Client) -> None:
    client.answers = [KafkaError(KafkaError._TIMED_OUT) for _ in range(100)]
    with pytest.raises(ClusterUnreachable, match="30 s") as caught:
        Cluster({}, "group", DEADLINE).stable_offsets([PARTITION])
    assert caught.value.fix


def test_given_a_refusal_then_offsets_are_not_asked_for_again(client: Client) -> None:
    client.answers = [KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)]
    with pytest.raises(NotPermitted):
        Cluster({}, "group", DEADLINE).stable_offsets([PARTITION])
    assert client.asked == 1


def test_given_nothing_was_committed_then_the_offset_is_none_and_never_a_number(client: Client) -> None:
    client.answers = [[TopicPartition("log", 0, -1001), TopicPartition("log", 1, 0)]]
    found = Cluster({}, "group", DEADLINE).stable_offsets([PARTITION, Partition("log", 1)])
    assert found == {PARTITION: None, Partition("log", 1): 0}


def test_given_open_transactions_when_they_are_waited_for_then_those_that_begin_later_are_not(client: Client) -> None:
    client.answers = [10, 7, 7, 9, 10, 15]
    Cluster({}, "group", DEADLINE).await_settled([PARTITION])
    assert client.answers == [15]


def test_given_a_transaction_that_hangs_when_it_is_waited_for_then_patience_ends_and_its_place_is_told(
    client: Client,
) -> None:
    client.answers = [10, *[7] * 100]
    with pytest.raises(ClusterUnreachable, match="waiting for open transactions to end") as raised:
        Cluster({}, "group", DEADLINE).await_settled([PARTITION])
    assert "log[0]@7" in raised.value.cause


def test_given_a_group_that_may_not_be_read_when_asking_for_offsets_only_times_out_then_the_refusal_is_heard(
    client: Client,
) -> None:
    client.answers = [KafkaError(KafkaError._TIMED_OUT)]
    client.events = [failed(KafkaError.GROUP_AUTHORIZATION_FAILED, None)]
    with pytest.raises(NotPermitted) as raised:
        Cluster({}, "group", DEADLINE).stable_offsets([PARTITION])
    assert "Read on the group" in raised.value.fix
    assert client.asked == 1
