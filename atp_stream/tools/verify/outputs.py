"""The output events that consumers see, sorted by item and number."""

from collections import Counter
from collections.abc import Callable
from io import BytesIO
from typing import Any, Final
from uuid import UUID

from confluent_kafka import Message
from fastavro import schemaless_reader

from atp_stream.contracts.avro import HEADER_SIZE, Json
from atp_stream.contracts.keys import item_key
from atp_stream.domain.ids import allocation_id, output_event_id
from atp_stream.streaming.header_names import headers_of
from atp_stream.streaming.records import Partition
from atp_stream.tools.verify.changelog import Wanted, allocation_row
from atp_stream.tools.verify.packed import AVAILABILITY, COMMITTED, KINDS, RELEASED, TOPICS, pack_record
from atp_stream.tools.verify.reading import offset_of
from atp_stream.tools.verify.report import Findings, place
from atp_stream.tools.verify.scratch import OUTPUTS, SEEN, Place, Scratch

_HEADERS: Final = ("event-type", "causation-id", "sequence", "rules-version")

Schemas = Callable[[bytes], Json]
"""Gives the parsed schema, without logical types, for the bytes before a record. Raises what it will for others."""


class Outputs:
    """Writes a row for each output, and for those of a reservation one more beside its entry."""

    def __init__(self, scratch: Scratch, schemas: Schemas, wanted: Wanted, findings: Findings) -> None:
        self._scratch: Final = scratch
        self._schemas: Final = schemas
        self._wanted: Final = wanted
        self._findings: Final = findings
        self.versions: Final[Counter[str]] = Counter()
        """How many outputs have been decided by which rules-version."""

    def take(self, partition: Partition, messages: list[Message]) -> None:
        """Take records of one partition."""
        kind = TOPICS.index(partition.topic)
        for message in messages:
            key = message.key()
            if not isinstance(key, bytes) or key.count(b"/") != 1:
                where = place(*partition, message.offset())
                self._findings.add(None, "key of an output", "tenant/item", key, where)
            elif self._wanted(key):
                try:
                    self._one(kind, key, partition, message)
                except Exception as error:
                    # From outside: fastavro and the registry have exceptions of all kinds for what cannot be read.
                    found = f"{type(error).__name__}: {error}"
                    self._findings.add(key, "output", "a readable event", found, place(*partition, message.offset()))

    def _one(self, kind: int, key: bytes, partition: Partition, message: Message) -> None:
        value = message.value()
        if not isinstance(value, bytes):
            raise ValueError("it has no value")
        headers = dict(headers_of(message))
        event_type, cause, number, version = (_text(headers[name]) for name in _HEADERS)
        sequence = int(number)
        stream = BytesIO(value)
        stream.seek(HEADER_SIZE)
        record: Any = schemaless_reader(stream, self._schemas(value[:HEADER_SIZE]), None)
        tenant, item = record["tenantId"], record["itemId"]
        packed = pack_record(kind, record, cause, version)
        if event_type != KINDS[kind]:
            self._differs(key, "header event-type", KINDS[kind], event_type, message)
        if item_key(tenant, item) != key:
            self._differs(key, "item of the event", key.decode(), item_key(tenant, item).decode(), message)
        # With this, ids are unique where numbers are.
        event_id = output_event_id(tenant, item, cause, KINDS[kind], sequence)
        if record["eventId"] != event_id:
            self._differs(key, "eventId", event_id, record["eventId"], message)
        self.versions[version] += 1
        at = Place(kind, partition.number, offset_of(message)).encoded()
        order = sequence.to_bytes(8, "big")
        self._scratch.put(key + b"/" + OUTPUTS + order + SEEN + at, packed)
        if kind != AVAILABILITY:
            if kind in (COMMITTED, RELEASED):
                allocation = str(UUID(record["allocationId"]))
            else:
                allocation = allocation_id(tenant, item, record["reservationId"])
            self._scratch.put(allocation_row(key, allocation) + SEEN + order + at, packed)

    def _differs(self, key: bytes, what: str, expected: str, found: str, message: Message) -> None:
        where = place(str(message.topic()), message.partition() or 0, message.offset())
        self._findings.add(key, what, expected, found, where)


def _text(value: bytes | None) -> str:
    return (value or b"").decode()
