"""The engine's cycle, with a producer that writes down and a real local state."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import rocksdict
from confluent_kafka import TopicPartition

from atp_stream.streaming import engine as module
from atp_stream.streaming.committed import Committed
from atp_stream.streaming.dead_letters import FloodGuard
from atp_stream.streaming.engine import Engine, Source
from atp_stream.streaming.errors import NoProgress
from atp_stream.streaming.gate import Fetch, Gate
from atp_stream.streaming.membership import Membership
from atp_stream.streaming.partition_state import WATERMARK_KEY, PartitionState
from atp_stream.streaming.producer import Outcome
from atp_stream.streaming.records import Partition, Record
from atp_stream.streaming.transaction import Transaction

from .samples import Consumed, WritingProducer

MEMBER = Membership(4, "me")


@dataclass
class Counting:
    """Counts in the state what it is given, and says what of."""

    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    may_go: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.may_go.set()

    async def prepare(self, records: Sequence[Record]) -> None:
        self.waiting.set()
        await self.may_go.wait()

    def process(self, partition: Partition, records: Sequence[Record], transaction: Transaction) -> None:
        state = transaction.state(partition.number)
        for record in records:
            if record.value == b"bug":
                raise ZeroDivisionError("a bug")
            self.seen.append(record.offset)
            state.put(b"count", b"%d" % (int(state.get(b"count") or 0) + 1))


@dataclass
class Passing(Counting):
    """Stateless: hands on."""

    def process(self, partition: Partition, records: Sequence[Record], transaction: Transaction) -> None:
        for record in records:
            transaction.produce("source", record.value, record.key)


@dataclass
class Store:
    """Gives each partition a state of its own."""

    directory: Path
    states: dict[int, PartitionState] = field(default_factory=dict)

    def partition(self, number: int) -> PartitionState:
        if number not in self.states:
            self.states[number] = PartitionState(self.directory / f"{number}", rocksdict.Cache(1 << 20))
        return self.states[number]


@dataclass
class Parts:
    """An engine and everything it was made of."""

    engine: Engine
    producer: WritingProducer
    stage: Counting
    store: Store
    lost: list[str]

    def fetched(self, *offsets: int, topic: str = "source", value: bytes = b"v") -> Fetch:
        """What a fetch under the gate's opening gives."""
        opening = self.engine.gate.opening
        assert opening is not None
        opening.fetched += 1
        records = {Partition(topic, 0): [Consumed(topic, 0, offset, value=value) for offset in offsets]}
        fetch = Fetch(opening, opening.fetched, records)
        opening.waiting += fetch.weight
        return fetch


Make = Callable[..., Parts]


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    producer, stage, store, lost = WritingProducer(), Counting(), Store(tmp_path), []
    engine = Engine(
        sources={"source": Source(stage, stateful=True), "raw": Source(Passing(), stateful=False)},
        gate=Gate(),
        producer=producer,
        changelog="changelog",
        dead_letters="dead-letters",
        flood=FloodGuard(10, lambda: 0.0),
        most_records=100,
        on_lost=lambda: lost.append("lost"),
    )
    engine.store = store  # type: ignore[assignment]
    engine.gate.open(MEMBER)
    return Parts(engine, producer, stage, store, lost)


async def test_given_fetches_when_processed_then_one_transaction_takes_them_all(parts: Parts) -> None:
    fetches = [parts.fetched(5, 6), parts.fetched(9), parts.fetched(3, topic="raw")]
    await parts.engine.process(fetches)
    ((offsets, membership),) = parts.producer.committed
    assert sorted((o.topic, o.partition, o.offset) for o in offsets) == [("raw", 0, 4), ("source", 0, 10)]
    assert membership == MEMBER
    assert parts.stage.seen == [5, 6, 9]
    assert [p.key for p in parts.producer.produced if p.topic == "changelog"] == [b"count", WATERMARK_KEY]
    assert parts.engine.counters.records == 4
    assert parts.engine.gate.opening is not None
    assert parts.engine.gate.opening.waiting == 0


