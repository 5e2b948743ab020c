"""What a worker asks of the cluster beside its consumer: stable offsets, high watermarks, changelogs from end to end.

Everything here blocks and is called in a thread of its own. A cluster that does not answer is asked again until
the deadline; then `ClusterUnreachable` says so.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from .bounded import Hung, bounded
from .errors import ClusterUnreachable, Superseded
from .records import Partition
from .refusals import refuse, refuse_group

log = logging.getLogger(__name__)
#: What librdkafka says of its connections.
client_log = logging.getLogger(f"{__package__}.librdkafka")

#: Settings for confluent-kafka's clients: bootstrap.servers, security and the like.
KafkaConfig = Mapping[str, str | int | float | bool]

_CALL_SECONDS = 5.0
_MOST_CALLS = 4  # that a reading makes before it gives way to the next try
_CALL_ALLOWANCE_SECONDS = 0.1  # for each partition that is asked for by itself
_PAUSE_SECONDS = 0.2
_OPEN_PAUSE_SECONDS = 0.02
_RESTORE_BATCH = 20_000

#: Asked in short order while a transaction is pending: a partition stands still until it is over.
_STABLE: Mapping[str, str | int] = {
    "isolation.level": "read_committed",
    "retry.backoff.ms": 20,
    "retry.backoff.max.ms": 100,
}

T = TypeVar("T")

#: Asked between calls: whether the answer is still wanted.
ShouldStop = Callable[[], bool]


def never() -> bool:
    """Return False: the answer is wanted in any case."""
    return False


class Cluster:
    """Reads positions and changelogs of one cluster on behalf of one consumer group.

    `deadline` is in seconds: how long a cluster that does not answer is asked again.
    """

    def __init__(self, kafka: KafkaConfig, group: str, deadline: float) -> None:
        self._kafka = dict(kafka)
        self._group = group
        self._deadline = deadline

    @contextmanager
    def _client(self, **options: str | int | bool) -> Iterator[Consumer]:
        client = Consumer(
            {**self._kafka, "group.id": self._group, "enable.auto.commit": False, "logger": client_log, **options}
        )
        try:
            yield client
        finally:
            client.close()

    def _persistently(self, what: str, call: Callable[[], T], should_stop: ShouldStop, calls: int = 1) -> T:
        """Return what `call` returns, calling again while the cluster does not answer or is not settled.

        Raises `Superseded` once `should_stop()` is true, `ClusterUnreachable` after the deadline.
        """
        until = time.monotonic() + self._deadline
        while not should_stop():
            try:
                return bounded(call, _CALL_SECONDS * _MOST_CALLS + _CALL_ALLOWANCE_SECONDS * calls, should_stop)
            except (KafkaException, Hung) as failure:
                hung = KafkaError(KafkaError._TIMED_OUT, "the call hangs")
                error: KafkaError = hung if isinstance(failure, Hung) else failure.args[0]
                refuse(error)
                if time.monotonic() > until:
                    raise ClusterUnreachable(
                        f"no answer from the cluster for {self._deadline:.0f} s: {what}",
                        cause=error.str(),
                        fix="check that the brokers run and can be reached; if they do, one of them may have left a "
                        "transaction hanging: see docs/operations.md",
                    ) from failure
                log.warning("%s: %s; asking again", what, error.str())
            time.sleep(_PAUSE_SECONDS)
        raise Superseded

    def stable_offsets(
        self, partitions: Iterable[Partition], should_stop: ShouldStop = never
    ) -> dict[Partition, int | None]:
        """Return the group's committed offset of each partition, None where nothing was committed.

        Waits until no transaction is pending on them (KIP-447, `require_stable`, which librdkafka asks for when the
        client reads committed data): afterwards no former owner can still commit. A fresh client for each call.
        """
        wanted = [TopicPartition(*partition) for partition in partitions]

        def call() -> list[TopicPartition]:
            with self._client(**_STABLE) as client:
                try:
                    found = client.committed(wanted, timeout=_CALL_SECONDS)
                except KafkaException:
                    refuse_group(client)
                    raise
            for each in found:
                if each.error is not None:
                    raise KafkaException(each.error)
            return found

        if not wanted:
            return {}
        found = self._persistently("waiting for the group's stable offsets", call, should_stop)
        return {Partition(each.topic, each.partition): each.offset if each.offset >= 0 else None for each in found}

    def ends(
        self, partitions: Iterable[Partition], should_stop: ShouldStop = never
    ) -> dict[Partition, tuple[int, int]]:
        """Return first offset and *high watermark* of each partition.

        Read uncommitted on purpose: the last stable offset is held back by a dead worker's open transaction, behind
        records that others have committed since (design section 5).
        """

        def call() -> dict[Partition, tuple[int, int]]:
            with self._client(**{"isolation.level": "read_uncommitted"}) as client:
                return {p: client.get_watermark_offsets(TopicPartition(*p), timeout=_CALL_SECONDS) for p in wanted}

        wanted = list(partitions)
        return self._persistently("asking for the ends of the topics", call, should_stop, len(wanted)) if wanted else {}

    def await_settled(self, partitions: Iterable[Partition], should_stop: ShouldStop = never) -> None:
        """Return once every transaction that is open in these partitions now is over: readers see how each ended.

        Those that begin meanwhile are not waited for. Raises `ClusterUnreachable` after the deadline: one hangs.
        """
        ends = {partition: end for partition, (_, end) in self.ends(partitions, should_stop).items()}

        def call() -> None:
            until = time.monotonic() + _CALL_SECONDS
            with self._client(**{"isolation.level": "read_committed"}) as client:
                # Read committed, the end is the last stable offset: where the first open transaction begins.
                for partition, end in ends.items():
                    topic_partition = TopicPartition(*partition)
                    while (stable := client.get_watermark_offsets(topic_partition, timeout=_CALL_SECONDS)[1]) < end:
                        if time.monotonic() > until:
                            where = f"{partition.topic}[{partition.number}]@{stable}"
                            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"one is open from {where} on"))
                        time.sleep(_OPEN_PAUSE_SECONDS)

        if ends:
            self._persistently("waiting for open transactions to end", call, should_stop, len(ends))

    def read(
        self,
        spans: Mapping[Partition, tuple[int, int]],
        consume: Callable[[Partition, list[Message]], None],
        should_stop: ShouldStop = never,
    ) -> None:
        """Read committed records of each partition from the first to before the last offset of its span.

        `consume` gets them in offset order, in lists of one partition. Waits for transactions that are open within a
        span to end. Raises `Superseded`, with spans unfinished, once `should_stop()` is true.
        """
        left = {partition: end for partition, (start, end) in spans.items() if start < end}
        if not left:
            return
        options: dict[str, str | int | bool] = {
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 50,
            "queued.min.messages": 200_000,
            "fetch.message.max.bytes": 8 << 20,
        }
        with self._client(**options) as client:
            client.assign([TopicPartition(*partition, spans[partition][0]) for partition in left])
            heard = time.monotonic()
            while left:
                if should_stop():
                    raise Superseded
                messages = _without_failures(client.consume(_RESTORE_BATCH, timeout=0.1))
                if messages:
                    heard = time.monotonic()
                elif time.monotonic() - heard > self._deadline:
                    raise ClusterUnreachable(
                        f"no record for {self._deadline:.0f} s, {len(left)} partitions are not read to their end",
                        cause="the brokers do not answer, or a transaction is left open",
                        fix="check the brokers, and the open transactions with kafka-transactions.sh",
                    )
                for partition, found in _by_partition(messages).items():
                    self._take(partition, found, left, consume)

    @staticmethod
    def _take(
        partition: Partition,
        messages: list[Message],
        left: dict[Partition, int],
        consume: Callable[[Partition, list[Message]], None],
    ) -> None:
        end = left.get(partition)
        if end is None:
            return
        records = [each for each in messages if each.error() is None and _offset(each) < end]
        if records:
            consume(partition, records)
        # A partition's end is said with the offset that follows its last record, transaction markers included.
        if _offset(messages[-1]) + (messages[-1].error() is None) >= end:
            del left[partition]


def _without_failures(messages: list[Message]) -> list[Message]:
    """Leave out what is neither a record nor the end of a partition; librdkafka tries again by itself.

    Raises what will not pass: a refusal, or a span whose records are gone.
    """
    kept = []
    for each in messages:
        error = each.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            kept.append(each)
            continue
        refuse(error)
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise KafkaException(error)
        log.warning("reading %s[%s]: %s", each.topic(), each.partition(), error.str())
    return kept


def _offset(message: Message) -> int:
    offset = message.offset()
    return -1 if offset is None else offset


def _by_partition(messages: Iterable[Message]) -> dict[Partition, list[Message]]:
    found: dict[Partition, list[Message]] = {}
    for each in messages:
        topic, number = each.topic(), each.partition()
        if topic is not None and number is not None:
            found.setdefault(Partition(topic, number), []).append(each)
    return found
