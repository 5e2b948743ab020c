"""The transactional producer: what each of its answers means, and what is done about it.

The table in docs/guarantees.md lists the answers. Looked at in this order: fatal, requires abort, retriable; an
answer that is none of these is a bug of ours. An unknown outcome is never guessed: either the same call is made
again until it is known, or a new producer with the same transactional id settles it (KIP-98), and recovery reads
from the cluster what was committed.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from .answers import ConnectionWatch, failure_of, refuse_for_good
from .cluster import KafkaConfig, ShouldStop, client_log, never
from .errors import ClusterUnreachable, Superseded
from .membership import NO_MEMBER, Membership, group_metadata
from .transactional_ids import TransactionalIds

log = logging.getLogger(__name__)

_CALL_SECONDS = 5.0
_GRACE_SECONDS = 2.0
_PAUSE_SECONDS = 0.1
#: A commit or an abort that took this long was perhaps sent more than once.
_SLOW_SECONDS = 2.0

#: The group has moved on: nothing is wrong with the producer.
_OWNERSHIP_LOST = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
    }
)

Delivered = Callable[[KafkaError | None, Message], None]


class Outcome(Enum):
    """How a transaction ended."""

    COMMITTED = "committed"
    #: Refused or failed, and aborted: nothing of it is visible, nothing of it was committed.
    ABORTED = "aborted"
    #: Not known here: recovery has to ask the cluster.
    UNKNOWN = "unknown"


class TransactionalProducer:
    """One transaction at a time, under the `ids` in turn. Blocks: `start` and `commit` belong in a thread.

    `deadline` is in seconds, and bounds how long an answer of the cluster is waited for in each of them.
    """

    def __init__(
        self, kafka: KafkaConfig, ids: TransactionalIds, group: str, transaction_timeout_ms: int, deadline: float
    ) -> None:
        self._config = {
            "linger.ms": 5,
            "batch.size": 1 << 20,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 1 << 20,
            "message.max.bytes": 2_000_000,  # a dead letter with all its headers; the topic allows for as much
            "compression.type": "lz4",
            **kafka,
            "transaction.timeout.ms": transaction_timeout_ms,
            "partitioner": "murmur2_random",  # Java's, which consumers of the topics expect
            "log.connection.close": True,  # heard by the watch, whatever of it is shown
            "log_level": 6,
        }
        self._ids = ids
        self._group = group
        self._deadline = deadline
        self._producer: Producer | None = None
        self._watch = ConnectionWatch(client_log)
        self._failure: KafkaError | None = None
        self._hurried = False
        self._diagnosing = False
        self._undelivered: KafkaError | None = None

    @property
    def is_ready(self) -> bool:
        """Whether a transaction can begin; if not, `start` has to be called."""
        return self._producer is not None

    def start(self, should_stop: ShouldStop = never) -> None:
        """Settle what an earlier producer left open, and build a new one.

        Raises `ClusterUnreachable` after the deadline, `NotPermitted` if the cluster refuses, `Superseded` once
        `should_stop()` is true, `OSError` where the ids are kept in a file.
        """
        self._discard()
        until = time.monotonic() + self._deadline
        last = self._ids.last()
        if last is not None:
            self._settled(last, until, should_stop)
        self._producer = self._settled(self._ids.next(), until, should_stop)

    def _settled(self, transactional_id: str, until: float, should_stop: ShouldStop) -> Producer:
        """Return a new producer under the id, when nothing is open under it any more."""
        producer = self._build(transactional_id)
        while not should_stop():
            error = failure_of(partial(producer.init_transactions, _CALL_SECONDS), _CALL_SECONDS + _GRACE_SECONDS)
            if error is None:
                return producer
            refuse_for_good(error)
            if time.monotonic() > until:
                raise ClusterUnreachable(
                    f"the transaction coordinator did not answer for {self._deadline:.0f} s",
                    cause=error.str(),
                    fix="check that the brokers run and can be reached, then start the worker again",
                )
            log.warning("starting the transactional producer: %s; asking again", error.str())
            if error.fatal() or not error.retriable():
                producer = self._build(transactional_id)
            time.sleep(_PAUSE_SECONDS)
        raise Superseded

    def begin(self) -> None:
        """Begin a transaction. Raises `RuntimeError` while one is open: a bug of ours."""
        self._failure = self._undelivered = None
        try:
            self._ready().begin_transaction()
        except KafkaException as failure:
            self._failure = error = failure.args[0]  # fenced meanwhile: commit will say how it ends
            if not error.fatal():
                raise RuntimeError(f"beginning: {error.str()}") from failure

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes | None]] | None = None,
        partition: int = -1,
        on_delivery: Delivered | None = None,
    ) -> None:
        """Add a record to the transaction; partition -1 is the key's (Java's murmur2).

        Never fails for want of room. A record that cannot be delivered makes `commit` return ABORTED.
        """
        producer = self._ready()
        if on_delivery is not None or self._diagnosing:  # a callback for every record costs more than the record
            options = {"on_delivery": partial(self._delivered, on_delivery)}
        else:
            options = {}
        while True:
            try:
                producer.produce(topic, value, key, partition, headers=headers, **options)  # type: ignore[arg-type]
                return
            except BufferError:
                self._poll(0.05)
            except KafkaException as failure:
                # The producer has failed already: the transaction is lost, and commit will say how.
                self._failure = error = failure.args[0]
                if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    raise ValueError(f"a record of {len(value or b'')} bytes is too large for {topic}") from failure
                return

    def _delivered(self, on_delivery: Delivered | None, error: KafkaError | None, message: Message) -> None:
        """Take a delivery report. Never raises: librdkafka would put that in place of a call's own answer."""
        if error is not None:
            self._undelivered = error
            log.warning("a record for %s was not delivered: %s", message.topic(), error.str())
        try:
            if on_delivery is not None:
                on_delivery(error, message)
        except Exception:
            log.exception("the callback for a record of %s failed", message.topic())

    def commit(self, offsets: Sequence[TopicPartition], membership: Membership) -> Outcome:
        """Commit the transaction together with the source `offsets`, under the `membership` they were read under.

        `NO_MEMBER` is for a group's first offsets, which nobody has read under any, and for no offsets at all.

        Returns how it ended; after UNKNOWN, and sometimes after the others, `is_ready` is false.
        Raises `NotPermitted` if the cluster refuses for good, `RuntimeError` where only a bug of ours can be the cause.
        """
        if membership is not NO_MEMBER and not membership.is_valid:
            raise ValueError(f"{membership} would not be checked by the broker")
        metadata = group_metadata(self._group, membership)
        if self._failure is not None:
            log.warning("producing: %s", self._failure.str())
            refuse_for_good(self._failure)
            return self._abandon(self._failure)
        until = time.monotonic() + self._deadline
        failed = self._call(
            "sending offsets", until, lambda p: p.send_offsets_to_transaction(list(offsets), metadata, _CALL_SECONDS)
        )
        if failed is not None:
            return self._settle(failed, "sending offsets")
        began = time.monotonic()
        failed = self._call("committing", until, lambda p: p.commit_transaction(_CALL_SECONDS))
        if failed is not None:
            return self._settle(failed, "committing")
        self._diagnosing = False
        self._end(began)
        return Outcome.COMMITTED

    def hurry(self) -> None:
        """Make no call a second time from here on: the worker ends, and the next start settles what is open."""
        self._hurried = True

    def abort(self) -> bool:
        """Abort the transaction. Returns whether that is certain: if not, a new producer will find out."""
        began = time.monotonic()
        failed = self._call("aborting", began + self._deadline, lambda p: p.abort_transaction(_CALL_SECONDS))
        if failed is not None:
            log.warning("aborting: %s: going on with a new producer", failed.str())
            self._discard()
            return False
        self._end(began)
        return True

    def close(self) -> None:
        """Give up the producer. An open transaction is left to the next start or to its time-out."""
        self._discard()

    def _call(self, what: str, until: float, call: Callable[[Producer], object]) -> KafkaError | None:
        """Make a call of the transaction, again while it is retriable. Returns how it failed, if it did."""
        while True:
            error = failure_of(partial(call, self._ready()), _CALL_SECONDS + _GRACE_SECONDS)
            if error is None:
                return None
            is_final = error.fatal() or error.txn_requires_abort() or not error.retriable()
            if is_final or self._hurried or time.monotonic() > until:
                return error
            log.warning("%s: %s; making the same call again", what, error.str())
            time.sleep(_PAUSE_SECONDS)

    def _end(self, began: float) -> None:
        """Serve what is left of a transaction that is over, and see whether its producer may go on.

        librdkafka may have sent a request twice, the first of which a broker may still get, in the next transaction
        (KAFKA-17754). A new producer has a new epoch, under which a late request is refused.
        """
        self._poll(0)
        seconds = time.monotonic() - began
        if self._watch.lost or seconds > _SLOW_SECONDS:
            why = "a connection was lost" if self._watch.lost else f"a transaction took {seconds:.1f} s to end"
            log.warning("%s: going on with a new producer", why)
            self._discard()

    def _poll(self, seconds: float) -> None:
        """Serve delivery reports and messages. A fatal error comes up here, too: it is the next call's answer."""
        with suppress(KafkaException):
            self._ready().poll(seconds)

    def _settle(self, error: KafkaError, what: str) -> Outcome:
        """Bring a failed transaction to an end, without guessing how it ended."""
        log.warning("%s: %s", what, error.str())
        refuse_for_good(error)
        if error.fatal() or error.txn_requires_abort():
            return self._abandon(error)
        if error.retriable():  # and the deadline has passed
            self._discard()
            return Outcome.UNKNOWN
        raise RuntimeError(f"{what}: {error.str()}: calls of the transactional producer in the wrong order")

    def _abandon(self, error: KafkaError) -> Outcome:
        """End a transaction that cannot be committed any more; a fatal error leaves its outcome to a new producer.

        An abort that succeeds shows that nothing was committed: the broker refuses it after a commit.
        """
        if error.fatal():
            self._discard()
            return Outcome.UNKNOWN
        is_aborted = self.abort()
        if error.code() not in _OWNERSHIP_LOST:
            # After an undelivered record librdkafka may skip sequence numbers, and lose the next transaction for it.
            self._discard()
            self._diagnosing = True  # the next transaction says which record it was, and why
        if self._undelivered is not None:
            refuse_for_good(self._undelivered)
        return Outcome.ABORTED if is_aborted else Outcome.UNKNOWN

    def _ready(self) -> Producer:
        if self._producer is None:
            raise RuntimeError("the transactional producer was not started")
        return self._producer

    def _build(self, transactional_id: str) -> Producer:
        self._watch = ConnectionWatch(client_log)
        return Producer({**self._config, "transactional.id": transactional_id, "logger": self._watch})

    def _discard(self) -> None:
        self._producer = None
