"""A worker of the streaming package inside the test's own event loop, counting records: what happens in it can be seen.

Whole worker processes are the matter of `tests/pipeline`.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atp_stream.streaming.cluster import Cluster
from atp_stream.streaming.consumer import Consumer, consumer_of
from atp_stream.streaming.engine import Source
from atp_stream.streaming.records import Partition, Record
from atp_stream.streaming.recovery import TableManager
from atp_stream.streaming.transaction import Transaction
from atp_stream.streaming.worker import Options, Worker
from tests.cluster import create_topic, produce

_LIMIT_SECONDS = 60.0
_POLL_SECONDS = 0.02
PARTITIONS = 2


@dataclass
class Count:
    """Counts the records of each partition, in the state and for the test."""

    seen: list[tuple[int, int]] = field(default_factory=list)

    async def prepare(self, records: Sequence[Record]) -> None: ...

    def process(self, partition: Partition, records: Sequence[Record], transaction: Transaction) -> None:
        state = transaction.state(partition.number)
        for record in records:
            self.seen.append((record.partition, record.offset))
            state.put(b"count", b"%d" % (int(state.get(b"count") or 0) + 1))


@dataclass
class Running:
    """A worker and its parts, Faust's included."""

    worker: Worker
    stage: Count

    @property
    def app(self) -> Any:
        return self.worker.app

    @property
    def consumer(self) -> Consumer:
        return consumer_of(self.worker.app)

    @property
    def aiokafka(self) -> Any:
        """The consumer of aiokafka."""
        return self.consumer.thread._ensure_consumer()

    @property
    def tables(self) -> TableManager:
        tables = self.worker.app.tables
        assert isinstance(tables, TableManager)
        return tables

    @property
    def is_open(self) -> bool:
        return self.worker.engine.gate.opening is not None

    def counted(self) -> int:
        """What the local state says, of all partitions of this worker."""
        states = self.worker.table.store.partitions.values()
        return sum(int(state.get(b"count") or 0) for state in states)


@dataclass
class Group:
    """Topics of a group of workers, and what starts them."""

    servers: str
    name: str
    directory: Path
    stack: AsyncExitStack
    workers: int = 0

    @property
    def source(self) -> str:
        return f"{self.name}-source"

    @property
    def cluster(self) -> Cluster:
        return Cluster({"bootstrap.servers": self.servers}, self.name, _LIMIT_SECONDS)

    @property
    def partitions(self) -> list[Partition]:
        return [Partition(self.source, number) for number in range(PARTITIONS)]

    def create_topics(self) -> None:
        for topic, partitions in (
            (self.source, PARTITIONS),
            (f"{self.name}-state-changelog", PARTITIONS),
            (f"{self.name}-dead-letters", 1),
            (f"{self.name}-origins", 1),
        ):
            create_topic(self.servers, topic, partitions)

    def produce(self, count: int) -> None:
        produce(self.servers, self.source, [b"x"] * count)

    async def start(self, most_records: int = 20_000) -> Running:
        """Start a worker; it stops with the test, if it does not before."""
        running = self.make(most_records)
        await running.app.start()
        return running

    def make(self, most_records: int = 20_000) -> Running:
        """Make a worker, which is to be started."""
        self.workers += 1
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = Options(
            group=self.name,
            kafka={"bootstrap.servers": self.servers},
            credentials=None,
            data_dir=self.directory / f"worker-{self.workers}",
            table="state",
            partitions=PARTITIONS,
            dead_letters=f"{self.name}-dead-letters",
            origins=f"{self.name}-origins",
            web_port=port,
            most_records=most_records,
        )
        stage = Count()
        worker = Worker(options, {self.source: Source(stage, stateful=True)}, asyncio.get_running_loop())
        self.stack.push_async_callback(worker.app.stop)
        return Running(worker, stage)


@asynccontextmanager
async def group_of(servers: str, name: str, directory: Path) -> AsyncIterator[Group]:
    """A group with its topics; its workers stop at the end."""
    async with AsyncExitStack() as stack:
        group = Group(servers, name, directory, stack)
        await asyncio.to_thread(group.create_topics)
        yield group


async def eventually(what: str, probe: Callable[[], Any]) -> Any:
    """Return what `probe` returns as soon as that is true, while the loop's other tasks go on."""
    try:
        async with asyncio.timeout(_LIMIT_SECONDS):
            while not (found := probe()):  # noqa: ASYNC110 - what is waited for does not say so by itself
                await asyncio.sleep(_POLL_SECONDS)
            return found
    except TimeoutError:
        raise AssertionError(f"still not: {what}; last seen: {found!r}") from None
