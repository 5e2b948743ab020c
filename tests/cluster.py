"""What tests do with a real cluster: topics, records, schemas."""

import json
from collections.abc import Iterable

import httpx
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.pipeline.waiting import until

_SECONDS = 30


def create_topic(bootstrap_servers: str, name: str, partitions: int = 1, replication: int = 1) -> None:
    """Create the topic and return when it is there.

    The answer comes from the controller: a broker tells of the topic when it has heard of it, which may be later.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    admin.create_topics([NewTopic(name, partitions, replication)])[name].result(_SECONDS)

    def is_told() -> bool:
        found = admin.list_topics(timeout=_SECONDS).topics.get(name)
        return found is not None and len([each for each in found.partitions.values() if each.leader >= 0]) == partitions

    until(f"the brokers tell of {name}", is_told)


def produce(bootstrap_servers: str, topic: str, values: Iterable[bytes]) -> None:
    """Write the values and return when the broker has them."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(_SECONDS) == 0


def consume(bootstrap_servers: str, topic: str, count: int) -> list[bytes]:
    """Read that many committed values from the beginning of the topic, without being in a group."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": f"{topic}-reader", "enable.auto.commit": False}
    )
    try:
        partitions = consumer.list_topics(topic, timeout=_SECONDS).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        return [_value(message) for message in consumer.consume(count, _SECONDS)]
    finally:
        consumer.close()


def _value(message: Message) -> bytes:
    assert message.error() is None
    value = message.value()
    assert value is not None
    return value


def register(registry_url: str, subject: str, schema: object) -> int:
    """Register the Avro schema under the subject and return its id."""
    answer = httpx.post(
        f"{registry_url}/subjects/{subject}/versions",
        json={"schema": json.dumps(schema)},
        timeout=_SECONDS,
        trust_env=False,
    )
    return int(answer.raise_for_status().json()["id"])


def schema_of(registry_url: str, schema_id: int) -> object:
    """Return the schema that has the id."""
    answer = httpx.get(f"{registry_url}/schemas/ids/{schema_id}", timeout=_SECONDS, trust_env=False)
    return json.loads(answer.raise_for_status().json()["schema"])
