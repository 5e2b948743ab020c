"""What happens between an assignment and the first fetch, in the order that exactly once rests on (design section 5).

1. The group's offsets are stable: no former owner can still commit. 2. The changelog is restored up to its high
watermark, committed records only. 3. Its watermark record agrees with the group's offset. 4. The consumer seeks
there, and the gate opens. The same is done, under the same membership, when a transaction did not commit.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from faust.tables.manager import TableManager as FaustTableManager
from faust.tables.recovery import Recovery as FaustRecovery
from mode import Service
from typing_extensions import override

from .activity import Doing
from .consumer import consumer_of
from .engine import Engine
from .errors import StateMismatch, Superseded
from .records import Partition
from .restoration import Restoration
from .store import StateTable

log = logging.getLogger(__name__)

T = TypeVar("T")


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
                with self.tables.engine.activity.doing(Doing.RECOVERING):
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

    async def _in_thread(self, step: Doing, call: Callable[..., T], *arguments: Any) -> T:
        with self.tables.engine.activity.doing(step):
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
        restoration, store = self.tables.restoration, self.tables.table.store
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
                await self._in_thread(Doing.STARTING_PRODUCER, engine.producer.start, self._is_superseded)
            committed = await self._in_thread(Doing.SETTLING, restoration.settle, sources, self._is_superseded)
            store.keep(numbers)
            engine.store = store
            await self._in_thread(Doing.RESTORING, restoration.restore, store, numbers, self._is_superseded)
            engine.watermarks = restoration.check(store, numbers, committed)
        await self._resume()
        if await thread.open_gate(membership, committed):
            engine.activity.readied += 1
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
    restoration: Restoration
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
