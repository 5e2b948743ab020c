"""Faust's Kafka transport, batch-wise: one message per fetch, behind the gate, read_committed, without own commits.

Faust delivers record by record, commits offsets by itself and fetches before it seeks; none of that carries
exactly-once batches (design section 6). What is relied on of its internals is held by
tests/integration/test_faust_internals.py.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, ConsumerMessage
from typing_extensions import override

from .activity import Activity
from .consumer_thread import ConsumerThread, RebalanceListener
from .errors import NotPermitted, StateMismatch
from .gate import Fetch, Gate
from .lease import Lease
from .reach import Reach
from .records import Record

#: Ends the worker with a cause.
Fail = Callable[[BaseException], Awaitable[None]]


class Consumer(driver.Consumer):
    """Delivers each fetch as one Faust message whose value is a `Fetch`."""

    mundane_level = "debug"
    RebalanceListener = RebalanceListener
    _thread: ConsumerThread

    def __init__(
        self,
        *args: Any,
        sources: frozenset[str],
        gate: Gate,
        most_waiting: int,
        fail: Fail,
        activity: Activity,
        topics: Sequence[str],
        **kwargs: Any,
    ) -> None:
        self.sources = sources
        self.gate = gate
        self.activity = activity
        self.topics = topics
        self.most_waiting = most_waiting
        self.fail = fail
        super().__init__(*args, **kwargs)

    @override
    def _new_consumer_thread(self) -> ConsumerThread:
        thread = ConsumerThread(self, loop=self.loop, beacon=self.beacon)
        thread.gate, thread.sources, thread.most_waiting = self.gate, self.sources, self.most_waiting
        thread.activity, thread.reach = self.activity, Reach(self.topics)
        thread.lease = Lease(self.app.conf.broker_session_timeout)
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
        if not fetch.opening.waiting:
            self.activity.move()  # from here on input waits
        fetch.opening.waiting += fetch.weight
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
    """Makes Faust use the consumer above. `topics` are those that have to be there, `sources` among them."""

    def __init__(
        self,
        *args: Any,
        sources: Sequence[str],
        gate: Gate,
        most_waiting: int,
        fail: Fail,
        activity: Activity,
        topics: Sequence[str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._options: dict[str, Any] = {
            "sources": frozenset(sources),
            "gate": gate,
            "most_waiting": most_waiting,
            "fail": fail,
            "activity": activity,
            "topics": tuple(topics),
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
            fix='give its user Read; all that it needs: docs/operations.md, "Permissions"',
        )
    return error
