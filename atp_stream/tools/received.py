"""What comes out of atp-stream, decoded for people: output events and dead letters (design sections 2.3 and 5)."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any, Final, TypeAlias

from confluent_kafka import Message
from fastavro import parse_schema, schemaless_reader

from atp_stream.contracts.avro import HEADER_SIZE, Json
from atp_stream.streaming.header_names import headers_of

DEAD_LETTER: Final = "DeadLetter"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CAUSE: Final = "dead-letter-"
Schemas: TypeAlias = Callable[[int], Json]
"""Gives the Avro schema with an id. Raises whatever it will when there is none."""


@dataclass(frozen=True, slots=True)
class Received:
    """A committed record of an output topic or of the dead letters.

    kind: the event type, or DEAD_LETTER. time: of the record in Kafka, epoch ms. key: the item key, tenant/item; of a
    dead letter that of its record. fields: as in the schema, quantities as `Decimal` with two places; of a dead letter
    none. headers: as text, the first where a name comes twice. value: bytes of a dead letter, as they came.
    unreadable: why the value could not be decoded, None if it could.
    """

    topic: str
    partition: int
    offset: int
    time: int
    key: str
    kind: str
    fields: dict[str, Any]
    headers: dict[str, str]
    value: bytes | None = None
    unreadable: str | None = None

    @property
    def sequence(self) -> int:
        """The number of the event among those of its item; 0: it has none."""
        text = self.headers.get("sequence", "")
        return int(text) if text.isascii() and text.isdigit() else 0

    def cause(self, what: str) -> str:
        """Return what a dead letter says of its cause: topic, partition, offset, error or message."""
        return self.headers.get(_CAUSE + what, "?")

    def document(self) -> dict[str, Any]:
        """Return all of it, ready to be written as JSON: decimals as strings, bytes in base64."""
        document: dict[str, Any] = {
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "time": iso(self.time),
            "key": self.key,
            "event": self.kind,
            "fields": {
                name: f"{value:.2f}" if isinstance(value, Decimal) else value for name, value in self.fields.items()
            },
            "headers": self.headers,
        }
        if self.kind == DEAD_LETTER:
            document["value"] = None if self.value is None else base64.b64encode(self.value).decode()
        if self.unreadable is not None:
            document["unreadable"] = self.unreadable
        return document


class Reader:
    """Makes `Received` of consumed messages."""

    def __init__(self, event_types: dict[str, str], schemas: Schemas) -> None:
        """`event_types`: those of the output topics, by topic; any other topic holds dead letters."""
        self._event_types: Final = event_types
        self._schemas: Final = schemas
        self._parsed: Final[dict[int, Json]] = {}

    def read(self, message: Message) -> Received:
        """Decode a message; one that cannot be decoded says why."""
        topic, value = str(message.topic()), _bytes(message.value())
        kind = self._event_types.get(topic, DEAD_LETTER)
        fields: dict[str, Any] = {}
        unreadable = None
        if kind != DEAD_LETTER:
            try:
                fields = self._decoded(value or b"")
            except Exception as error:
                # From outside, and only to be shown: whatever is wrong with it, the next ones are to be seen too.
                unreadable = f"{type(error).__name__}: {error}"
        key = _bytes(message.key())
        return Received(
            topic,
            message.partition() or 0,
            message.offset() or 0,
            message.timestamp()[1],
            _text(key) if key is not None else "",
            kind,
            fields,
            _headers(message),
            value if kind == DEAD_LETTER else None,
            unreadable,
        )

    def _decoded(self, value: bytes) -> dict[str, Any]:
        if value[:1] != b"\x00" or len(value) < HEADER_SIZE:
            raise ValueError("no Confluent wire format")
        schema_id = int.from_bytes(value[1:HEADER_SIZE], "big")
        if schema_id not in self._parsed:
            self._parsed[schema_id] = parse_schema(self._schemas(schema_id))
        stream = BytesIO(value)
        stream.seek(HEADER_SIZE)
        record: Any = schemaless_reader(stream, self._parsed[schema_id], None)
        return dict(record)


def iso(milliseconds: int) -> str:
    """Return a time in epoch milliseconds as ISO 8601 in UTC."""
    return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def printable(text: str) -> str:
    """Return the text with what a terminal might obey, or not show, written as escapes."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _text(value: bytes) -> str:
    return value.decode(errors="backslashreplace")


def _headers(message: Message) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers_of(message):
        found.setdefault(name, _text(value or b""))
    return found
