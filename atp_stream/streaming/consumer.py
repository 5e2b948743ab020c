"""Faust's Kafka transport, batch-wise: one message per fetch, behind the gate, read_committed, without own commits.

Faust delivers record by record, commits offsets by itself and fetches before it seeks; none of that carries
exactly-once batches (design section 6). What is relied on of its internals is held by
tests/integration/test_faust_internals.py.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import aiokafka
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, ConsumerMessage
from typing_extensions import override

from .errors import NotPermitted, StateMismatch
from .gate import Fetch, Gate
from .membership import Membership
from .records import Partition, Record

#: How long an idle fetch may wait at the broker. Short, as a fetch that waits keeps new partitions of the same
#: broker waiting too; data that arrives ends the wait at once.
FETCH_WAIT_MS = 500

#: How long to look away while the gate is shut or the engine has enough to do.
PAUSE_SECONDS = 0.005


#: Ends the worker with a cause.
Fail = Callable[[BaseException], Awaitable[None]]


class RebalanceListener(driver.ConsumerRebalanceListener):
    """Shuts the gate when a rebalance begins; keeps aiokafka from prefetching until the gate opens again."""

    _thread: "ConsumerThread"

    @override
    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> Any:
        self._thread.gate.close()
        return super().on_partitions_revoked(revoked)

    @override
    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._thread.hold(assigned)
        await super().on_partitions_assigned(assigned)


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread in which aiokafka's consumer lives: fetches, heartbeats and the membership of the group."""

    mundane_level = "debug"

    consumer: "Consumer"
    gate: Gate

    @override
    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        self._assignor = self.app.assignor
        return aiokafka.AIOKafkaConsumer(
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

    def membership(self) -> Membership:
        """Return what the coordinator knows this worker as; generation -1 while it is not a member."""
        coordinator = self._ensure_consumer()._coordinator
        return Membership(coordinator.generation, coordinator.member_id)

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
        if opening is None or not self.consumer.flow_active or opening.waiting >= self.consumer.most_waiting:
            # Neither a long restore nor an engine that has to wait is a reason to leave the group.
            with consumer._fetcher._subscriptions.fetch_context():
                await asyncio.sleep(PAUSE_SECONDS)
            return {}
        sources = {tp for tp in active_partitions if tp.topic in self.consumer.sources}
        records = await super()._fetch_records(consumer, sources, timeout, max_records)
        # Between aiokafka's step past these records and this line no other task of the thread ran: if the gate is
        # open now, they follow its seek. If it is not, its next opening seeks back to them.
        opening = self.gate.opening
        if not records or opening is None or opening.membership != self.membership():
            return {}
        opening.fetched += 1
        by_partition = {Partition(tp.topic, tp.partition): found for tp, found in records.items()}
        return Fetch(opening, opening.fetched, by_partition)


class Consumer(driver.Consumer):
    """Delivers each fetch as one Faust message whose value is a `Fetch`.

    Fetches no more while `most_waiting` records wait for the engine (back-pressure).
    """

    mundane_level = "debug"
    RebalanceListener = RebalanceListener
    _thread: ConsumerThread

    def __init__(
        self, *args: Any, sources: frozenset[str], gate: Gate, most_waiting: int, fail: Fail, **kwargs: Any
    ) -> None:
        self.sources = sources
        self.gate = gate
        self.most_waiting = most_waiting
        self.fail = fail
        super().__init__(*args, **kwargs)

    @override
    def _new_consumer_thread(self) -> ConsumerThread:
        thread = ConsumerThread(self, loop=self.loop, beacon=self.beacon)
        thread.gate = self.gate
        return thread

    @property
    def thread(self) -> ConsumerThread:
        """The thread of aiokafka's consumer."""
        return self._thread

    @override
    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Do nothing: offsets go into the transactions, and a commit beside them could put an older one back."""
        return True

    @override
    async def perform_seek(self) -> None:
        """Do nothing: only the gate seeks."""

    @override
    def close(self) -> None:
        """Do nothing: Faust calls it for a rebalance during a stop, in another thread, and then leaves no group."""

    @override
    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        # Asked even without partitions and in a rebalance: a worker that does not poll is put out of the group.
        try:
            fetch: Any = await self._getmany(self._get_active_partitions(), timeout)
        except KafkaError as error:
            await self.fail(_explained(error))
            return
        if not isinstance(fetch, Fetch) or self.should_stop:
            return
        fetch.opening.waiting += fetch.size
        last: Record = next(iter(fetch.records.values()))[-1]
        tp = TP(last.topic, last.partition)
        self._read_offset[tp] = None  # Faust would take a step back, after a new opening, for a repetition
        yield (
            tp,
            ConsumerMessage(
                tp.topic,
                tp.partition,
                last.offset,
                last.timestamp / 1000.0,
                0,
                None,
                None,
                fetch,  # type: ignore[arg-type]
                None,
                None,
                None,
                tp,
                generation_id=self.app.consumer_generation_id,
            ),
        )


class Transport(driver.Transport):
    """Makes Faust use the consumer above."""

    def __init__(
        self, *args: Any, sources: Sequence[str], gate: Gate, most_waiting: int, fail: Fail, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._options: dict[str, Any] = {
            "sources": frozenset(sources),
            "gate": gate,
            "most_waiting": most_waiting,
            "fail": fail,
        }

    @override
    def create_consumer(self, callback: Any, **kwargs: Any) -> Consumer:
        return Consumer(self, callback=callback, loop=self.loop, **self._options, **kwargs)


def consumer_of(app: AppT) -> Consumer:
    """Return the app's consumer, which must be the one above."""
    consumer = app.consumer
    if not isinstance(consumer, Consumer):
        raise TypeError(f"the app was built without the batch transport: {type(consumer)}")
    return consumer


def _raise_errors(consumer: aiokafka.AIOKafkaConsumer) -> None:
    """Raise what ended or stopped aiokafka's tasks. It waits there for a reader who asks, and Faust never does."""
    if consumer._closed:
        return
    consumer._coordinator.check_errors()
    if consumer._fetcher.error_future.done():
        consumer._fetcher.error_future.result()


def _explained(error: Exception) -> Exception:
    """Return what a failed fetch means. What passes by itself, aiokafka has retried before it comes here."""
    if isinstance(error, OffsetOutOfRangeError):
        return StateMismatch(
            "a source topic no longer holds the records that are to be read next",
            cause=str(error),
            fix="its retention is shorter than this application was behind, or it was recreated: see "
            'docs/operations.md, "offsets"',
        )
    if isinstance(error, (TopicAuthorizationFailedError, GroupAuthorizationFailedError)):
        return NotPermitted(
            "the cluster refuses what the worker has to read",
            cause=str(error),
            fix="grant the worker's user the permissions listed in docs/operations.md",
        )
    return error