async def test_given_a_long_batch_when_processed_then_queries_get_their_turn_in_between(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TURN_SECONDS", 0.0)
    opening, turns, seen = parts.engine.gate.opening, 0, []
    assert opening is not None

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def process(partition: Partition, records: Sequence[Record], transaction: Transaction) -> None:
        transaction.state(partition.number)
        seen.append(turns)

    parts.stage.process = process  # type: ignore[method-assign]
    opening.fetched += 1
    fetch = Fetch(opening, 1, {Partition("source", n): [Consumed("source", n, 0)] for n in range(3)})
    running = asyncio.ensure_future(others())
    await parts.engine.process([fetch])
    running.cancel()
    assert len(seen) == 3
    assert seen[0] < seen[1] < seen[2]
    assert len(parts.producer.committed) == 1


async def test_given_an_observer_that_fails_then_the_others_are_told_and_the_work_goes_on(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Committed] = []

    def failing(_: Committed) -> None:
        raise ZeroDivisionError("a bug in what only looks")

    parts.engine.observers += [failing, told.append]
    await parts.engine.process([parts.fetched(5, 6)])
    await parts.engine.process([parts.fetched(7)])
    assert [sum(map(len, each.batch.values())) for each in told] == [2, 1]
    assert "could not be told of" in caplog.text
    assert parts.lost == []


async def test_given_a_transaction_that_does_not_commit_then_nobody_is_told(parts: Parts) -> None:
    told: list[Committed] = []
    parts.engine.observers.append(told.append)
    parts.producer.outcomes.append(Outcome.ABORTED)
    await parts.engine.process([parts.fetched(5)])
    assert told == []


async def test_given_a_commit_then_the_local_state_follows_with_offset_and_watermark(parts: Parts) -> None:
    await parts.engine.process([parts.fetched(5, 6)])
    state = parts.store.partition(0)
    assert state.get(b"count") == b"2"
    assert state.get(WATERMARK_KEY) == b'{"source":7}'
    assert state.offset == 102  # where the watermark record, the last of two, came to lie
    assert parts.engine.watermarks == {0: {"source": 7}}
    await parts.engine.process([parts.fetched(7)])
    assert state.get(b"count") == b"3"
    assert parts.lost == []


async def test_given_only_a_stateless_source_then_no_changelog_is_touched(parts: Parts) -> None:
    await parts.engine.process([parts.fetched(3, topic="raw")])
    assert [p.topic for p in parts.producer.produced] == ["source"]
    assert parts.store.states == {}


@pytest.mark.parametrize("outcome", [Outcome.ABORTED, Outcome.UNKNOWN])
async def test_given_a_transaction_that_did_not_commit_then_nothing_is_written_and_the_gate_shuts(
    parts: Parts, outcome: Outcome
) -> None:
    parts.producer.outcomes = [outcome]
    await parts.engine.process([parts.fetched(5)])
    assert parts.store.partition(0).get(b"count") is None
    assert parts.store.partition(0).offset is None
    assert parts.engine.watermarks == {}
    assert parts.engine.gate.opening is None
    assert parts.lost == ["lost"]
    assert parts.engine.counters.aborted == 1


async def test_given_a_commit_after_which_the_producer_is_given_up_then_the_state_is_written_and_the_gate_shuts(
    parts: Parts,
) -> None:
    parts.producer.ready = False
    await parts.engine.process([parts.fetched(5)])
    assert parts.store.partition(0).get(b"count") == b"1"
    assert parts.engine.gate.opening is None
    assert parts.lost == ["lost"]


async def test_given_fetches_of_another_opening_then_they_are_dropped(parts: Parts) -> None:
    old = parts.fetched(5, 6)
    parts.engine.gate.close()
    await parts.engine.process([old])
    parts.engine.gate.open(MEMBER)
    await parts.engine.process([old, parts.fetched(5)])
    assert parts.stage.seen == [5]
    assert parts.engine.counters.dropped == 4
    assert [offsets[0].offset for offsets, _ in parts.producer.committed] == [6]


async def test_given_a_fetch_lost_on_its_way_then_those_behind_it_are_not_committed(parts: Parts) -> None:
    first, lost, behind = parts.fetched(1), parts.fetched(2), parts.fetched(3)
    await parts.engine.process([first])
    await parts.engine.process([behind])
    assert len(parts.producer.committed) == 1
    assert parts.engine.gate.opening is None
    assert parts.lost == ["lost"]
    assert lost.number == 2


async def test_given_a_wait_for_something_outside_then_neither_hand_over_nor_end_waits_for_it(parts: Parts) -> None:
    parts.stage.may_go.clear()
    processing = asyncio.ensure_future(parts.engine.process([parts.fetched(5)]))
    await parts.stage.waiting.wait()
    async with parts.engine.lock:  # as a hand-over takes it
        pass
    await parts.engine.close()
    parts.stage.may_go.set()
    await processing
    assert parts.producer.calls == ["close"]
    assert parts.stage.seen == []
    assert parts.engine.counters.dropped == 1


async def test_given_an_opening_that_ends_while_the_lock_is_waited_for_then_the_batch_is_dropped(parts: Parts) -> None:
    async with parts.engine.lock:
        processing = asyncio.ensure_future(parts.engine.process([parts.fetched(5)]))
        await parts.stage.waiting.wait()
        parts.engine.gate.close()
        parts.engine.gate.open(MEMBER)  # even for the same membership
    await processing
    assert parts.producer.calls == []


async def test_given_a_bug_in_a_stage_then_the_transaction_is_aborted_and_the_bug_comes_up(parts: Parts) -> None:
    with pytest.raises(ZeroDivisionError):
        await parts.engine.process([parts.fetched(5, value=b"bug")])
    assert parts.producer.calls == ["begin", "abort"]
    assert parts.store.partition(0).offset is None


async def test_given_the_agent_is_cancelled_during_a_commit_then_the_transaction_ends_and_is_written(
    parts: Parts,
) -> None:
    parts.producer.may_commit.clear()
    processing = asyncio.ensure_future(parts.engine.process([parts.fetched(5)]))
    await asyncio.to_thread(parts.producer.committing.wait)
    processing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await processing
    closing = asyncio.ensure_future(parts.engine.close())
    parts.producer.may_commit.set()
    await closing
    assert parts.producer.calls == ["begin", "commit", "close"]
    assert parts.store.partition(0).get(b"count") == b"1"


class Queued:
    """A stream as the engine uses it: events, and the queue behind them."""

    def __init__(self, values: Sequence[Fetch]) -> None:
        self.channel: Any = self
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        for value in values:
            self.queue.put_nowait(_Event(value))

    async def events(self) -> Any:
        while not self.queue.empty():
            yield self.queue.get_nowait()


@dataclass
class _Event:
    value: Fetch


async def test_given_fetches_that_queued_up_then_a_transaction_takes_no_more_than_its_bound(parts: Parts) -> None:
    parts.engine.most_records = 5
    stream = Queued([parts.fetched(offset, offset + 1) for offset in range(0, 14, 2)])
    await parts.engine.run(stream)  # type: ignore[arg-type]
    assert [offsets for ((offsets,), _) in parts.producer.committed] == [
        TopicPartition("source", 0, 6),
        TopicPartition("source", 0, 12),
        TopicPartition("source", 0, 14),
    ]
    assert parts.stage.seen == list(range(14))


async def test_given_large_records_then_a_transaction_takes_fewer_of_them(parts: Parts) -> None:
    large = b"x" * (50 << 10)
    stream = Queued([parts.fetched(offset, value=large) for offset in range(6)])  # at most a hundred KiB
    await parts.engine.run(stream)  # type: ignore[arg-type]
    assert [offsets[0].offset for offsets, _ in parts.producer.committed] == [2, 4, 6]


async def test_given_a_batch_that_never_commits_then_the_worker_ends_instead_of_trying_for_ever(parts: Parts) -> None:
    parts.producer.outcomes = [Outcome.ABORTED] * 21
    for _ in range(20):
        await parts.engine.process([parts.fetched(5)])
        parts.engine.gate.open(MEMBER)
    with pytest.raises(NoProgress) as ended:
        await parts.engine.process([parts.fetched(5)])
    assert "source[0]@5" in ended.value.cause


async def test_given_a_commit_in_between_then_earlier_losses_do_not_count(parts: Parts) -> None:
    parts.producer.outcomes = [*[Outcome.ABORTED] * 20, Outcome.COMMITTED, *[Outcome.ABORTED] * 20]
    for _ in range(41):
        await parts.engine.process([parts.fetched(5)])
        parts.engine.gate.open(MEMBER)
    assert parts.engine.counters.aborted == 40
