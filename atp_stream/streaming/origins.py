"""Where reading began: for each source topic its Kafka id and the first offset of each partition, written once.

After that, no offset is ever chosen by a policy: a partition that has an origin but no committed offset has lost it,
and a topic whose id changed was recreated. Without this record a first start and a loss look the same, and a
`earliest` or `latest` would repeat or skip events in silence (docs/adr/0005-origins.md).
"""

import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, TopicCollection, TopicPartition, Uuid
from confluent_kafka.admin import AdminClient

from .cluster import Cluster, KafkaConfig, client_log
from .errors import ClusterTooOld, ClusterUnreachable, StateMismatch
from .membership import NO_MEMBER
from .producer import Outcome, TransactionalProducer
from .records import Partition
from .refusals import refuse

log = logging.getLogger(__name__)

_CALL_SECONDS = 10.0
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class TopicFacts:
    """What the cluster says of a topic: its id, which a topic created anew under the same name does not keep."""

    topic_id: str
    partitions: int


@dataclass(frozen=True)
class Origin:
    """The origin of one source topic: its id, and the offset at which reading each partition began."""

    topic_id: str
    starts: tuple[int, ...]


class Origins:
    """The origins of all source topics of a consumer group."""

    def __init__(self, by_topic: Mapping[str, Origin]) -> None:
        self._by_topic = by_topic

    def start(self, topic: str, partition: int) -> int:
        """Return the offset at which reading of the partition began."""
        return self._by_topic[topic].starts[partition]

    def has(self, partition: Partition) -> bool:
        """Return whether reading of the partition has begun."""
        origin = self._by_topic.get(partition.topic)
        return origin is not None and partition.number < len(origin.starts)

    def missing(self, sources: Mapping[str, TopicFacts]) -> list[Partition]:
        """Return the partitions of the sources that have no origin yet.

        Raises `StateMismatch` if a topic is not the one that reading began with.
        """
        found = []
        for topic, facts in sources.items():
            known = self._by_topic.get(topic)
            if known is not None and known.topic_id != facts.topic_id:
                raise StateMismatch(
                    f"{topic} is not the topic that was read before",
                    cause=f"its id is {facts.topic_id}, that of the topic read before was {known.topic_id}",
                    fix="it was deleted and created again: its events and the state do not belong together; plan a "
                    "fresh start of offsets, changelog and local state together (docs/operations.md)",
                )
            found += [Partition(topic, n) for n in range(len(known.starts) if known else 0, facts.partitions)]
        return found

    def extended(self, sources: Mapping[str, TopicFacts], starts: Mapping[Partition, int]) -> "Origins":
        """Return the origins together with `starts` of partitions that had none."""
        by_topic = dict(self._by_topic)
        for topic, facts in sources.items():
            known = by_topic[topic].starts if topic in by_topic else ()
            added = tuple(starts[Partition(topic, n)] for n in range(len(known), facts.partitions))
            by_topic[topic] = Origin(facts.topic_id, known + added)
        return Origins(by_topic)

    def record(self, topic: str) -> bytes:
        """Return the origin of a topic as the value of its record: JSON."""
        origin = self._by_topic[topic]
        return json.dumps({"topic-id": origin.topic_id, "starts": origin.starts}).encode()


def describe_topics(kafka: KafkaConfig, topics: Iterable[str], deadline: float = 0.0) -> dict[str, TopicFacts]:
    """Return id and partition count of each topic. A cluster that does not answer is asked again until `deadline` (s).

    Raises `KafkaException` if one does not exist, `ClusterUnreachable` without an answer, `NotPermitted` if refused,
    `ClusterTooOld` if topics have no ids there (KIP-516).
    """
    until, names = time.monotonic() + deadline, list(topics)
    while True:
        try:
            return _described(kafka, names)
        except ClusterUnreachable as failure:
            if time.monotonic() > until:
                raise
            log.warning("%s: %s; asking again", failure.message, failure.cause)
            time.sleep(_PAUSE_SECONDS)


