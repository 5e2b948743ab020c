"""Making the topics what the catalogue says they are."""

import time
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package re-exports them without saying so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from atp_stream.admin.kafka import TIMEOUT_SECONDS, admin_call, kafka_error
from atp_stream.admin.topics import Difference, Plan, TopicState, describe
from atp_stream.errors import DataError, TemporaryError

_PAUSE_SECONDS = 0.1


def apply(admin: AdminClient, planned: Plan, replication_factor: int) -> None:
    """Create and change what the plan says. Applying it again does nothing.

    DataError: a partition count is wrong (nothing is changed then). PermissionDeniedError, UnavailableError: a call.
    """
    if planned.refused:
        first = planned.refused[0]
        raise DataError(
            f"topic {first.topic} has {first.found} partitions, and {first.expected} are needed",
            cause=f"{len(planned.refused)} topic(s) with another partition count; nothing was changed",
            setting="topics.state_partitions",
            fix=first.fix,
        )
    if planned.create:
        new = [
            NewTopic(spec.name, spec.partitions, replication_factor, config=dict(spec.config))
            for spec in planned.create
        ]
        futures = admin_call(
            lambda: admin.create_topics(new, operation_timeout=TIMEOUT_SECONDS, request_timeout=TIMEOUT_SECONDS),
            "topics cannot be created",
        )
        for name, future in futures.items():
            try:
                future.result(TIMEOUT_SECONDS)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise _not_created(error, name, replication_factor) from None
    by_topic: dict[str, list[ConfigEntry]] = {}
    for change in planned.alter:
        entry = ConfigEntry(change.what, change.expected, incremental_operation=AlterConfigOpType.SET)
        by_topic.setdefault(change.topic, []).append(entry)
    if by_topic:
        resources = [
            ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries) for name, entries in by_topic.items()
        ]
        for resource, future in admin_call(
            lambda: admin.incremental_alter_configs(resources), "topics cannot be changed"
        ).items():
            try:
                future.result(TIMEOUT_SECONDS)
            except KafkaException as error:
                raise kafka_error(error, f"topic {resource.name} cannot be changed") from None
    if planned.create or planned.alter:
        _await_visible(admin, planned)


def _not_created(error: KafkaException, name: str, replication_factor: int) -> Exception:
    if error.args[0].code() == KafkaError.INVALID_REPLICATION_FACTOR:
        return DataError(
            f"topic {name} cannot be created with replication factor {replication_factor}",
            cause=error.args[0].str(),
            setting="topics.replication_factor",
            fix="set topics.replication_factor to at most the number of brokers",
        )
    return kafka_error(error, f"topic {name} cannot be created")


def _await_visible(admin: AdminClient, planned: Plan) -> None:
    """Wait until the brokers know what was done: they hear of it from the controller a moment later."""
    names = {spec.name for spec in planned.create} | {change.topic for change in planned.alter}
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        states = describe(admin, names)
        waiting = sorted(
            {name for name in names if name not in states}
            | {one.topic for one in planned.alter if one.topic in states and _value(states, one) != one.expected}
        )
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise TemporaryError(
                "what was created or changed does not appear",
                cause=f"{TIMEOUT_SECONDS:.0f} s later the broker does not know it yet: {', '.join(waiting)}",
                fix="run `atp-stream topics check` in a while",
            )
        time.sleep(_PAUSE_SECONDS)


def _value(states: Mapping[str, TopicState], change: Difference) -> str | None:
    return states[change.topic].config.get(change.what)
