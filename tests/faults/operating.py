"""What a person does to a deployment, or what happens to it unseen: offsets, schemas, odd records, clocks."""

from collections.abc import Mapping
from pathlib import Path

import libfaketime
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.cluster import register
from tests.pipeline.core import STOCK, writer_schema
from tests.pipeline.deployment import Deployment
from tests.pipeline.waiting import answered

_SECONDS = 30.0
#: More than a dead letter holds, less than the topic takes.
_OVERSIZED_BYTES = 900_000


def wrong_clock(offset: str) -> Mapping[str, str]:
    """The environment in which the wall clock of a process is off by so much ("-1h", "+8d")."""
    library = next((Path(libfaketime.__file__).parent / "vendor").rglob("libfaketime.so*"))
    return {"LD_PRELOAD": str(library), "FAKETIME": offset, "DONT_FAKE_MONOTONIC": "1"}


def commit_offsets(deployment: Deployment, topic: str, offsets: Mapping[int, int]) -> None:
    """Set the group's offsets, as `kafka-consumer-groups --reset-offsets` does. The group must be empty."""
    client = Consumer({"bootstrap.servers": deployment.servers, "group.id": deployment.name, "log_level": 0})
    wanted = [TopicPartition(topic, number, offset) for number, offset in offsets.items()]
    if wanted:
        answered("the offsets are set", lambda: client.commit(offsets=wanted, asynchronous=False))
    client.close()


def delete_offsets(deployment: Deployment) -> None:
    """Delete the group with all its offsets, as their expiry does. The group must be empty."""
    admin = AdminClient({"bootstrap.servers": deployment.servers, "log_level": 0})
    name = deployment.name
    answered("the group is deleted", lambda: admin.delete_consumer_groups([name])[name].result(_SECONDS))


def publish_oversized(deployment: Deployment) -> int:
    """Publish what is no event and too large to be forwarded. Returns its size in bytes."""
    deployment.raw(deployment.source(STOCK), b"\x00" * _OVERSIZED_BYTES, b"oversized")
    return _OVERSIZED_BYTES


def publish_under_new_schema(deployment: Deployment, registry_url: str, item: str) -> int:
    """Publish a stock change under a schema that no worker has seen. Returns the schema's id."""
    topic = deployment.source(STOCK)
    schema = {**writer_schema(STOCK), "doc": f"of {item}"}
    schema_id = register(registry_url, f"{topic}-value", schema)
    deployment.schemas[schema_id] = schema
    deployment.raw(topic, deployment.core.stock(item, "7.00").avro(schema_id, schema), b"any")
    return schema_id
