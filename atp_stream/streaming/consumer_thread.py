"""The thread of aiokafka's consumer: what it fetches, when it may, and as which member of the group.

What is relied on of Faust's and aiokafka's internals is held by tests/integration/test_faust_internals.py.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

import aiokafka
from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service
from typing_extensions import override

from .activity import Activity, Doing
from .gate import Fetch, Gate
from .header_names import read_any_header_name
from .lag import Lag, lag_of, partition_counts
from .lease import Lease
from .membership import Membership
from .reach import Reach
from .records import Partition

log = logging.getLogger(__name__)

#: How long an idle fetch may wait at the broker. Short, as a fetch that waits keeps new partitions of the same
#: broker waiting too; data that arrives ends the wait at once.
FETCH_WAIT_MS = 500

#: How long to look away while the gate is shut or the engine has enough to do.
PAUSE_SECONDS = 0.005

#: How often to look at what is known of the topics.
_LOOK_SECONDS = 1.0


class RebalanceListener(driver.ConsumerRebalanceListener):
    """Shuts the gate when a rebalance begins; keeps aiokafka from prefetching until the gate opens again."""

    _thread: "ConsumerThread"

    @override
    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> Any:
        self._thread.gate.close()
        return self._handing_over(super().on_partitions_revoked(revoked))

    @override
    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._thread.hold(assigned)
        await self._handing_over(super().on_partitions_assigned(assigned))

    async def _handing_over(self, rest: Awaitable[Any]) -> None:
        with self._thread.activity.doing(Doing.HANDING_OVER):
            await rest


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread in which aiokafka's consumer lives: fetches, heartbeats and the membership of the group.

    Fetches no more while the weight of what waits for the engine is `most_waiting` (back-pressure).
    """

    mundane_level = "debug"

    gate: Gate
    #: The topics that are fetched; changelogs are assigned beside them, and read by the restore.
    sources: frozenset[str]
    most_waiting: int
    activity: Activity
    reach: Reach
    lease: Lease
    #: How far each partition that is read is behind, as of the last look; those that are held back are not in it.
    lag: Mapping[Partition, Lag] = {}  # never changed, only replaced
    #: How many partitions each source topic has, all workers' together, as of the last look.
    counts: Mapping[str, int] = {}
    _is_blind: bool = False

    @override
    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        self._assignor = self.app.assignor
        read_any_header_name()  # for the whole process, which has no other consumer of aiokafka's
        consumer = aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="none",  # a lost offset must never turn into a silent jump
            isolation_level="read_committed",
            max_poll_records=conf.broker_max_poll_records,
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            check_crcs=conf.broker_check_crcs,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            **driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )
        consumer._client.send = self.lease.watched(self.reach.watched(consumer._client.send))
        return consumer

    def membership(self) -> Membership:
        """Return what the coordinator knows this worker as; generation -1 while it is not a member."""
        coordinator = self._ensure_consumer()._coordinator
        return Membership(coordinator.generation, coordinator.member_id)

    @property
    def behind(self) -> int:
        """At least so many records wait at the broker, as of the last look; 0 while there are none."""
        return sum(each.records for each in self.lag.values())

    @property
    def is_under_way(self) -> bool:
        """Whether the thread has been started."""
        return self._thread is not None and self._consumer is not None

    @property
    def is_member(self) -> bool:
        """Whether the group has settled on what this worker has."""
        consumer = self._ensure_consumer()
        if consumer._coordinator is None:
            return False  # it is only just starting
        return self.membership().is_valid and not consumer._subscription.reassignment_in_progress

    @Service.task
    async def _look_around(self) -> None:
        while not self.should_stop:
            await self._look()
            await self.sleep(_LOOK_SECONDS)

    async def _look(self) -> None:
        try:
            consumer = self._ensure_consumer()
            self.lag = lag_of(consumer, self.sources)
            self.counts = partition_counts(consumer._client, self.sources)
            await self.reach.look(consumer._client)
        except Exception:  # whoever only looks ends no worker, nor do old findings: the watchdog acts on them
            self.lag = {}
            self.reach.forget()
            if not self._is_blind:
                self._is_blind = True
                log.exception("the brokers cannot be looked at: health tells less")

    def hold(self, assigned: Iterable[TopicPartition]) -> None:
        """Pause what was just assigned, changelogs included, at a position of no meaning.

        Without a position aiokafka would look for one, and find an error where nothing was committed.
        """
        self.gate.close()
        consumer = self._ensure_consumer()
        for partition in assigned:
            consumer.pause(partition)
            consumer.seek(partition, 0)

    @override
    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: Faust would complain of what the gate holds back, changelogs for ever."""

    @override
    def verify_recovery_event_path(self, now: float, tp: TP) -> None:
        """Do nothing, as above."""

    async def open_gate(self, membership: Membership, offsets: Mapping[Partition, int]) -> bool:
        """Seek to `offsets` and open the gate, unless the group has moved on from `membership`.

        Seeking and opening happen without giving way to another task of this thread, so that no fetch lies between.
        Returns whether the gate is open now.
        """

        async def in_thread() -> bool:
            consumer = self._ensure_consumer()
            rebalancing = consumer._subscription.reassignment_in_progress  # begun, and no word of it in `membership`
            if rebalancing or not membership.is_valid or self.membership() != membership:
                return False
            for partition, offset in offsets.items():
                consumer.seek(TopicPartition(*partition), offset)
                consumer.resume(TopicPartition(*partition))
            self.gate.open(membership)
            return True

        return bool(await self.call_thread(in_thread))

    @override
    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Any:
        _raise_errors(consumer)
        opening = self.gate.opening
        if opening is None or not self.consumer.flow_active or opening.waiting >= self.most_waiting:
            # Neither a long restore nor an engine that has to wait is a reason to leave the group.
            with consumer._fetcher._subscriptions.fetch_context():
                await asyncio.sleep(PAUSE_SECONDS)
            return {}
        sources = {tp for tp in active_partitions if tp.topic in self.sources}
        records = await super()._fetch_records(consumer, sources, timeout, max_records)
        # Between aiokafka's step past these records and this line no other task of the thread ran: if the gate is
        # open now, they follow its seek. If it is not, its next opening seeks back to them.
        opening = self.gate.opening
        if not records or opening is None or opening.membership != self.membership():
            return {}
        opening.fetched += 1
        by_partition = {Partition(tp.topic, tp.partition): found for tp, found in records.items()}
        return Fetch(opening, opening.fetched, by_partition)


def _raise_errors(consumer: aiokafka.AIOKafkaConsumer) -> None:
    """Raise what ended or stopped aiokafka's tasks. It waits there for a reader who asks, and Faust never does."""
    if consumer._closed:
        return
    consumer._coordinator.check_errors()
    if consumer._fetcher.error_future.done():
        consumer._fetcher.error_future.result()
