"""The doctor's look at topics: as in the catalogue, with the permissions and the replicas that a worker needs."""

from collections.abc import Iterator, Mapping, Sequence

from atp_stream.admin import topics
from atp_stream.admin.doctor_finding import Finding
from atp_stream.admin.kafka import Cluster
from atp_stream.admin.kafka_errors import user_of
from atp_stream.admin.permissions import lacking
from atp_stream.contracts.catalogue import TopicSpec
from atp_stream.errors import ConfigurationError
from atp_stream.settings import Settings


def examine_topics(settings: Settings, cluster: Cluster) -> Iterator[Finding]:
    """Compare the topics with the catalogue, and look at permissions and replicas of those that are there."""
    specs = topics.specs(settings)
    states = topics.describe(cluster.admin, [spec.name for spec in specs])
    differences = topics.compare(specs, states, topics.any_count(settings)).differences
    missing = [difference for difference in differences if difference.what == "missing"]
    if missing:
        names = ", ".join(difference.topic for difference in missing)
        yield Finding("topics", "fail", f"missing: {names}", missing[0].fix, ConfigurationError.exit_code)
    for difference in differences:
        if difference.what != "missing":
            found = f"{difference.topic}: {difference.what} is {difference.found}, not {difference.expected}"
            yield Finding("topics", "fail", found, difference.fix, ConfigurationError.exit_code)
    if not differences:
        yield Finding("topics", "ok", f"{len(specs)} topics are as the catalogue says")
    yield from permissions(settings, specs, states)
    yield from replication(settings, len(cluster.listeners), states)


def permissions(
    settings: Settings, specs: Sequence[TopicSpec], states: Mapping[str, topics.TopicState]
) -> Iterator[Finding]:
    """Compare what this user may do with each topic with what a worker does there."""
    user, _ = user_of(settings.kafka)
    refused = list(lacking(settings, specs, states))
    for topic, operations in refused:
        yield Finding(
            "acl",
            "fail",
            f"{' and '.join(operations)} on topic {topic} is not allowed",
            f"give {user} {', '.join(operations)} on topic {topic}",
            ConfigurationError.exit_code,
        )
    if states and not refused:
        yield Finding("acl", "ok", "what is needed is allowed on every topic")


def replication(settings: Settings, brokers: int, states: Mapping[str, topics.TopicState]) -> Iterator[Finding]:
    """Compare the replicas of the topics, and of those yet to be created, with the number of brokers."""
    wanted = settings.topics.replication_factor
    single = sorted(name for name, state in states.items() if state.replication_factor < min(brokers, 3))
    if wanted > brokers:
        yield Finding(
            "replication",
            "fail",
            f"topics.replication_factor is {wanted}, and there are {brokers} brokers",
            f"set topics.replication_factor to {brokers} or less",
            ConfigurationError.exit_code,
        )
    elif single:
        yield Finding(
            "replication",
            "warn",
            f"fewer than {min(brokers, 3)} replicas, with {brokers} brokers: {', '.join(single)}",
            f"set topics.replication_factor to {min(brokers, 3)}, and reassign the partitions there are",
        )
    elif wanted < min(brokers, 3):
        yield Finding(
            "replication",
            "warn",
            f"topics.replication_factor is {wanted}, with {brokers} brokers",
            f"set topics.replication_factor to {min(brokers, 3)}",
        )
    else:
        yield Finding("replication", "ok", f"factor {wanted} with {brokers} broker(s)")