def _described(kafka: KafkaConfig, topics: list[str]) -> dict[str, TopicFacts]:
    config: dict[str, Any] = {**kafka, "logger": client_log}
    admin = AdminClient(config)
    futures = admin.describe_topics(TopicCollection(topics), request_timeout=_CALL_SECONDS)
    found = {}
    for topic, future in futures.items():
        try:
            description = future.result()
        except KafkaException as failure:
            error: KafkaError = failure.args[0]
            refuse(error)
            if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            raise ClusterUnreachable(
                f"no answer from the cluster: describing {topic}",
                cause=error.str(),
                fix="check that the brokers run and can be reached, then start the worker again",
            ) from failure
        found[topic] = TopicFacts(_topic_id(topic, description.topic_id), len(description.partitions))
    return found


def _topic_id(topic: str, found: Uuid | None) -> str:
    """Return a topic's id as Kafka's own tools write it, which is fit for a file name."""
    # librdkafka's word for none is the id of zeros, in base64 nothing but "A"; it would be the same for every topic.
    if found is None or not str(found).strip("A"):
        raise ClusterTooOld(
            "the cluster gives topics no ids",
            cause=f"{topic} has none: the brokers are older than Kafka 2.8, or their inter.broker.protocol.version is",
            fix="upgrade the brokers: without ids, a topic that was created anew is taken for the one that was read",
        )
    return str(found).replace("+", "-").replace("/", "_")  # librdkafka writes "+" and "/"


def establish(
    cluster: Cluster, producer: TransactionalProducer, origins_topic: str, sources: Mapping[str, TopicFacts]
) -> Origins:
    """Return the origins of `sources`; those that have none yet begin at the first record that their topic holds.

    An origin and the group's first offset are written in one transaction. The `producer` has a transactional id that
    all workers share for this: starting it fences another worker that is at the same, and what that one committed
    is seen. Raises `StateMismatch` if the group has offsets that no origin explains.
    """
    origins = read_origins(cluster, origins_topic)
    while origins.missing(sources):
        producer.start()
        try:
            origins = read_origins(cluster, origins_topic)
            missing = origins.missing(sources)
            if missing and _begin(cluster, producer, origins_topic, origins, sources, missing) is Outcome.COMMITTED:
                origins = read_origins(cluster, origins_topic)
        finally:
            producer.close()
    return origins


def _begin(
    cluster: Cluster,
    producer: TransactionalProducer,
    origins_topic: str,
    origins: Origins,
    sources: Mapping[str, TopicFacts],
    missing: list[Partition],
) -> Outcome:
    """Write the origins of `missing` partitions and the group's first offsets in one transaction."""
    unexplained = {p: offset for p, offset in cluster.stable_offsets(missing).items() if offset is not None}
    if unexplained:
        if len(read_origins(cluster, origins_topic).missing(sources)) < len(missing):
            return Outcome.ABORTED  # nothing was begun: another worker, which has fenced this one, was quicker
        raise StateMismatch(
            "the group has offsets, but where it began to read is not known",
            cause=", ".join(f"{p.topic}[{p.number}]: {offset}" for p, offset in sorted(unexplained.items())),
            fix=f"records of {origins_topic} were lost, or another application uses the same group id",
        )
    starts = {partition: first for partition, (first, _) in cluster.ends(missing).items()}
    extended = origins.extended(sources, starts)
    producer.begin()
    for topic in sorted({partition.topic for partition in missing}):
        producer.produce(origins_topic, extended.record(topic), topic.encode())
        log.info("reading of %s begins: %s", topic, extended.record(topic).decode())
    return producer.commit([TopicPartition(*p, start) for p, start in starts.items()], NO_MEMBER)


def read_origins(cluster: Cluster, origins_topic: str) -> Origins:
    """Read the topic of origins from its first to its last record."""
    by_topic: dict[str, Origin] = {}

    def consume(_partition: Partition, messages: list[Message]) -> None:
        for each in messages:
            key, value = each.key(), each.value()
            if isinstance(key, bytes) and isinstance(value, bytes):
                content = json.loads(value)
                by_topic[key.decode()] = Origin(content["topic-id"], tuple(content["starts"]))

    cluster.read(cluster.ends([Partition(origins_topic, 0)]), consume)
    return Origins(by_topic)
