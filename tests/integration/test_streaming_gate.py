"""The gate under way: whatever is fetched while it shuts and opens, each record changes the state once."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer

from atp_stream.local import LocalCluster
from tests.streaming_worker import PARTITIONS, Group, Running, eventually, group_of


@pytest.fixture
async def group(cluster: LocalCluster, unique: str, tmp_path: Path) -> AsyncIterator[Group]:
    async with group_of(cluster.bootstrap_servers, unique, tmp_path) as group:
        yield group


class Feed:
    """Produces without a pause until told to stop."""

    def __init__(self, group: Group) -> None:
        self.produced = 0
        self.stop = threading.Event()
        self._group = group

    def run(self) -> None:
        producer = Producer({"bootstrap.servers": self._group.servers, "enable.idempotence": True, "linger.ms": 0})
        while not self.stop.is_set():
            producer.produce(self._group.source, b"x", partition=self.produced % PARTITIONS)
            self.produced += 1
            producer.poll(0.001)
        assert producer.flush(60) == 0


@contextmanager
def feeding(group: Group) -> Iterator[Feed]:
    feed = Feed(group)
    thread = threading.Thread(target=feed.run)
    thread.start()
    try:
        yield feed
    finally:
        feed.stop.set()
        thread.join()


async def moved_on(running: Running) -> None:
    """Wait until records have been committed under the opening of now."""
    before = running.worker.engine.counters.transactions
    await eventually("a transaction commits", lambda: running.worker.engine.counters.transactions > before)


async def test_given_a_feed_when_recovery_begins_again_and_again_then_each_record_counts_once(group: Group) -> None:
    running = await group.start(most_records=40)
    with feeding(group) as feed:
        for _ in range(10):
            await moved_on(running)
            running.worker.engine.gate.close()  # as the engine does, in the midst of fetches
            running.tables.recovery.again()
    await eventually("all is processed", lambda: running.counted() == feed.produced)
    await asyncio.to_thread(group.produce, 1)
    await eventually("one more", lambda: running.counted() == feed.produced + 1)
    assert running.worker.failure is None


async def test_given_a_feed_when_workers_come_and_go_then_each_record_counts_once(group: Group) -> None:
    first = await group.start(most_records=40)
    with feeding(group) as feed:
        for _ in range(3):
            await moved_on(first)
            second = await group.start(most_records=40)
            await moved_on(second)
            first.worker.engine.gate.close()
            first.tables.recovery.again()
            await moved_on(first)
            await second.app.stop()
            assert second.worker.failure is None
    await eventually("all is processed", lambda: first.counted() == feed.produced)
    assert first.worker.failure is None
