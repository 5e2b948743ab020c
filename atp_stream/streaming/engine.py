"""The engine: everything that has arrived since the last commit becomes one Kafka transaction (design section 5).

One cycle: take what was fetched, let the stages process it, commit outputs, changelog and source offsets together,
then write the local state. Recovery and the cycle exclude each other by `lock`.
"""

import asyncio
import heapq
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from confluent_kafka import TopicPartition
from faust.types import StreamT

from .activity import Activity, Doing
from .arrivals import arrivals
from .committed import Committed
from .dead_letters import FloodGuard
from .errors import NoProgress
from .gate import Fetch, Gate, Opening
from .producer import Outcome, TransactionalProducer
from .records import Partition, Record
from .store import StateStore
from .transaction import Transaction

log = logging.getLogger(__name__)

#: More than a broker restart or a row of rebalances brings about.
_MOST_LOST_IN_A_ROW = 20

#: After so long whatever else runs on the loop gets its turn.
_TURN_SECONDS = 0.005

Batch = dict[Partition, list[Record]]


class Stage(Protocol):
    """What is done with the records of a source topic."""

    async def prepare(self, records: Sequence[Record]) -> None:
        """Fetch from outside whatever `process` will need for these records (an unknown schema). May take long."""

    def process(self, partition: Partition, records: Sequence[Record], transaction: Transaction) -> None:
        """Process records of one partition, in offset order, into the transaction. Pure computation, never waits.

        An exception is a bug, and ends the worker with nothing of the batch committed.
        """


@dataclass(frozen=True)
class Source:
    """A source topic: its stage, and whether its records change the table's partition of the same number."""

    stage: Stage
    stateful: bool


@dataclass
class Counters:
    """What the engine has done since the start of the process."""

    transactions: int = 0
    records: int = 0
    dropped: int = 0
    aborted: int = 0
    seconds_processing: float = 0.0
    seconds_committing: float = 0.0


