"""Three brokers, one lane for clients and one between them: what can be done to them, and that they go on."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from tests.cluster import consume, produce
from tests.pipeline.waiting import until
from tests.streaming import in_background

from .actions import Hold
from .brokers import BETWEEN, Brokers
from .wire import WRITE_TXN_MARKERS

SECONDS = 30.0


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    with Brokers(tmp_path_factory.mktemp("brokers"), 3, ["lane"]) as running:
        yield running


def test_given_the_leader_is_killed_then_another_leads_and_nothing_is_lost(brokers: Brokers, unique: str) -> None:
    brokers.create_topic(unique)
    lane = brokers.lane("lane")
    produce(lane.servers, unique, [b"one"])
    leader = brokers.leader(unique, 0)
    brokers.kill(leader)
    assert not brokers.running(leader)
    until("another leads", lambda: brokers.leader(unique, 0) != leader)
    assert consume(lane.servers, unique, 1) == [b"one"]
    assert brokers.group_coordinator(unique) != leader
    assert brokers.transaction_coordinator(unique) != leader
    brokers.start(leader)
    assert brokers.running(leader)


def test_given_the_leader_is_paused_then_another_leads_until_it_is_resumed(brokers: Brokers, unique: str) -> None:
    brokers.create_topic(unique)
    leader = brokers.leader(unique, 0)
    brokers.pause(leader)
    assert not brokers.running(leader)
    until("another leads", lambda: brokers.leader(unique, 0) != leader)
    brokers.resume(leader)
    brokers.await_serving()
    assert brokers.running(leader)


def test_given_the_markers_to_a_broker_are_held_then_the_transaction_is_seen_when_they_are_released(
    brokers: Brokers, unique: str
) -> None:
    brokers.create_topic(unique, 3)
    # A leader elsewhere than the coordinator: to itself a broker sends over the network as well, but it need not.
    coordinator = brokers.transaction_coordinator(unique)
    partition, leader = next((n, at) for n in range(3) if (at := brokers.leader(unique, n)) != coordinator)
    rule = brokers.lane(BETWEEN).on(WRITE_TXN_MARKERS, Hold(), response=False, broker=leader)
    producer = Producer({"bootstrap.servers": brokers.lane("lane").servers, "transactional.id": unique})
    producer.init_transactions(SECONDS)
    producer.begin_transaction()
    producer.produce(unique, b"one", partition=partition)
    producer.commit_transaction(SECONDS)  # answered when it is decided, before the markers are written
    with in_background(lambda: consume(brokers.servers, unique, 1)) as consuming:
        rule.wait()
        assert not consuming.done()
        rule.release()
        assert consuming.result() == [b"one"]
