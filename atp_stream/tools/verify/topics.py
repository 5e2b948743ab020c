"""What is verified: the topics of an application with their partitions, and where reading of each began."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaException

from atp_stream.admin.kafka import connect, kafka_error, require_advertised
from atp_stream.admin.topics import changelog_name, origins_name
from atp_stream.errors import DataError
from atp_stream.settings import Settings, SourceTopic, confluent_config
from atp_stream.streaming.cluster import Cluster
from atp_stream.streaming.origins import Origins, TopicFacts, describe_topics, read_origins
from atp_stream.streaming.records import Partition
from atp_stream.tools.verify.packed import TOPICS


@dataclass(frozen=True)
class Topics:
    """stateful: topics that are decided, the changes log first; stateless: those that are ingested into it.

    keyed: what the settings say of the stateful ones apart from the changes log.
    """

    changes: str
    changelog: str
    dead_letters: str
    stateful: tuple[str, ...]
    stateless: tuple[str, ...]
    keyed: Mapping[str, SourceTopic]
    facts: Mapping[str, TopicFacts]
    origins: Origins

    def partitions(self, names: Iterable[str]) -> list[Partition]:
        """Return all partitions of these topics."""
        return [Partition(name, number) for name in names for number in range(self.facts[name].partitions)]

    def starts(self, names: Iterable[str]) -> dict[Partition, int]:
        """Return where reading of each partition of these topics began, of those where it has."""
        return {p: self.origins.start(*p) for p in self.partitions(names) if self.origins.has(p)}

    @property
    def output_partitions(self) -> list[int]:
        """The number of partitions of each output topic, in the order of `packed.TOPICS`."""
        return [self.facts[name].partitions for name in TOPICS]


def find_topics(settings: Settings, cluster: Cluster) -> Topics:
    """Ask the cluster. DataError: topics are missing or do not fit; other AppError: the cluster is not reached.

    StateMismatch: a topic was created anew since it was first read.
    """
    require_advertised(connect(settings.kafka), settings.kafka)
    topics = settings.topics
    keyed = {name: source for name, source in topics.sources.items() if source.keyed_by_item}
    stateful = (topics.changes, *keyed)
    stateless = tuple(name for name in topics.sources if name not in keyed)
    changelog, origins_topic = changelog_name(settings), origins_name(settings)
    names = [*stateful, *stateless, changelog, origins_topic, topics.dead_letters, *TOPICS]
    try:
        facts = describe_topics(confluent_config(settings.kafka), names)
    except KafkaException as error:
        raise kafka_error(error, "not all topics can be described: run `atp-stream topics check`") from None
    counts = {name: facts[name].partitions for name in (*stateful, changelog)}
    if set(counts.values()) != {topics.state_partitions}:
        raise DataError(
            "topics that belong together have different partition counts",
            cause=", ".join(f"{name}: {count}" for name, count in counts.items()),
            setting="topics.state_partitions",
            fix="run `atp-stream topics check`",
        )
    origins = read_origins(cluster, origins_topic)
    origins.missing({name: facts[name] for name in (*stateful, *stateless)})  # raises for one that was created anew
    return Topics(topics.changes, changelog, topics.dead_letters, stateful, stateless, keyed, facts, origins)
