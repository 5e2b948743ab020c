"""The transactional producer: what each of its answers means, and what is done about it.

The table in docs/guarantees.md lists the answers. Looked at in this order: fatal, requires abort, retriable; an
answer that is none of these is a bug of ours. An unknown outcome is never guessed: either the same call is made
again until it is known, or a new producer with the same transactional id settles it (KIP-98), and recovery reads
from the cluster what was committed.
"""

import logging
import time
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from .bounded import Hung, bounded
from .cluster import KafkaConfig, ShouldStop, client_log, never, refuse
from .errors import ClusterUnreachable, NotPermitted, Superseded
from .membership import NO_MEMBER, Membership, group_metadata

log = logging.getLogger(__name__)

_CALL_SECONDS = 5.0
_GRACE_SECONDS = 2.0
_PAUSE_SECONDS = 0.1
#: A commit that took this long may have lost its connection on the way.
_SLOW_COMMIT_SECONDS = 2.0

Delivered = Callable[[KafkaError | None, Message], None]


class Outcome(Enum):
    """How a transaction ended."""

    COMMITTED = "committed"
    #: Refused or failed, and aborted: nothing of it is visible, nothing of it was committed.
    ABORTED = "aborted"
    #: Not known here: recovery has to ask the cluster.
    UNKNOWN = "unknown"