@dataclass
class Engine:
    """Turns fetches into transactions. `most_records` bounds a transaction, so that it ends within its time-out."""

    sources: Mapping[str, Source]
    gate: Gate
    producer: TransactionalProducer
    changelog: str
    dead_letters: str
    flood: FloodGuard
    most_records: int
    #: Called when a transaction did not commit: recovery has to settle offsets and state before anything is fetched.
    on_lost: Callable[[], None] = lambda: None
    #: Told of each transaction once it is committed and written. They must be quick.
    observers: list[Callable[[Committed], None]] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    #: Next offset of each stateful source topic, by table partition, as committed. Set by recovery.
    watermarks: dict[int, Mapping[str, int]] = field(default_factory=dict)
    store: StateStore | None = None
    activity: Activity = field(default_factory=Activity)
    _lost_in_a_row: int = 0

    async def run(self, stream: StreamT[Fetch]) -> None:
        """Process the stream for as long as it lasts."""
        async for fetches in arrivals(stream, self.most_records):
            await self.process(fetches)

    async def process(self, fetches: Sequence[Fetch]) -> None:
        """Make one transaction of what was fetched; drop what was fetched under an opening that is over."""
        opening = self.gate.opening
        batch = self._accept(fetches, opening)
        if not batch or opening is None:
            return
        # Without the lock: neither a hand-over nor an order to end waits for what does not answer outside.
        with self.activity.doing(Doing.PREPARING):
            for partition, records in batch.items():
                await self.sources[partition.topic].stage.prepare(records)
                self.activity.move()
        # Shielded: a transaction that has begun ends, even if Faust cancels the agent.
        await asyncio.shield(asyncio.ensure_future(self._transact(batch, opening)))

    async def _transact(self, batch: Batch, opening: Opening) -> None:
        """Make one transaction of the batch, unless the opening it was fetched under is over."""
        async with self.lock:
            if self.gate.opening is not opening:
                self.counters.dropped += sum(map(len, batch.values()))
                return
            began = time.perf_counter()
            transaction = await self._fill(batch)
            processed = time.perf_counter()
            offsets = [TopicPartition(*partition, records[-1].offset + 1) for partition, records in batch.items()]
            with self.activity.doing(Doing.COMMITTING):
                outcome = await asyncio.to_thread(self.producer.commit, offsets, opening.membership)
            committed = time.perf_counter()
            self.counters.seconds_processing += processed - began
            self.counters.seconds_committing += committed - processed
            size = sum(map(len, batch.values()))
            if outcome is Outcome.COMMITTED:
                self._write(transaction)
                self.activity.committed = time.monotonic()
                self.counters.transactions += 1
                self.counters.records += size
                self._tell(batch, transaction, (began, processed, committed))
            else:
                log.warning("a transaction of %d records ended %s: reading them again", size, outcome.value)
                transaction.withdraw()
                self.counters.aborted += 1
            self._lost_in_a_row = 0 if outcome is Outcome.COMMITTED else self._lost_in_a_row + 1
            if self._lost_in_a_row > _MOST_LOST_IN_A_ROW:
                first = min(batch)
                raise NoProgress(
                    f"{self._lost_in_a_row} transactions in a row did not commit",
                    cause=f"the last one: {size} records, {first.topic}[{first.number}]@{batch[first][0].offset} among "
                    "them; see the warnings before this",
                    fix="find out which: a record that no broker takes (too large for its topic), a batch that takes "
                    "longer than a transaction may (lower worker.max_batch_records), or a cluster in trouble",
                )
            if outcome is not Outcome.COMMITTED or not self.producer.is_ready:
                self.gate.close()
                self.on_lost()

    def _tell(self, batch: Batch, transaction: Transaction, times: tuple[float, float, float]) -> None:
        """Tell the observers of a transaction. times: when it began, was filled, and was committed."""
        began, processed, committed = times
        written = time.perf_counter()
        told = Committed(
            batch,
            transaction.notes,
            transaction.refused,
            processed - began,
            committed - processed,
            written - committed,
        )
        for observe in self.observers:
            try:
                observe(told)
            except Exception:  # whoever only looks ends no worker
                log.exception("a commit could not be told of: metrics, traces or the board may lack it")

    async def close(self) -> None:
        """Let the transaction in hand end, and take no more; one that the cluster does not answer is left open."""
        self.gate.close()
        self.producer.hurry()
        async with self.lock:
            self.producer.close()

    def _accept(self, fetches: Sequence[Fetch], opening: Opening | None) -> Batch:
        """Join the records by partition, in the order they were fetched in."""
        batch: Batch = {}
        for fetch in fetches:
            fetch.opening.waiting -= fetch.weight
            if fetch.opening is not opening:
                self.counters.dropped += fetch.size
                continue
            fetch.opening.taken += 1
            if fetch.number != fetch.opening.taken:
                log.error("a fetch was lost on its way to the engine: reading from the committed offsets again")
                self.gate.close()
                self.on_lost()
                return {}
            for partition, records in fetch.records.items():
                batch.setdefault(partition, []).extend(records)
        return batch

    async def _fill(self, batch: Batch) -> Transaction:
        """Begin a transaction and let the stages fill it. On an exception it is aborted: nothing is committed.

        Between partitions whatever else runs on the loop gets its turn: a batch may take long, and queries wait.
        """
        turn = time.perf_counter()
        assert self.store is not None
        transaction = Transaction(self.producer, self.store.partition, self.dead_letters, self.flood)
        self.producer.begin()
        try:
            for partition, records in self._in_order(batch):
                source = self.sources[partition.topic]
                source.stage.process(partition, records, transaction)
                if source.stateful:
                    transaction.state(partition.number)  # touched, even if every record was a dead letter
                if time.perf_counter() - turn > _TURN_SECONDS:
                    await asyncio.sleep(0)
                    turn = time.perf_counter()
            transaction.write_changelog(self.changelog, self._watermarks_after(batch))
        except BaseException:
            self.producer.hurry()  # the worker ends: the loop is not held up for a broker that does not answer
            self.producer.abort()
            raise
        return transaction

    def _in_order(self, batch: Batch) -> Iterator[tuple[Partition, Sequence[Record]]]:
        """Yield the batch in the order to process it in: each partition's own, and, among stateless sources, by time.

        What waited in several topics while no worker ran is then forwarded about as it was published, and not topic
        by topic. Timestamps are those of the records; within a partition its own order always holds.
        """
        stateless = [records for partition, records in batch.items() if not self.sources[partition.topic].stateful]
        by_time = heapq.merge(*stateless, key=lambda record: record.timestamp)
        for (topic, number), run in itertools.groupby(by_time, key=lambda record: (record.topic, record.partition)):
            yield Partition(topic, number), list(run)
        yield from (
            (partition, records) for partition, records in batch.items() if self.sources[partition.topic].stateful
        )

    def _watermarks_after(self, batch: Batch) -> dict[int, dict[str, int]]:
        """Return the watermarks of the touched table partitions as they will be once the batch is committed."""
        after: dict[int, dict[str, int]] = {}
        for partition, records in batch.items():
            if self.sources[partition.topic].stateful:
                watermark = after.setdefault(partition.number, dict(self.watermarks.get(partition.number, {})))
                watermark[partition.topic] = records[-1].offset + 1
        return after

    def _write(self, transaction: Transaction) -> None:
        """Write the local state of what was committed."""
        for number, changes in transaction.touched.items():
            if changes.offset is None:
                raise RuntimeError(f"committed, but the changelog offset of partition {number} is not known")
            changes.state.write(changes.changed, changes.offset)
            self.watermarks[number] = transaction.watermarks[number]
