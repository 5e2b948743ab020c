"""What the AsyncAPI document says of keys, headers and values that no Avro schema describes: as JSON Schemas.

Kafka's headers are bytes; here each is described as the text that its bytes are in UTF-8.
"""

from collections.abc import Mapping
from typing import Any, Final

Schema = dict[str, Any]

ITEM_KEY: Final[Schema] = {
    "type": "string",
    "pattern": "^[^/]*/[^/]*$",
    "description": "The item key, tenant/item in UTF-8. Within an id '/' is written %2F and '%' is written %25. The "
    "partition is that of Java's default partitioner (murmur2).",
    "examples": ["t-1/item-001"],
}
ANY_KEY: Final[Schema] = {"description": "Any, or none: it is not read."}
STATE_KEY: Final[Schema] = {
    "type": "string",
    "description": "tenant/item of an item, tenant/item/reservation of a reservation, or /watermark.",
    "examples": ["t-1/item-001", "t-1/item-001/r-1", "/watermark"],
}
TOPIC_KEY: Final[Schema] = {"type": "string", "description": "The name of an input topic."}
NO_KEY: Final[Schema] = {"description": "None."}

_TRACEPARENT: Final[Schema] = {
    "type": "string",
    "description": "W3C trace context, as the input had it; absent where it had none.",
    "examples": ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
}
_REPLAY_OF: Final[Schema] = {
    "type": "string",
    "description": "Dead letter that this record was before it was sent back: partition/offset. Once for each time.",
}
_SOURCE_HEADERS: Final[dict[str, Schema]] = {"traceparent": _TRACEPARENT, "dead-letter-replay-of": _REPLAY_OF}

_CLOUD_EVENT: Final[dict[str, Schema]] = {
    "ce_specversion": {"const": "1.0", "description": "Version of CloudEvents, whose Kafka binding (binary) this is."},
    "ce_id": {"type": "string", "description": "eventId. With ce_source it is unique."},
    "ce_source": {"type": "string", "description": "/atp-stream/ and the application id."},
    "ce_type": {"type": "string", "description": "Full name of the Avro record."},
    "ce_subject": {"type": "string", "description": "The item key."},
    "ce_time": {"type": "string", "format": "date-time", "description": "timestamp, in UTC (RFC 3339)."},
    "content-type": {"const": "application/avro", "description": "Media type of the value."},
}


def source_headers() -> Schema:
    """Return the headers of an input topic that mean something here; all others are handed on."""
    return _object(_SOURCE_HEADERS, ())


def changes_headers(encoding: str) -> Schema:
    """Return the headers of the changes log: two of its own, then those that the source's record had."""
    own: dict[str, Schema] = {
        "encoding": {"const": encoding, "description": "How the value is encoded."},
        "source": {"type": "string", "description": "Where the record came from: topic/partition/offset."},
    }
    return _object({**own, **_SOURCE_HEADERS}, own)


def output_headers(event: str, cloud_event: Mapping[str, str] | None) -> Schema:
    """Return the headers of an output. `cloud_event`: fixed values of its CloudEvents headers; None: it has none."""
    own: dict[str, Schema] = {
        "event-type": {"const": event, "description": "Name of the Avro record."},
        "causation-id": {"type": "string", "description": "eventId of the input that brought this about."},
        "sequence": {
            "type": "string",
            "pattern": "^[1-9][0-9]*$",
            "description": "Number of this event among all outputs of its item, over all topics: from 1, without gap.",
            "examples": ["7"],
        },
        "rules-version": {"type": "string", "description": "Version of the rules it was decided by (policy.version)."},
    }
    if cloud_event is not None:
        for name, schema in _CLOUD_EVENT.items():
            own[name] = {**schema, "const": cloud_event[name]} if name in cloud_event else schema
    return _object({**own, "traceparent": _TRACEPARENT}, own)


def dead_letter_headers() -> Schema:
    """Return the headers of a dead letter: its cause, then those that the record had."""
    own: dict[str, Schema] = {
        "dead-letter-topic": {"type": "string", "description": "Where the record lay: topic."},
        "dead-letter-partition": {"type": "string", "pattern": "^[0-9]+$", "description": "Likewise: partition."},
        "dead-letter-offset": {"type": "string", "pattern": "^[0-9]+$", "description": "Likewise: offset."},
        "dead-letter-error": {"type": "string", "description": "A stable code, such as NOT_AVRO."},
        "dead-letter-message": {"type": "string", "description": "The cause, for a person."},
    }
    cut: Schema = {"type": "string", "description": "Which of value, key and headers were too long to be kept whole."}
    return _object({**own, "dead-letter-cut": cut}, own)


def marker_headers() -> Schema:
    """Return the headers of the marker of a dead letter that was sent back."""
    own: dict[str, Schema] = {
        "dead-letter-replayed": {"type": "string", "description": "The letter: partition/offset. The first header."},
        "dead-letter-replayed-to": {"type": "string", "description": "The topic it was sent to."},
    }
    more: dict[str, Schema] = {
        "dead-letter-replayed-call": {"type": "string", "description": "Which call of the command sent it."},
        "dead-letter-replayed-mended": {"type": "string", "description": "There if another value was sent."},
    }
    return _object({**own, **more}, own)


def envelope(avro: Mapping[str, Any]) -> Schema:
    """Return the JSON envelope of an input event, whose Avro schema is given, as a JSON Schema."""
    outside, fields = ("eventId", "timestamp", "tenantId"), {field["name"]: field for field in avro["fields"]}
    inside = {name: _json_type(name, field["type"]) for name, field in fields.items() if name not in outside}
    required = [name for name in inside if not isinstance(fields[name]["type"], list)]
    return {
        "type": "object",
        "required": ["eventType", "eventId", "timestamp", "tenantId", "payload"],
        "properties": {
            "eventType": {"const": avro["name"]},
            "eventId": {"type": "string"},
            "timestamp": {"type": "string", "format": "date-time", "description": "UTC where it names no zone."},
            "aggregateId": {"type": "string", "description": "Not read."},
            "tenantId": {"type": "string"},
            "payload": {"type": "object", "required": required, "properties": inside},
        },
    }


def _json_type(name: str, avro: Any) -> Schema:
    if isinstance(avro, list):
        (other,) = (each for each in avro if each != "null")
        inner = _json_type(name, other)
        return {**inner, "type": [inner["type"], "null"]}
    if isinstance(avro, dict):
        return {
            "type": ["number", "string"],
            "description": "Exact, in plain decimal notation, with at most two places.",
        }
    if avro == "long":
        return {"type": "string", "format": "date-time"}
    return {"type": "integer" if avro == "int" else "string"}


def _object(properties: Mapping[str, Schema], required: Mapping[str, Schema] | tuple[()]) -> Schema:
    """Return an object; headers that are not named may be there too."""
    return {"type": "object", "properties": dict(properties), **({"required": list(required)} if required else {})}