class TransactionalProducer:
    """One transaction at a time, under one transactional id. Blocks: `start` and `commit` belong in a thread.

    `deadline` is in seconds, and bounds how long an answer of the cluster is waited for in each of them.
    """

    def __init__(
        self, kafka: KafkaConfig, transactional_id: str, group: str, transaction_timeout_ms: int, deadline: float
    ) -> None:
        self._config = {
            "linger.ms": 5,
            "batch.size": 1 << 20,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 1 << 20,
            "message.max.bytes": 2_000_000,  # a dead letter with all its headers; the topic allows for as much
            "compression.type": "lz4",
            **kafka,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": transaction_timeout_ms,
            "partitioner": "murmur2_random",  # Java's, which consumers of the topics expect
            "logger": client_log,
        }
        self._group = group
        self._deadline = deadline
        self._producer: Producer | None = None
        self._failure: KafkaError | None = None
        self._hurried = False

    @property
    def is_ready(self) -> bool:
        """Whether a transaction can begin; if not, `start` has to be called."""
        return self._producer is not None

    def start(self, should_stop: ShouldStop = never) -> None:
        """Build a new producer and let it settle what an earlier one under the same id left open.

        Raises `ClusterUnreachable` after the deadline, `NotPermitted` if the cluster refuses, `Superseded` once
        `should_stop()` is true.
        """
        self._discard()
        producer = Producer(self._config)
        until = time.monotonic() + self._deadline
        while not should_stop():
            error = _outcome(partial(producer.init_transactions, _CALL_SECONDS))
            if error is None:
                self._producer = producer
                return
            _refuse(error)
            if time.monotonic() > until:
                raise ClusterUnreachable(
                    f"the transaction coordinator did not answer for {self._deadline:.0f} s",
                    cause=error.str(),
                    fix="check that the brokers run and can be reached, then start the worker again",
                )
            log.warning("starting the transactional producer: %s; asking again", error.str())
            if error.fatal() or not error.retriable():
                producer = Producer(self._config)
            time.sleep(_PAUSE_SECONDS)
        raise Superseded

    def begin(self) -> None:
        """Begin a transaction."""
        self._failure = None
        try:
            self._ready().begin_transaction()
        except KafkaException as failure:
            self._failure = failure.args[0]  # fenced meanwhile: commit will say how it ends

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
        while True:
            try:
                if on_delivery is None:  # a callback for every record costs more than the record
                    producer.produce(topic, value, key, partition, headers=headers)  # type: ignore[arg-type]
                else:
                    producer.produce(topic, value, key, partition, on_delivery=on_delivery, headers=headers)  # type: ignore[arg-type]
                return
            except BufferError:
                producer.poll(0.05)
            except KafkaException as failure:
                # The producer has failed already: the transaction is lost, and commit will say how.
                self._failure = error = failure.args[0]
                if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    raise ValueError(f"a record of {len(value or b'')} bytes is too large for {topic}") from failure
                return

    def commit(self, offsets: Sequence[TopicPartition], membership: Membership) -> Outcome:
        """Commit the transaction together with the source `offsets`, under the `membership` they were read under.

        `NO_MEMBER` is for a group's first offsets alone, which nobody has read under any.

        Returns how it ended; after UNKNOWN, and sometimes after COMMITTED, `is_ready` is false.
        Raises `NotPermitted` if the cluster refuses for good.
        """
        if membership is not NO_MEMBER and not membership.is_valid:
            raise ValueError(f"{membership} would not be checked by the broker")
        metadata = group_metadata(self._group, membership)
        if self._failure is not None:
            log.warning("producing: %s", self._failure.str())
            _refuse(self._failure)
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
        self.serve_deliveries()
        if time.monotonic() - began > _SLOW_COMMIT_SECONDS:
            # librdkafka may still send the old EndTxn again, into the next transaction (KAFKA-17754).
            log.warning("a commit took %.1f s: going on with a new producer", time.monotonic() - began)
            self._discard()
        return Outcome.COMMITTED

    def hurry(self) -> None:
        """Make no call a second time from here on: the worker ends, and the next start settles what is open."""
        self._hurried = True

    def serve_deliveries(self) -> None:
        """Call the delivery callbacks of what was committed. They are all there: a commit waits for them."""
        if self._producer is not None:
            self._producer.poll(0)

    def abort(self) -> None:
        """Abort the transaction; if that does not succeed, a new producer will."""
        until = time.monotonic() + self._deadline
        failed = self._call("aborting", until, lambda p: p.abort_transaction(_CALL_SECONDS))
        if failed is not None:
            log.warning("aborting: %s: going on with a new producer", failed.str())
            self._discard()

    def close(self) -> None:
        """Give up the producer. An open transaction is left to the next start or to its time-out."""
        self._discard()

    def _call(self, what: str, until: float, call: Callable[[Producer], object]) -> KafkaError | None:
        """Make a call of the transaction, again while it is retriable. Returns how it failed, if it did."""
        while True:
            error = _outcome(partial(call, self._ready()))
            if error is None:
                return None
            is_final = error.fatal() or error.txn_requires_abort() or not error.retriable()
            if is_final or self._hurried or time.monotonic() > until:
                return error
            log.warning("%s: %s; making the same call again", what, error.str())
            time.sleep(_PAUSE_SECONDS)

    def _settle(self, error: KafkaError, what: str) -> Outcome:
        """Bring a failed transaction to an end, without guessing how it ended."""
        log.warning("%s: %s", what, error.str())
        _refuse(error)
        if error.fatal() or error.txn_requires_abort():
            return self._abandon(error)
        if error.retriable():  # and the deadline has passed
            self._discard()
            return Outcome.UNKNOWN
        raise RuntimeError(f"{what}: {error.str()}: calls of the transactional producer in the wrong order")

    def _abandon(self, error: KafkaError) -> Outcome:
        """End a transaction that cannot be committed any more; a fatal error leaves its outcome to a new producer."""
        if error.fatal():
            self._discard()
            return Outcome.UNKNOWN
        self.abort()
        return Outcome.ABORTED

    def _ready(self) -> Producer:
        if self._producer is None:
            raise RuntimeError("the transactional producer was not started")
        return self._producer

    def _discard(self) -> None:
        self._producer = None


def _outcome(call: Callable[[], object]) -> KafkaError | None:
    """Make a call that takes at most `_CALL_SECONDS` by itself, and return how it failed, if it did.

    One that hangs counts as fatal: its producer is of no use any more, and a new one settles what it left.
    """
    try:
        bounded(call, _CALL_SECONDS + _GRACE_SECONDS)
    except KafkaException as failure:
        error: KafkaError = failure.args[0]
        return error
    except Hung:
        return KafkaError(KafkaError._TIMED_OUT, "the call hangs, its producer is given up", fatal=True)
    return None


def _refuse(error: KafkaError) -> None:
    refuse(error)
    if error.code() == KafkaError.INVALID_TRANSACTION_TIMEOUT:
        raise NotPermitted(
            "the broker refuses the transaction timeout",
            cause=error.str(),
            fix="raise transaction.max.timeout.ms of the brokers to 5000 or more",
        )
