"""Probe records: committed at once, so visible at once, unless an open transaction holds the partition back."""

from confluent_kafka import KafkaError, Message, Producer

from tests.pipeline.item import ZERO
from tests.pipeline.oracle import OUTPUTS, output_schema

from .forms import output_headers, output_value
from .observation import Names, Place

_SECONDS = 30.0
_KINDS = {topic: kind for kind, topic in OUTPUTS.items()}


def probe(producer: Producer, names: Names) -> dict[Place, int]:
    """Append a record to every partition of the outputs and to the dead letters; where each of them lies.

    They are well-formed and of a tenant of their own. Nothing may be appended to the application's own topics.
    """
    offsets: dict[Place, int] = {}
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if error is not None or topic is None or partition is None or offset is None:
            failures.append(error or KafkaError(KafkaError.UNKNOWN))
        else:
            offsets[topic, partition] = offset

    key = f"{names.probe_tenant}/probe".encode()
    for topic, (schema_id, partitions) in names.outputs.items():
        kind = _KINDS.get(topic)
        if kind is None:
            continue
        event = _event(kind, names.probe_tenant)
        value, headers = output_value(schema_id, event), list(output_headers(event, None))
        for number in range(partitions):
            producer.produce(topic, value, key, number, headers=headers, on_delivery=delivered)  # type: ignore[arg-type]
    cause = {"topic": names.probe_tenant, "partition": "0", "offset": "0", "error": "NULL_VALUE", "message": "a probe"}
    letter = [(f"dead-letter-{name}", text.encode()) for name, text in cause.items()]
    producer.produce(names.dead_letters, None, key, 0, headers=letter, on_delivery=delivered)  # type: ignore[arg-type]
    assert producer.flush(_SECONDS) == 0
    assert not failures, failures
    return offsets


def _event(kind: str, tenant: str) -> dict[str, object]:
    values = {"string": "probe", "long": 0}
    fields = {each["name"]: values.get(str(each["type"]), ZERO) for each in output_schema(kind)["fields"]}
    reason = {"reason": "probe"} if "reason" in fields else {}
    return {
        **fields,
        **reason,
        "tenantId": tenant,
        "event-type": kind,
        "causation-id": "probe",
        "sequence": 1,
        "rules-version": "probe",
    }
