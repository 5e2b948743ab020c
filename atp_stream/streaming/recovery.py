"""What happens between an assignment and the first fetch, in the order that exactly once rests on (design section 5).

1. The group's offsets are stable: no former owner can still commit. 2. The changelog is restored up to its high
watermark, committed records only. 3. Its watermark record agrees with the group's offset. 4. The consumer seeks
there, and the gate opens. The same is done, under the same membership, when a transaction did not commit.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from confluent_kafka import Message
from faust.tables.manager import TableManager as FaustTableManager
from faust.tables.recovery import Recovery as FaustRecovery
from mode import Service
from typing_extensions import override

from .cluster import Cluster
from .consumer import consumer_of
from .engine import Engine
from .errors import StateMismatch, Superseded
from .origins import Origins
from .progress import Progress
from .records import Partition
from .store import WATERMARK_KEY, StateTable
from .watermark import check_watermark, decode_watermark

log = logging.getLogger(__name__)

T = TypeVar("T")

_OFFSET_TRIES = 5
_OFFSET_PAUSE_SECONDS = 1.0


class Recovery(FaustRecovery):
    """Takes the place of Faust's recovery, which replays record by record and knows nothing of transactions."""

    mundane_level = "debug"
    tables: "TableManager"
    _abandoned = False

    @Service.task
    async def _restart_recovery(self) -> None:
        while not self.should_stop:
            if await self.wait_for_stopped(self.signal_recovery_start):  # type: ignore[arg-type]
                return
            self.signal_recovery_start.clear()
            self._abandoned = False
            try:
                await self._recover(self._generation_id)
            except Superseded:
                log.info("recovery superseded by another rebalance")
            except Exception as failure:
                await self.tables.fail(failure)
                return

    @Service.task
    async def _slurp_changelogs(self) -> None:
        """Do nothing: changelogs are not read through Faust's consumer."""

    @Service.task
    async def _publish_stats(self) -> None:
        """Do nothing: progress is logged by the restore itself."""

    def again(self) -> None:
        """Recover once more under the same membership."""
        self.signal_recovery_start.set()

    def give_way(self) -> None:
        """Abandon the recovery in hand: its partitions are being taken away."""
        self._abandoned = True

    def _is_superseded(self) -> bool:
        return bool(self._abandoned or self.should_stop or self.signal_recovery_start.is_set())

    async def _in_thread(self, call: Callable[..., T], *arguments: Any) -> T:
        running = asyncio.ensure_future(asyncio.to_thread(call, *arguments))
        try:
            result = await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])  # it gives way by itself, and the lock is not free before
            raise
        if self._is_superseded():
            raise Superseded
        return result

    async def _recover(self, generation: int) -> None:
        engine, thread = self.tables.engine, consumer_of(self.app).thread
        began = time.monotonic()
        self._set_recovery_started()
        async with engine.lock:  # after the transaction in hand, whose local write must not come later
            engine.gate.close()
            membership = thread.membership()
            if membership.generation != generation:
                return  # not a member any more: the next assignment comes with its own recovery
            assigned = {Partition(tp.topic, tp.partition) for tp in self.app.consumer.assignment()}
            sources = {partition for partition in assigned if partition.topic in engine.sources}
            numbers = self._table_partitions(assigned)
            if not engine.producer.is_ready:
                await self._in_thread(engine.producer.start, self._is_superseded)
            committed = await self._in_thread(self._settle, sources)
            self.tables.table.store.keep(numbers)
            engine.store = self.tables.table.store
            await self._in_thread(self._restore, numbers)
            engine.watermarks = self._check(numbers, committed)
        await self._resume()
        if await thread.open_gate(membership, committed):
            log.info(
                "ready after %.2f s: %d source partitions, %d table partitions",
                time.monotonic() - began,
                len(sources),
                len(numbers),
            )

    def _table_partitions(self, assigned: set[Partition]) -> set[int]:
        """Return the table partitions of this worker, and see that their sources came along."""
        engine = self.tables.engine
        numbers = {partition.number for partition in assigned if partition.topic == engine.changelog}
        for topic, source in engine.sources.items():
            if source.stateful and {p.number for p in assigned if p.topic == topic} != numbers:
                raise StateMismatch(
                    f"{topic} and {engine.changelog} were not assigned together",
                    cause="they have different partition counts, or workers of different settings share the group",
                    fix="run `atp-stream topics check`, and start all workers of the group with the same settings",
                )
        return numbers

    def _settle(self, sources: set[Partition]) -> dict[Partition, int]:
        """Return the group's offsets once they are stable. A missing one is never replaced by a guess."""
        cluster = self.tables.cluster
        found = cluster.stable_offsets(sources, self._is_superseded)
        if any(offset is None and not self.tables.origins.has(partition) for partition, offset in found.items()):
            self.tables.origins = self.tables.establish()  # partitions were added while the workers ran
            found = cluster.stable_offsets(sources, self._is_superseded)
        for _ in range(_OFFSET_TRIES):  # a coordinator that is only just loading may know of none for a moment
            if None not in found.values():
                break
            time.sleep(_OFFSET_PAUSE_SECONDS)
            found = cluster.stable_offsets(sources, self._is_superseded)
        ends = cluster.ends(sources, self._is_superseded)
        wrong = []
        for partition, offset in sorted(found.items()):
            first, end = ends[partition]
            if offset is None:
                wrong.append(f"{partition.topic}[{partition.number}]: none")
            elif not first <= offset <= end:
                wrong.append(f"{partition.topic}[{partition.number}]: {offset}, the log goes from {first} to {end}")
        if wrong:
            raise StateMismatch(
                "the group's offsets do not lie in the source topics",
                cause="; ".join(wrong),
                fix="offsets expired or were deleted, records were deleted before they were read, or a topic was "
                'recreated: see docs/operations.md, "offsets"',
            )
        return {partition: offset for partition, offset in found.items() if offset is not None}

    def _restore(self, numbers: set[int]) -> None:
        """Bring the local state up to the high watermark of the changelog."""
        cluster, changelog = self.tables.cluster, self.tables.engine.changelog
        states = {Partition(changelog, number): self.tables.table.store.partition(number) for number in numbers}
        ends = cluster.ends(states, self._is_superseded)
        spans = {}
        for partition, state in states.items():
            first, end = ends[partition]
            start = 0 if state.offset is None else state.offset + 1
            if first > start:
                raise StateMismatch(
                    f"the beginning of {changelog}[{partition.number}] is gone",
                    cause=f"it is needed from offset {start} on, and begins at {first}",
                    fix="records were deleted, or its retention was changed; a changelog is compacted only: see "
                    'docs/operations.md, "a fresh start"',
                )
            if state.offset is not None and state.offset >= end:
                raise StateMismatch(
                    f"the local state of {changelog}[{partition.number}] is ahead of its changelog",
                    cause=f"it holds offset {state.offset}, the changelog ends at {end}",
                    fix="records of the changelog were lost (an unclean leader election): see docs/operations.md",
                )
            spans[partition] = (start, end)
        progress = Progress(spans)

        def consume(partition: Partition, messages: list[Message]) -> None:
            last = messages[-1].offset()
            assert last is not None
            states[partition].write(((key(m), m.value()) for m in messages), last)
            progress.count(len(messages))

        cluster.read(spans, consume, self._is_superseded)
        for partition, state in states.items():
            if ends[partition][1] > 0:
                state.write({}, ends[partition][1] - 1)
        progress.end()

    def _check(self, numbers: set[int], committed: Mapping[Partition, int]) -> dict[int, Mapping[str, int]]:
        """Compare watermark records with the group's offsets, and return them."""
        engine = self.tables.engine
        watermarks: dict[int, Mapping[str, int]] = {}
        for number in numbers:
            found = decode_watermark(self.tables.table.store.partition(number).get(WATERMARK_KEY))
            stateful = [topic for topic, source in engine.sources.items() if source.stateful]
            origin = {topic: self.tables.origins.start(topic, number) for topic in stateful}
            check_watermark(number, found, origin, {t: committed[Partition(t, number)] for t in stateful})
            watermarks[number] = found
        return watermarks

    async def _resume(self) -> None:
        """Tell Faust that its part of the rebalance is over."""
        app, consumer = self.app, self.app.consumer
        await app.on_rebalance_complete.send()
        self._set_recovery_ended()
        consumer.resume_partitions({tp for tp in consumer.assignment() if not self._is_changelog_tp(tp)})
        self.completed.set()
        app.flow_control.resume()
        consumer.resume_flow()
        await app._fetcher.maybe_start()  # type: ignore[attr-defined]
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()


class TableManager(FaustTableManager):
    """Faust's table manager with the recovery above, for one table."""

    mundane_level = "debug"
    table: StateTable
    engine: Engine
    cluster: Cluster
    origins: Origins
    #: Gives partitions that have no origin yet one.
    establish: Callable[[], Origins]
    #: Called with what ended the worker.
    fail: Callable[[BaseException], Any]

    @property
    @override
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        assert isinstance(self._recovery, Recovery)
        return self._recovery

    @override
    async def on_start(self) -> None:
        # Faust sleeps a second here, for tables that are declared late; there are none.
        await self._update_channels()
        await self.recovery.start()

    @override
    async def on_stop(self) -> None:
        # In this order: a recovery gives way, the transaction in hand ends and is written, then the store closes.
        self.engine.gate.close()
        await self.recovery.stop()
        await self.engine.close()
        await super().on_stop()


def key(message: Message) -> bytes:
    """Return the key of a changelog record; one without a key is not of our making."""
    found = message.key()
    if not isinstance(found, bytes):
        raise StateMismatch(
            f"a record without a key in the changelog {message.topic()}[{message.partition()}]",
            cause=f"offset {message.offset()}",
            fix="nothing but this application may write to its changelog",
        )
    return found
