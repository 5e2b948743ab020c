"""Reading what comes out, as a consumer of the service would: committed events only, and without a group."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from atp_stream.admin import registry as registry_access
from atp_stream.admin.kafka import TIMEOUT_SECONDS, admin_call, connect, kafka_error, require_advertised
from atp_stream.admin.topics import describe, specs
from atp_stream.contracts.avro import Json
from atp_stream.contracts.catalogue import OUTPUT_TOPICS
from atp_stream.contracts.schemas import schema_of
from atp_stream.errors import DataError
from atp_stream.settings import Settings, confluent_config
from atp_stream.streaming.dead_letter_records import is_marker
from atp_stream.tools.received import Reader, Received

_MOST_AT_ONCE: Final = 500


class OutputConsumer:
    """Reads output topics and dead letters from the oldest event on, or from those committed after its making."""

    def __init__(self, settings: Settings, topics: Iterable[str], *, from_beginning: bool) -> None:
        """`topics`: their names. DataError: one is missing; other AppError: Kafka or the registry is not reached."""
        self.away: str | None = None
        """Why the brokers cannot be reached at the moment; None: they can."""
        event_types = {topic: event for event, (topic, _) in OUTPUT_TOPICS.items()}
        self._reader: Final = Reader(event_types, _Schemas(settings))
        self._dead_letters: Final = settings.topics.dead_letters
        cluster = connect(settings.kafka)
        require_advertised(cluster, settings.kafka)
        assignment = _assignment(cluster.admin, list(topics), from_beginning=from_beginning)
        config: dict[str, Any] = {
            **confluent_config(settings.kafka),
            # Needed by the client, and never joined: partitions are assigned, offsets are not committed.
            "group.id": "atp-stream-tail",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 50,
            "log_level": 0,
            "error_cb": self._on_error,
        }
        try:
            self._consumer: Final = Consumer(config)
            self._consumer.assign(assignment)
        except KafkaException as error:
            raise kafka_error(error, "the output topics cannot be read") from None

    def receive(self, seconds: float) -> Iterator[Received]:
        """Yield what has arrived, waiting at most so long for the first of it. Errors: AppError, what will not pass."""
        first = self._consumer.poll(seconds)
        if first is None:
            return
        # What else is here already; `consume` with a time to wait would wait for all of it.
        for message in (first, *self._consumer.consume(_MOST_AT_ONCE, 0)):
            error = message.error()
            if error is None:
                self.away = None
                if message.topic() != self._dead_letters or not is_marker(message):
                    yield self._reader.read(message)
            elif not error.retriable() and error.code() not in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
                raise kafka_error(KafkaException(error), f"{message.topic()} cannot be read")

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.away = error.str()


class _Schemas:
    """Writers' schemas by id: ours from our files, any other from the registry."""

    def __init__(self, settings: Settings) -> None:
        outputs = [spec for spec in specs(settings) if spec.role == "output"]
        ids = registry_access.run(settings, lambda registry: registry.ids(outputs))
        self._settings: Final = settings
        self._ours: Final = {ids[spec.subject]: spec.event for spec in outputs if spec.subject in ids and spec.event}

    def __call__(self, schema_id: int) -> Json:
        event = self._ours.get(schema_id)
        if event is not None:
            return schema_of(event)
        # By itself it would wait for as long as the registry is away; what is only to be shown is not worth that.
        seconds = self._settings.registry.timeout_seconds
        return json.loads(
            registry_access.run(self._settings, lambda registry: asyncio.wait_for(registry.fetch(schema_id), seconds))
        )


def _assignment(admin: AdminClient, topics: Sequence[str], *, from_beginning: bool) -> list[TopicPartition]:
    """Return all partitions with the offset to begin at, asked for now: what is committed later is not missed."""
    found = describe(admin, topics)
    missing = sorted(set(topics) - found.keys())
    if missing:
        raise DataError(
            f"{len(missing)} topics are missing", cause=", ".join(missing), fix="run `atp-stream topics apply`"
        )
    spec = OffsetSpec.earliest() if from_beginning else OffsetSpec.latest()  # type: ignore[no-untyped-call]
    wanted = {
        TopicPartition(topic, partition): spec
        for topic, state in found.items()
        for partition in range(state.partitions)
    }
    futures = admin_call(
        lambda: admin.list_offsets(
            wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=TIMEOUT_SECONDS
        ),
        "the ends of the output topics cannot be found",
    )
    try:
        return [
            TopicPartition(place.topic, place.partition, future.result(TIMEOUT_SECONDS).offset)
            for place, future in futures.items()
        ]
    except KafkaException as error:
        raise kafka_error(error, "the ends of the output topics cannot be found") from None
