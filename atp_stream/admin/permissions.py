"""What this user lacks on topics, by the brokers' own word: looked at by each start and by the doctor."""

from collections.abc import Iterator, Mapping, Sequence

from atp_stream.admin.kafka_errors import PERMISSIONS, user_of
from atp_stream.admin.topics import TopicState
from atp_stream.contracts.catalogue import TopicSpec
from atp_stream.errors import PermissionDeniedError
from atp_stream.settings import Settings

# What the worker does with a topic of each role (Kafka's names of operations).
_NEEDED = {
    "input": frozenset({"READ", "DESCRIBE"}),
    "internal": frozenset({"READ", "WRITE", "DESCRIBE"}),
    "changelog": frozenset({"READ", "WRITE", "DESCRIBE"}),
    "output": frozenset({"WRITE", "DESCRIBE"}),
}
_COMPARED = frozenset({"DESCRIBE_CONFIGS"})  # to compare a topic's settings with the catalogue, at every start


def lacking(
    settings: Settings, specs: Sequence[TopicSpec], states: Mapping[str, TopicState]
) -> Iterator[tuple[str, list[str]]]:
    """Yield each topic on which something is not allowed, with the operations; topics that are not there have none.

    A broker that does not say what is allowed gives nothing, and then there is nothing to compare.
    """
    for spec in specs:
        allowed = states[spec.name].operations if spec.name in states else frozenset()
        # Dead letters are only written, like an output.
        role = "output" if spec.name == settings.topics.dead_letters else spec.role
        refused = sorted((_NEEDED[role] | _COMPARED) - allowed) if allowed else []
        if refused:
            yield spec.name, refused


def require(settings: Settings, specs: Sequence[TopicSpec], states: Mapping[str, TopicState]) -> None:
    """Raise PermissionDeniedError, naming all of them, if permissions on topics are missing.

    Some would be missed much later otherwise: who may not read the changelog finds out when a worker has to restore.
    """
    found = [f"{' and '.join(refused)} on topic {topic}" for topic, refused in lacking(settings, specs, states)]
    if found:
        user, setting = user_of(settings.kafka)
        raise PermissionDeniedError(
            "permissions on topics are missing",
            cause="not allowed: " + "; ".join(found),
            setting=setting,
            fix=f"give them to {user}: {PERMISSIONS}",
        )
