"""Every answer of the transactional producer in docs/guarantees.md, brought about on a real broker.

After each: what a consumer of committed data sees, what the group's offset is, and that the next transaction commits.
"""

import random
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import KafkaError, Message
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from atp_stream.streaming.errors import ClusterUnreachable, NotPermitted
from atp_stream.streaming.producer import Outcome
from tests.faults.actions import Drop, Duplicate, ErrorCode, Hold, Watch
from tests.faults.brokers import Brokers
from tests.faults.transactions import described
from tests.faults.wire import (
    ADD_OFFSETS_TO_TXN,
    ADD_PARTITIONS_TO_TXN,
    END_TXN,
    INIT_PRODUCER_ID,
    PRODUCE,
    TXN_OFFSET_COMMIT,
)
from tests.pipeline.waiting import until
from tests.streaming import in_background

from .answers import Bench, behind_proxy

BEFORE = [b"before"]


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    with behind_proxy(tmp_path_factory.mktemp("brokers"), 1) as running:
        yield running


@pytest.fixture
def short_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is not answered comes back sooner than it would, and still counts as slow."""
    monkeypatch.setattr("atp_stream.streaming.producer._CALL_SECONDS", 2.1)


@pytest.fixture
def again(caplog: pytest.LogCaptureFixture) -> Callable[[], bool]:
    """Whether a call has timed out and is made a second time."""
    return lambda: "again" in caplog.text


# No answer in time: the same call, on the same producer


@pytest.mark.usefixtures("short_calls")
def test_given_a_commit_that_times_out_when_its_answer_comes_then_it_is_committed_and_the_producer_replaced(
    bench: Bench, again: Callable[[], bool]
) -> None:
    producer = bench.started()
    commits = bench.lane.on(END_TXN, Watch(), response=False, times=None)
    held = bench.lane.on(END_TXN, Hold(), response=False)
    with in_background(lambda: bench.transact(producer, b"one", 3)) as committing:
        until("the call is made again", again)
        held.release()
        assert committing.result() is Outcome.COMMITTED
    assert held.hits + commits.hits == 1
    assert not producer.is_ready
    bench.goes_on(producer, after=[*BEFORE, b"one"], offset=3)


@pytest.mark.usefixtures("short_calls")
def test_given_an_abort_that_times_out_when_its_answer_comes_then_it_is_aborted_and_the_producer_replaced(
    bench: Bench, again: Callable[[], bool]
) -> None:
    producer = bench.started()
    bench.opened(producer, b"one")
    held = bench.lane.on(END_TXN, Hold(), response=False)
    with in_background(producer.abort) as aborting:
        until("the call is made again", again)
        held.release()
        assert aborting.result()
    assert not producer.is_ready
    bench.goes_on(producer, after=BEFORE, offset=1)


@pytest.mark.usefixtures("short_calls")
def test_given_a_start_that_times_out_when_its_answer_comes_then_the_producer_is_ready(
    bench: Bench, again: Callable[[], bool]
) -> None:
    producer = bench.producer()
    starts = bench.lane.on(INIT_PRODUCER_ID, Watch(), response=False, times=None)
    held = bench.lane.on(INIT_PRODUCER_ID, Hold(), response=False)
    with in_background(producer.start) as starting:
        until("the call is made again", again)
        held.release()
        starting.result()
    assert held.hits + starts.hits == 1
    bench.goes_on(producer, after=[], offset=None)


@pytest.mark.usefixtures("short_calls")
def test_given_no_answer_to_a_start_until_the_deadline_then_the_cluster_counts_as_unreachable(bench: Bench) -> None:
    bench.lane.on(INIT_PRODUCER_ID, Drop(), response=False, times=None)
    producer = bench.producer(deadline=1.0)
    with pytest.raises(ClusterUnreachable):
        producer.start()
    bench.lane.clear()
    bench.goes_on(producer, after=[], offset=None)


@pytest.mark.usefixtures("short_calls")
@pytest.mark.parametrize("is_done", [False, True])
def test_given_no_answer_to_a_commit_until_the_deadline_then_the_cluster_says_how_it_ended(
    bench: Bench, is_done: bool
) -> None:
    producer = bench.started(deadline=1.0)
    lost = bench.lane.on(END_TXN, Drop(), response=is_done, times=None)
    assert bench.transact(producer, b"one", 3) is Outcome.UNKNOWN
    assert lost.hits == 1
    assert not producer.is_ready
    bench.lane.clear()
    bench.goes_on(bench.producer(), after=[*BEFORE, b"one"] if is_done else BEFORE, offset=3 if is_done else 1)


# Sending offsets


def test_given_offsets_the_coordinator_does_not_take_yet_then_the_same_are_sent_again(bench: Bench) -> None:
    producer = bench.started()
    sent = bench.lane.on(TXN_OFFSET_COMMIT, Watch(), response=False, times=None)
    bench.lane.on(TXN_OFFSET_COMMIT, ErrorCode(KafkaError.COORDINATOR_LOAD_IN_PROGRESS), response=True, times=2)
    assert bench.transact(producer, b"one", 3) is Outcome.COMMITTED
    assert len({frame.body[8:] for frame in sent.frames}) == 1  # from the header's end on
    assert sent.hits == 3
    bench.goes_on(producer, after=[*BEFORE, b"one"], offset=3)


def test_given_offsets_sent_twice_by_the_network_then_they_count_once(bench: Bench) -> None:
    producer = bench.started()
    doubled = bench.lane.on(TXN_OFFSET_COMMIT, Duplicate(), response=False)
    assert bench.transact(producer, b"one", 3) is Outcome.COMMITTED
    assert doubled.hits == 1
    bench.goes_on(producer, after=[*BEFORE, b"one"], offset=3)


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
    ],
)
def test_given_the_group_has_moved_on_then_the_batch_is_aborted_and_its_offsets_are_not_sent_again(
    bench: Bench, code: int
) -> None:
    producer = bench.started()
    sent = bench.lane.on(TXN_OFFSET_COMMIT, Watch(), response=False, times=None)
    bench.lane.on(TXN_OFFSET_COMMIT, ErrorCode(code), response=True)
    assert bench.transact(producer, b"one", 3) is Outcome.ABORTED
    assert sent.hits == 1
    assert producer.is_ready
    bench.goes_on(producer, after=BEFORE, offset=1)


# A record that is not delivered


def test_given_a_record_the_broker_refuses_for_its_size_then_the_transaction_is_aborted(bench: Bench) -> None:
    producer = bench.started()
    producer.begin()
    producer.produce(bench.name, random.Random(1).randbytes(1_500_000), b"key")  # the broker takes 1 MB
    producer.produce(bench.name, b"small", b"key")
    assert bench.commit(producer, 3) is Outcome.ABORTED
    bench.goes_on(producer, after=BEFORE, offset=1)


def test_given_a_record_too_large_for_the_producer_then_it_is_refused_before_it_is_sent(bench: Bench) -> None:
    producer = bench.started()
    producer.begin()
    with pytest.raises(ValueError, match="3000000 bytes is too large"):
        producer.produce(bench.name, b"x" * 3_000_000, b"key")
    assert producer.abort()
    bench.goes_on(producer, after=BEFORE, offset=1)


@pytest.mark.parametrize("code", [KafkaError.INVALID_TXN_STATE, KafkaError.INVALID_PRODUCER_ID_MAPPING, 59])
def test_given_a_produce_that_failed_for_good_then_the_transaction_is_aborted(bench: Bench, code: int) -> None:
    producer = bench.started()
    bench.lane.on(PRODUCE, ErrorCode(code), response=True)  # 59: UNKNOWN_PRODUCER_ID
    assert bench.transact(producer, b"one", 3) is Outcome.ABORTED
    bench.goes_on(producer, after=BEFORE, offset=1)


def test_given_a_produce_that_timed_out_then_nothing_of_the_transaction_is_seen(bench: Bench) -> None:
    producer = bench.started(timeout_ms=1_500)
    bench.lane.on(PRODUCE, Drop(), response=False, times=None)
    aborts = bench.lane.on(END_TXN, Hold(), response=False)
    # Its transaction times out as well before the abort arrives: that is refused, and a new producer finds out.
    with in_background(lambda: bench.transact(producer, b"one", 3)) as committing:
        aborts.wait()
        coordinator = bench.brokers.direct(bench.brokers.transaction_coordinator(bench.name))
        until("the transaction timed out", lambda: described(coordinator, bench.name).state == "CompleteAbort")
        aborts.release()
        assert committing.result() is Outcome.UNKNOWN
    bench.lane.clear()
    bench.goes_on(producer, after=BEFORE, offset=1)


@pytest.mark.usefixtures("short_calls")
@pytest.mark.parametrize("response", [False, True])
def test_given_a_first_produce_in_flight_when_aborted_then_nothing_of_it_is_seen(
    bench: Bench, again: Callable[[], bool], response: bool
) -> None:
    producer = bench.producer()
    producer.start()
    held = bench.lane.on(PRODUCE, Hold(), response=response)
    producer.begin()
    producer.produce(bench.name, b"one", b"key")
    held.wait()
    with in_background(producer.abort) as aborting:
        until("the call is made again", again)
        held.release()
        assert aborting.result()
    bench.goes_on(producer, after=[], offset=None)


def test_given_a_callback_that_raises_then_the_commit_counts_all_the_same(bench: Bench) -> None:
    def raises(_error: KafkaError | None, _message: Message) -> None:
        raise ValueError("in the callback")

    producer = bench.started()
    producer.begin()
    producer.produce(bench.name, b"one", b"key", on_delivery=raises)
    assert bench.commit(producer, 3) is Outcome.COMMITTED
    bench.goes_on(producer, after=[*BEFORE, b"one"], offset=3)


# Fatal


def test_given_a_transaction_that_timed_out_then_a_healthy_producer_is_fenced_and_replaced(bench: Bench) -> None:
    producer = bench.started(timeout_ms=1_000)
    bench.opened(producer, b"one")
    bench.cluster.read(bench.cluster.ends([bench.source]), lambda _partition, _messages: None)  # until it is over
    assert bench.commit(producer, 3) is Outcome.UNKNOWN
    assert not producer.is_ready
    bench.goes_on(producer, after=BEFORE, offset=1)


@pytest.mark.parametrize(
    ("api_key", "code"),
    [
        (PRODUCE, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER),
        (PRODUCE, KafkaError.INVALID_PRODUCER_EPOCH),
        (ADD_PARTITIONS_TO_TXN, KafkaError.INVALID_TXN_STATE),
        (ADD_PARTITIONS_TO_TXN, KafkaError.INVALID_PRODUCER_EPOCH),
        (ADD_OFFSETS_TO_TXN, KafkaError.INVALID_TXN_STATE),
        (TXN_OFFSET_COMMIT, KafkaError.INVALID_TXN_STATE),
        (TXN_OFFSET_COMMIT, KafkaError.INVALID_PRODUCER_ID_MAPPING),
        (TXN_OFFSET_COMMIT, KafkaError.INVALID_PRODUCER_EPOCH),
    ],
)
def test_given_a_fatal_answer_before_the_commit_then_a_new_producer_settles_it_and_nothing_is_seen(
    bench: Bench, api_key: int, code: int
) -> None:
    producer = bench.started()
    bench.lane.on(api_key, ErrorCode(code), response=True)
    assert bench.transact(producer, b"one", 3) is Outcome.UNKNOWN
    assert not producer.is_ready
    bench.goes_on(producer, after=BEFORE, offset=1)


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.INVALID_TXN_STATE,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
        90,  # PRODUCER_FENCED
    ],
)
def test_given_a_commit_that_the_broker_did_and_that_failed_here_then_its_outcome_is_read_and_not_guessed(
    bench: Bench, code: int
) -> None:
    producer = bench.started()
    bench.lane.on(END_TXN, ErrorCode(code), response=True)
    assert bench.transact(producer, b"one", 3) is Outcome.UNKNOWN
    assert not producer.is_ready
    bench.goes_on(producer, after=[*BEFORE, b"one"], offset=3)


# Refused


@pytest.mark.parametrize(
    ("kind", "operation"),
    [(ResourceType.TRANSACTIONAL_ID, AclOperation.WRITE), (ResourceType.GROUP, AclOperation.READ)],
)
def test_given_no_permission_then_the_worker_ends_with_what_to_grant(
    bench: Bench, kind: ResourceType, operation: AclOperation
) -> None:
    producer = bench.producer()
    bench.deny(kind, bench.name, operation)

    def work() -> None:
        producer.start()
        bench.transact(producer, b"one", 3)

    with pytest.raises(NotPermitted) as caught:
        work()
    assert '"Permissions"' in caught.value.fix


def test_given_no_permission_for_a_topic_then_the_second_transaction_says_so_and_the_worker_ends(bench: Bench) -> None:
    refused = f"{bench.name}-refused"
    bench.brokers.create_topic(refused)
    bench.deny(ResourceType.TOPIC, refused, AclOperation.WRITE)
    producer = bench.started()

    def transact() -> Outcome:
        producer.begin()
        producer.produce(refused, b"one", b"key")
        return bench.commit(producer, 3)

    # librdkafka says "inconsistent", and why only to a callback; with callbacks for all records the next time.
    assert transact() is Outcome.ABORTED
    producer.start()
    with pytest.raises(NotPermitted):
        transact()
    bench.goes_on(bench.producer(), after=BEFORE, offset=1)


def test_given_a_commit_that_is_refused_then_the_worker_ends(bench: Bench) -> None:
    producer = bench.started()
    bench.lane.on(END_TXN, ErrorCode(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED), response=True)
    with pytest.raises(NotPermitted):
        bench.transact(producer, b"one", 3)


# Bugs of ours


def test_given_a_commit_in_progress_when_aborted_at_the_same_time_then_it_comes_up_as_the_bug_it_is(
    bench: Bench,
) -> None:
    producer = bench.started()
    held = bench.lane.on(END_TXN, Hold(), response=False)
    with in_background(lambda: bench.transact(producer, b"one", 3)) as committing:
        held.wait()
        with pytest.raises(RuntimeError, match="in the wrong order"):
            producer.abort()
        held.release()
        assert committing.result() is Outcome.COMMITTED


def test_given_an_open_transaction_when_another_begins_then_it_comes_up_as_the_bug_it_is(bench: Bench) -> None:
    producer = bench.started()
    producer.begin()
    with pytest.raises(RuntimeError, match="beginning"):
        producer.begin()
