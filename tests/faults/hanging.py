"""The operator's remedy for transactions that a broker left hanging (KAFKA-20734): they are found, and ended.

A coordinator that ends a transaction while a partition has no leader takes the partition for deleted, writes no marker
to it, and calls the transaction complete. The partition's last stable offset stands still from then on.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.pipeline.waiting import until

from .transactions import (
    Open,
    Place,
    Transaction,
    Unsettled,
    coordinated,
    decided,
    logged,
    open_transactions,
    write_marker,
)

_ANSWER_SECONDS = 5.0
_PAUSE_SECONDS = 2.0
_BEING_ENDED = frozenset({"PrepareCommit", "PrepareAbort", "PrepareEpochFence"})

T = TypeVar("T")


@dataclass(frozen=True)
class Hanging:
    """A transaction that hung in one partition, and was ended there.

    transactional_id: None if no coordinator knows the producer any more. commit: how it was ended: as its coordinator
    had decided, and aborted if that is not `known`.
    """

    found: Open
    transactional_id: str | None
    commit: bool
    known: bool

    @property
    def torn(self) -> bool:
        """Whether it was committed: until now a part of it was seen, and this one was not."""
        return self.commit

    def __str__(self) -> str:
        topic, partition = self.found.place
        how = "committed" if self.commit else "aborted" if self.known else "aborted, for want of a decision"
        return f"{topic}[{partition}] from {self.found.start}, producer {self.found.producer_id}: {how}"


@dataclass(frozen=True)
class _Cluster:
    brokers: dict[int, str]
    leaders: dict[Place, int]


def end_hanging(servers: str) -> list[Hanging]:
    """Find the hanging transactions of a cluster whose brokers all run, and end them. `servers`: no faults on the way.

    What looks like one is looked at twice: between the answers of a leader and of a coordinator a transaction may end.
    AssertionError: leaders or coordinators do not answer.
    """
    suspects = _answered(lambda: _suspects(servers))
    if not suspects:
        return []
    entries = _answered(lambda: logged(servers, {found.producer_id for found in suspects}))
    time.sleep(_PAUSE_SECONDS)
    again = _answered(lambda: _suspects(servers))
    return [
        _end(servers, found, name, decided(entries[found.producer_id], found.place))
        for found, name in suspects.items()
        if (found, name) in again.items()
    ]


def _end(servers: str, found: Open, name: str | None, word: bool | None) -> Hanging:
    def write() -> None:
        cluster = _cluster(servers)
        write_marker(cluster.brokers[cluster.leaders[found.place]], found, commit=bool(word))

    _answered(write)
    return Hanging(found, name, commit=bool(word), known=word is not None)


def _answered(call: Callable[[], T]) -> T:
    last: list[Exception] = []

    def probe() -> tuple[T] | None:
        try:
            return (call(),)
        except (OSError, KafkaException, Unsettled) as error:
            last[:] = [error]
            return None

    answer = until("the cluster tells its transactions", probe, lambda: str(last))
    assert answer
    return answer[0]


def _suspects(servers: str) -> dict[Open, str | None]:
    """Return what is open in a log without a coordinator that is going to end it, and its transactional id."""
    cluster = _cluster(servers)
    led = defaultdict(list)
    for place, leader in cluster.leaders.items():
        led[leader].append(place)
    # In this order: a coordinator knows of a partition before records of the transaction are written there.
    opened = [found for leader, places in led.items() for found in open_transactions(cluster.brokers[leader], places)]
    if not opened:
        return {}
    words = _words(servers, cluster, {found.producer_id for found in opened})
    return {
        found: word.transactional_id if word else None
        for found in opened
        if not _will_end(found, word := words.get(found.producer_id))
    }


def _words(servers: str, cluster: _Cluster, producer_ids: set[int]) -> dict[int, Transaction]:
    """Return what the producers' coordinators say, by producer id. Who is not there is known to none."""
    words = [word for server in cluster.brokers.values() for word in coordinated(server, producer_ids)]
    by_producer = {word.producer_id: word for word in words}
    if len(by_producer) < len(words):
        raise Unsettled("two brokers coordinate the same producer")
    # A coordinator that has just been elected lists nothing, without an error, before it has begun to read its log.
    unknown = producer_ids - set(by_producer)
    if unknown and any(logged(servers, unknown).values()):
        raise Unsettled("the coordinators do not know yet what is in their log")
    return by_producer


def _will_end(found: Open, word: Transaction | None) -> bool:
    return word is not None and (word.state in _BEING_ENDED or (word.state == "Ongoing" and found.place in word.places))


def _cluster(servers: str) -> _Cluster:
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0, "enable.metrics.push": False})
    metadata = admin.list_topics(timeout=_ANSWER_SECONDS)
    brokers = {number: f"{broker.host}:{broker.port}" for number, broker in metadata.brokers.items()}
    leaders = {
        (topic, partition): found.leader
        for topic, about in metadata.topics.items()
        for partition, found in about.partitions.items()
    }
    if not set(leaders.values()) <= set(brokers):
        raise Unsettled("a partition has no leader")
    return _Cluster(brokers, leaders)
