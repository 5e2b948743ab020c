"""Reading spans of topics from end to end, committed records only, with little memory."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from atp_stream.admin.kafka import kafka_error
from atp_stream.errors import UnavailableError
from atp_stream.streaming.cluster import KafkaConfig, client_log
from atp_stream.streaming.records import Partition

_BATCH: Final = 2_000
_POLL_SECONDS: Final = 0.05
_TELL_SECONDS: Final = 2.0
_CALL_SECONDS: Final = 10.0

Spans = Mapping[Partition, tuple[int, int]]
"""First offset, and the one before which reading ends."""


class Progress(Protocol):
    """Is told how far the work is."""

    def phase(self, name: str, total: int) -> None:
        """Begin a phase of so many steps; the one before is over."""

    def advance(self, steps: int) -> None:
        """Add steps done in this phase."""

    def note(self, text: str) -> None:
        """Tell the person something."""


class TopicReader:
    """Reads spans. `patience` is in seconds: how long a partition that does not go on is waited for."""

    def __init__(self, kafka: KafkaConfig, group: str, patience: float, progress: Progress) -> None:
        # Needed by the client, and never joined: partitions are assigned, offsets are not committed.
        self._config: Final[dict[str, Any]] = {
            **kafka,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",  # what expires while it is read is found out by the ends, afterwards
            "fetch.wait.max.ms": 50,
            "queued.min.messages": 10_000,
            "queued.max.messages.kbytes": 8 << 10,
            "fetch.message.max.bytes": 512 << 10,
            "logger": client_log,
        }
        self._patience: Final = patience
        self._progress: Final = progress
        self.counts: Final[dict[str, int]] = {}
        """Records read, by topic."""

    def stable_ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return where the committed records of each partition end: before the first open transaction."""
        client = Consumer(self._config)
        try:
            return {p: client.get_watermark_offsets(TopicPartition(*p), timeout=_CALL_SECONDS)[1] for p in partitions}
        except KafkaException as error:
            raise kafka_error(error, "the ends of the changelog cannot be found") from None
        finally:
            client.close()

    def read(self, spans: Spans, take: Callable[[Partition, list[Message]], None]) -> None:
        """Give `take` the records of each span, in offset order, in lists of one partition.

        A transaction that is open within a span is waited for. UnavailableError: it does not end, or no broker answers.
        """
        left = {partition: end for partition, (start, end) in spans.items() if start < end}
        position = {partition: spans[partition][0] for partition in left}
        if not left:
            return
        client = Consumer(self._config)
        try:
            client.assign([TopicPartition(*partition, start) for partition, start in position.items()])
            moved, told = time.monotonic(), False
            while left:
                before = sum(position.values())
                for partition, messages in _by_partition(client.consume(_BATCH, _POLL_SECONDS)).items():
                    if partition in left:
                        self._take(partition, messages, left[partition], position, take)
                        if position[partition] >= left[partition]:
                            del left[partition]
                            client.incremental_unassign([TopicPartition(*partition)])
                now = time.monotonic()
                if sum(position.values()) > before:
                    moved, told = now, False
                elif now - moved > self._patience:
                    raise self._stuck(left, position)
                elif now - moved > _TELL_SECONDS and not told:
                    told = True
                    self._progress.note(f"waiting for open transactions to end: {_where(left, position)}")
        finally:
            client.close()

    def _take(
        self,
        partition: Partition,
        messages: list[Message],
        end: int,
        position: dict[Partition, int],
        take: Callable[[Partition, list[Message]], None],
    ) -> None:
        records = [each for each in messages if each.error() is None and offset_of(each) < end]
        if records:
            self.counts[partition.topic] = self.counts.get(partition.topic, 0) + len(records)
            take(partition, records)
        # A partition's end is said with the offset that follows its last record, transaction markers included.
        reached = min(end, offset_of(messages[-1]) + (messages[-1].error() is None))
        if reached > position[partition]:
            self._progress.advance(reached - position[partition])
            position[partition] = reached

    def _stuck(self, left: Mapping[Partition, int], position: Mapping[Partition, int]) -> UnavailableError:
        return UnavailableError(
            f"no record for {self._patience:.0f} s, and {len(left)} partitions are not read to their ends",
            cause=f"a transaction is left open, or the brokers do not answer: {_where(left, position)}",
            fix='check the brokers; for a transaction that hangs see docs/operations.md, "a hanging transaction"',
        )


def offset_of(message: Message) -> int:
    """Return the offset of a message; of the news of a partition's end that end."""
    offset = message.offset()
    return -1 if offset is None else offset


def _by_partition(messages: Iterable[Message]) -> dict[Partition, list[Message]]:
    found: dict[Partition, list[Message]] = {}
    for each in messages:
        error, topic, number = each.error(), each.topic(), each.partition()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            if not error.retriable() and error.code() not in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
                raise kafka_error(KafkaException(error), f"{topic} cannot be read")
            continue
        if topic is not None and number is not None:
            found.setdefault(Partition(topic, number), []).append(each)
    return found


def _where(left: Mapping[Partition, int], position: Mapping[Partition, int]) -> str:
    shown = [f"{p.topic}[{p.number}] at {position[p]} of {end}" for p, end in sorted(left.items())[:3]]
    return ", ".join(shown) + (f" and {len(left) - 3} more" if len(left) > 3 else "")
