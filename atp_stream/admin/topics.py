"""Topics as they are against the catalogue: what is missing or different. Putting it right: topics_apply.py."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package re-exports them without saying so
    AdminClient,
    ConfigResource,
    ResourceType,
)

from atp_stream.admin.kafka import TIMEOUT_SECONDS, admin_call, kafka_error

if TYPE_CHECKING:
    from atp_stream.contracts.catalogue import TopicSpec
    from atp_stream.settings import Settings

STATE_TABLE = "state"


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the cluster has it. operations: what this user may do there ("READ", ...); empty: not known."""

    partitions: int
    replication_factor: int
    config: Mapping[str, str]
    operations: frozenset[str]


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a topic is not what the catalogue says. what: missing, partitions or a topic setting's name."""

    topic: str
    what: str
    expected: str
    found: str
    fix: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What `apply` would do. refused: differences that cannot be put right without losing the order of keys."""

    create: tuple["TopicSpec", ...]
    alter: tuple[Difference, ...]
    refused: tuple[Difference, ...]
    unchanged: tuple[str, ...]

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Return everything that is not as the catalogue says."""
        missing = tuple(
            Difference(
                spec.name, "missing", f"{spec.partitions} partitions", "no such topic", "run `atp-stream topics apply`"
            )
            for spec in self.create
        )
        return (*missing, *self.refused, *self.alter)


def specs(settings: "Settings") -> list["TopicSpec"]:
    """Return the catalogue for these settings."""
    from atp_stream.contracts.catalogue import catalogue

    topics = settings.topics
    return catalogue(
        topics.sources,
        changes=topics.changes,
        dead_letters=topics.dead_letters,
        state_partitions=topics.state_partitions,
        changelogs=[changelog_name(settings)],
        origins=origins_name(settings),
    )


def changelog_name(settings: "Settings") -> str:
    """Return the changelog topic of the state table, as Faust names it."""
    return f"{settings.worker.application_id}-{STATE_TABLE}-changelog"


def origins_name(settings: "Settings") -> str:
    """Return the topic in which the application keeps where reading of each input topic began."""
    return f"{settings.worker.application_id}-origins"


def any_count(settings: "Settings") -> frozenset[str]:
    """Return the input topics that may have any number of partitions: those that are read only to be keyed anew."""
    return frozenset(name for name, source in settings.topics.sources.items() if not source.keyed_by_item)


def describe(admin: AdminClient, names: Iterable[str]) -> dict[str, TopicState]:
    """Return the topics that exist, by name. PermissionDeniedError: one may not be described."""
    states: dict[str, TopicState] = {}
    futures = admin_call(
        lambda: admin.describe_topics(
            TopicCollection(sorted(set(names))), include_authorized_operations=True, request_timeout=TIMEOUT_SECONDS
        ),
        "topics cannot be described",
    )
    found = {}
    for name, future in futures.items():
        try:
            found[name] = future.result(TIMEOUT_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise kafka_error(error, f"topic {name} cannot be described (Describe)") from None
    configs = _configs(admin, found)
    for name, topic in found.items():
        replicas = [len(partition.replicas) for partition in topic.partitions]
        operations = frozenset(operation.name for operation in topic.authorized_operations or ())
        states[name] = TopicState(len(replicas), min(replicas, default=0), configs[name], operations)
    return states


def plan(admin: AdminClient, wanted: Sequence["TopicSpec"], any_count: Collection[str] = ()) -> Plan:
    """Compare the cluster with the catalogue. Errors: as `describe`."""
    return compare(wanted, describe(admin, (spec.name for spec in wanted)), any_count)


def compare(wanted: Sequence["TopicSpec"], states: Mapping[str, TopicState], any_count: Collection[str] = ()) -> Plan:
    """Compare topics as they are with the catalogue. any_count: topics whose partition count does not matter."""
    alter: list[Difference] = []
    refused: list[Difference] = []
    unchanged: list[str] = []
    for spec in wanted:
        state = states.get(spec.name)
        if state is None:
            continue
        before = len(alter) + len(refused)
        if state.partitions != spec.partitions and spec.name not in any_count:
            refused.append(
                Difference(
                    spec.name,
                    "partitions",
                    str(spec.partitions),
                    str(state.partitions),
                    "a partition count is never changed, as that would move keys to other partitions: set "
                    "topics.state_partitions to the count there is, or create the topic anew",
                )
            )
        alter.extend(
            Difference(spec.name, key, value, state.config.get(key, ""), "run `atp-stream topics apply`")
            for key, value in sorted(spec.config.items())
            if state.config.get(key) != value
        )
        if len(alter) + len(refused) == before:
            unchanged.append(spec.name)
    return Plan(
        tuple(spec for spec in wanted if spec.name not in states), tuple(alter), tuple(refused), tuple(unchanged)
    )


def _configs(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    if not resources:
        return {}
    configs: dict[str, dict[str, str]] = {}
    for resource, future in admin_call(lambda: admin.describe_configs(resources), "topics cannot be described").items():
        try:
            entries = future.result(TIMEOUT_SECONDS)
        except KafkaException as error:
            doing = f"settings of topic {resource.name} cannot be described (DescribeConfigs)"
            raise kafka_error(error, doing) from None
        configs[resource.name] = {key: str(entry.value) for key, entry in entries.items()}
    return configs
