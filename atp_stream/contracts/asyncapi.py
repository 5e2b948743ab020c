"""The AsyncAPI 3 document: every topic with its messages, generated from the topic catalogue and the Avro schemas."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from atp_stream.contracts import asyncapi_parts as parts
from atp_stream.contracts.catalogue import Source, TopicSpec
from atp_stream.contracts.outputs import cloud_event_constants
from atp_stream.contracts.schemas import schema_of

Json = dict[str, Any]

_AVRO_FORMAT: Final = "application/vnd.apache.avro+json;version=1.9.0"
_BINDING: Final = "0.5.0"
_ROLES: Final = {
    "input": "What Inventory Core publishes and atp-stream reads.",
    "internal": "What atp-stream writes for itself. Consumers do not need it, and its form may change.",
    "changelog": "The state, as Kafka keeps it. Written and read by atp-stream alone; its form may change.",
    "output": "What Sales, E-commerce and WMS consume. A published contract.",
    "dead-letters": "What could not be accepted, set aside with its cause.",
}
_DOES: Final[Mapping[str, tuple[str, ...]]] = {
    "input": ("receive",),
    "internal": ("send", "receive"),
    "changelog": ("send", "receive"),
    "output": ("send",),
    "dead-letters": ("send",),
}
_ABOUT: Final = (
    "Available-to-promise as a stream application on Kafka. Whatever atp-stream writes is written in transactions: "
    "read it with isolation.level=read_committed. Quantities are decimal(18,2), exact. A value in Avro is in the "
    "Confluent wire format: a zero byte, four bytes of schema id, the record."
)
_EVENTS: Final[Mapping[str, str]] = {
    "StockAvailabilityChangedEvent": "Stock on hand at a location, as an absolute number.",
    "ReservationCreatedEvent": "A demand that was created.",
    "ReservationReleasedEvent": "A demand that was fulfilled, reduced or given up.",
    "AvailabilityCalculatedEvent": "What a channel may still promise, and what it has reserved, after a change.",
    "AllocationCommittedEvent": "Stock is committed to a reservation.",
    "AllocationReleasedEvent": "Committed stock is given back.",
    "ReservationDeniedEvent": "A reservation is refused, with the constraint that bound.",
    "AllocationBackorderedEvent": "A reservation waits until stock arrives.",
}


def asyncapi(
    topics: Sequence[TopicSpec],
    sources: Mapping[str, Source],
    *,
    changes: str,
    dead_letters: str,
    cloud_events: str | None,
    version: str,
) -> Json:
    """Return the document, as JSON has it.

    `topics`: the catalogue; `sources`: what the settings say of its input topics; `changes`, `dead_letters`: which of
    its topics these are; `cloud_events`: the application id, if outputs are CloudEvents too, else None; `version`: of
    this application.
    """
    found = _Document(sources, changes, dead_letters, cloud_events)
    for spec in topics:
        found.add(spec)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "atp-stream", "version": version, "description": _ABOUT},
        "defaultContentType": "application/avro",
        "channels": found.channels,
        "operations": found.operations,
        "components": {"messages": found.messages, "schemas": found.schemas},
    }


class _Document:
    """The parts of the document while topics are added to it."""

    def __init__(
        self, sources: Mapping[str, Source], changes: str, dead_letters: str, cloud_events: str | None
    ) -> None:
        self._sources: Final = sources
        self._changes: Final = changes
        self._dead_letters: Final = dead_letters
        self._cloud_events: Final = cloud_events
        self.channels: Final[Json] = {}
        self.operations: Final[Json] = {}
        self.messages: Final[Json] = {}
        self.schemas: Final[Json] = {}

    def add(self, spec: TopicSpec) -> None:
        role = "dead-letters" if spec.name == self._dead_letters else spec.role
        names = self._messages_of(spec)
        kafka: Json = {"partitions": spec.partitions, "bindingVersion": _BINDING}
        if spec.config:
            kafka["topicConfiguration"] = {name: _config(name, value) for name, value in spec.config.items()}
        self.channels[spec.name] = {
            "address": spec.name,
            "description": _ROLES[role],
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
            "tags": [{"name": role}],
            "bindings": {"kafka": kafka},
        }
        for action in _DOES[role]:
            self.operations[f"{action}.{spec.name}"] = {
                "action": action,
                "channel": {"$ref": f"#/channels/{spec.name}"},
                "messages": [{"$ref": f"#/channels/{spec.name}/messages/{name}"} for name in names],
            }

    def _messages_of(self, spec: TopicSpec) -> list[str]:
        """Make the messages of a topic, and return their names."""
        if spec.role == "output":
            assert spec.event is not None
            constants = None if self._cloud_events is None else cloud_event_constants(spec.event, self._cloud_events)
            return [self._event(spec.event, "avro", parts.ITEM_KEY, parts.output_headers(spec.event, constants))]
        if spec.role == "input":
            source = self._sources[spec.name]
            key = parts.ITEM_KEY if source.keyed_by_item else parts.ANY_KEY
            prefix = "Keyed." if source.keyed_by_item else ""
            return [self._event(source.event, source.encoding, key, parts.source_headers(), prefix)]
        if spec.name == self._changes:
            kinds = dict.fromkeys((each.event, each.encoding) for each in self._sources.values())
            return [
                self._event(event, encoding, parts.ITEM_KEY, parts.changes_headers(encoding), "Changes.")
                for event, encoding in kinds
            ]
        if spec.name == self._dead_letters:
            whole = "The record's own value, unchanged. Its key and headers are the record's own, too."
            return [
                self._raw("DeadLetter", "octet-stream", whole, parts.ANY_KEY, parts.dead_letter_headers()),
                self._raw(
                    "DeadLetterReplayed",
                    "octet-stream",
                    "None. A marker: the letter was sent back. Whoever reads letters skips it.",
                    parts.NO_KEY,
                    parts.marker_headers(),
                ),
            ]
        if spec.role == "changelog":
            entry = "A version byte, then MessagePack: an item or a reservation. JSON in a watermark record."
            return [self._raw("StateEntry", "octet-stream", entry, parts.STATE_KEY)]
        return [self._raw("Origins", "json", "Where reading of an input topic began.", parts.TOPIC_KEY)]

    def _event(self, event: str, encoding: str, key: parts.Schema, headers: parts.Schema, prefix: str = "") -> str:
        suffix = "" if encoding == "avro" else ".json"
        schema, kafka = schema_of(event), {"key": key, "bindingVersion": _BINDING}
        if encoding == "avro":
            self.schemas[event] = {"schemaFormat": _AVRO_FORMAT, "schema": schema}
            kafka |= {
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "schemaLookupStrategy": "TopicNameStrategy",
            }
        else:
            self.schemas[event + suffix] = parts.envelope(schema)
        self.messages[prefix + event + suffix] = {
            "name": event,
            "title": event,
            "summary": _EVENTS[event],
            "contentType": f"application/{encoding}",
            "headers": headers,
            "payload": {"$ref": f"#/components/schemas/{event}{suffix}"},
            "bindings": {"kafka": kafka},
        }
        return prefix + event + suffix

    def _raw(
        self, name: str, subtype: str, payload: str, key: parts.Schema, headers: parts.Schema | None = None
    ) -> str:
        self.messages[name] = {
            "name": name,
            "title": name,
            "contentType": f"application/{subtype}",
            **({} if headers is None else {"headers": headers}),
            "payload": {"description": payload},
            "bindings": {"kafka": {"key": key, "bindingVersion": _BINDING}},
        }
        return name


def _config(name: str, value: str) -> Any:
    """Return a topic setting as the Kafka binding has it: a list of policies, whole numbers."""
    return value.split(",") if name == "cleanup.policy" else int(value)
