"""Brokers killed and started again under the transactional producer, and under whoever asks for stable offsets."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from atp_stream.streaming.producer import Outcome
from tests.faults.actions import Hold
from tests.faults.brokers import Brokers
from tests.faults.wire import ADD_PARTITIONS_TO_TXN, END_TXN, INIT_PRODUCER_ID, PRODUCE, TXN_OFFSET_COMMIT
from tests.streaming import in_background

from .answers import Bench, behind_proxy

KILLS = 2

#: Asks without end, as a worker's recovery does, and says how many answers there were; an end of its input ends it.
ASK = """
import sys, threading
from atp_stream.streaming.cluster import Cluster
from atp_stream.streaming.records import Partition
cluster = Cluster({"bootstrap.servers": sys.argv[1], "log_level": 0}, sys.argv[2], 120)
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
while not over.is_set():
    assert cluster.stable_offsets([Partition(sys.argv[2], 0)]) == {Partition(sys.argv[2], 0): 1}
    print("answered", flush=True)
"""


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    # Three: a partition without a leader may lose the markers of a transaction that ends meanwhile (KAFKA-20734).
    with behind_proxy(tmp_path_factory.mktemp("brokers"), 3) as running:
        yield running


def asked(brokers: Brokers, api_key: int, name: str) -> int:
    """Return the broker that such a request of the producer goes to."""
    if api_key == PRODUCE:
        return brokers.leader(name, 0)
    return brokers.group_coordinator(name) if api_key == TXN_OFFSET_COMMIT else brokers.transaction_coordinator(name)


@pytest.mark.parametrize(
    ("api_key", "response"),
    [
        (ADD_PARTITIONS_TO_TXN, False),
        (PRODUCE, False),
        (PRODUCE, True),
        (TXN_OFFSET_COMMIT, False),
        (TXN_OFFSET_COMMIT, True),
        (END_TXN, False),
        (END_TXN, True),
    ],
)
def test_given_a_broker_killed_in_a_transaction_then_it_counts_whole_or_not_at_all_and_the_next_one_commits(
    bench: Bench, brokers: Brokers, api_key: int, response: bool
) -> None:
    producer = bench.started()
    held = bench.lane.on(api_key, Hold(), response=response)
    with in_background(lambda: bench.transact(producer, b"one", 3)) as committing:
        held.wait()
        killed = asked(brokers, api_key, bench.name)
        brokers.kill(killed)
        brokers.start(killed)
        outcome = committing.result()
    if not producer.is_ready:
        producer.start()
    done, not_done = ([b"before", b"one"], 3), ([b"before"], 1)
    allowed = {Outcome.COMMITTED: [done], Outcome.ABORTED: [not_done], Outcome.UNKNOWN: [done, not_done]}
    found = bench.visible()
    assert found in allowed[outcome]
    bench.goes_on(producer, after=found[0], offset=found[1])


def test_given_a_broker_killed_when_a_producer_starts_then_it_is_ready_all_the_same(
    bench: Bench, brokers: Brokers
) -> None:
    producer = bench.producer()
    held = bench.lane.on(INIT_PRODUCER_ID, Hold(), response=False)
    with in_background(producer.start) as starting:
        held.wait()
        killed = brokers.transaction_coordinator(bench.name)
        brokers.kill(killed)
        brokers.start(killed)
        starting.result()
    bench.goes_on(producer, after=[], offset=None)


def test_given_all_brokers_killed_and_started_again_then_asking_for_stable_offsets_ends_no_process(
    bench: Bench, brokers: Brokers
) -> None:
    bench.started()
    command = [sys.executable, "-c", ASK, brokers.servers, bench.name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdin is not None
        assert asking.stdout is not None
        try:
            for _ in range(KILLS):
                assert asking.stdout.readline() == "answered\n"
                for node in brokers.ids:
                    brokers.kill(node)
                for node in brokers.ids:
                    brokers.start(node, wait=False)
                brokers.await_serving()
            asking.stdin.close()
            *_, last = asking.stdout.read().splitlines()
            assert last == "answered"
            assert asking.wait(60) == 0
        finally:
            asking.kill()
