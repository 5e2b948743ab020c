"""Requests that arrive a transaction too late: sent, lost with their connection, sent again, and then there after all.

For EndTxn that is KAFKA-17754. What protects from it is that a producer which has lost a connection, or waited long,
does not begin another transaction: its successor has a new epoch, and the broker refuses what comes under the old one.
"""

from collections.abc import Callable, Iterator

import pytest

from atp_stream.streaming.producer import Outcome, TransactionalProducer
from tests.faults.actions import Hold, Rule, Watch
from tests.faults.brokers import Brokers
from tests.faults.wire import END_TXN, TXN_OFFSET_COMMIT
from tests.streaming import in_background

from .answers import Bench, behind_proxy


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    with behind_proxy(tmp_path_factory.mktemp("brokers"), 1) as running:
        yield running


def aborted(bench: Bench, producer: TransactionalProducer) -> tuple[list[bytes], int]:
    bench.opened(producer, b"one")
    assert producer.abort()
    return [b"before"], 1


def committed(bench: Bench, producer: TransactionalProducer) -> tuple[list[bytes], int]:
    assert bench.transact(producer, b"one", 3) is Outcome.COMMITTED
    return [b"before", b"one"], 3


End = Callable[[Bench, TransactionalProducer], tuple[list[bytes], int]]


def release_late(bench: Bench, held: Rule) -> None:
    """Let the late request go to the broker, and return when that has answered."""
    answers = bench.lane.on(held.api_key, Watch(), response=True)
    held.release()
    answers.wait()


@pytest.mark.parametrize(("api_key", "end"), [(END_TXN, committed), (END_TXN, aborted), (TXN_OFFSET_COMMIT, committed)])
def test_given_a_request_is_repeated_when_the_first_arrives_in_the_next_transaction_then_that_is_whole_all_the_same(
    bench: Bench, api_key: int, end: End
) -> None:
    producer = bench.started()
    held = bench.lane.on(api_key, Hold(cut=True), response=False)
    before, offset = end(bench, producer)
    held.wait()
    assert not producer.is_ready
    producer.start()
    bench.opened(producer, b"two")
    release_late(bench, held)
    assert bench.transact_rest(producer, b"three", 5) is Outcome.COMMITTED
    assert bench.visible() == ([*before, b"two", b"three"], 5)
    assert offset < 5


def test_given_a_late_commit_when_the_next_transaction_is_still_open_then_nothing_of_it_is_seen(bench: Bench) -> None:
    producer = bench.started()
    held = bench.lane.on(END_TXN, Hold(cut=True), response=False)
    before, offset = committed(bench, producer)
    producer.start()
    bench.opened(producer, b"two")
    release_late(bench, held)
    producer.close()
    bench.goes_on(bench.producer(), after=before, offset=offset)


def test_given_late_offsets_when_the_next_transaction_has_sent_its_own_then_its_own_count(bench: Bench) -> None:
    producer = bench.started()
    late = bench.lane.on(TXN_OFFSET_COMMIT, Hold(cut=True), response=False)
    committed(bench, producer)
    producer.start()
    # The next commit waits between its offsets and its end: there the old offsets come.
    ends = bench.lane.on(END_TXN, Hold(), response=False)
    with in_background(lambda: bench.transact(producer, b"two", 5)) as committing:
        ends.wait()
        release_late(bench, late)
        ends.release()
        assert committing.result() is Outcome.COMMITTED
    assert bench.visible() == ([b"before", b"one", b"two"], 5)
