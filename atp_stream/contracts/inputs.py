"""Bytes from Inventory Core to events; the writers' schemas are fetched beforehand and kept (design sections 2, 5)."""

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Literal

from atp_stream.contracts.avro import HEADER_SIZE, RecordReader, header, open_writer
from atp_stream.contracts.errors import BadInput, ErrorClass, SchemaNotResolved
from atp_stream.contracts.json_envelope import decode_envelope
from atp_stream.contracts.records import BUILDERS, QUANTITY_FIELDS
from atp_stream.domain.events import Input

FetchSchema = Callable[[int], Awaitable[str]]
"""Asks the registry for the text of the Avro schema with an id. Waits while the registry cannot be reached. Raises
``BadInput`` for an id that it does not know or whose schema is of no use, and its own errors for everything else."""

MAX_REFUSED: Final = 10_000
"""Most schema ids remembered as of no use, so that a flood of made-up ids takes neither memory nor a request each."""
REFUSED_FOR_SECONDS: Final = 60.0
"""How long such an id is not asked for again: by then someone may have registered it."""


class InputDecoder:
    """Decodes input records; remembers every writer's schema by its id.

    Give each batch's values to ``needs`` first, ``resolve`` what it names, then ``decode``: nothing is awaited and
    nothing is fetched per message. Not for use from several threads.
    """

    def __init__(self, fetch: FetchSchema, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock``: seconds, monotonic; decides only when an unknown id is asked for again, never what an event is."""
        self._fetch: Final = fetch
        self._clock: Final = clock
        # By the five bytes in front of a record, so that no id has to be worked out for a known one.
        self._readers: Final[dict[bytes, RecordReader]] = {}
        self._refused: Final[dict[bytes, tuple[float, ErrorClass, str]]] = {}

    @property
    def refuses_any(self) -> bool:
        """Whether any id is remembered as of no use."""
        return bool(self._refused)

    def needs(self, value: bytes | None, *, again: bool = False) -> int | None:
        """Return the schema id of an Avro value if it has to be resolved before ``decode``; None otherwise.

        ``again``: also an id that was of no use a moment ago. Not for values of a topic whose encoding is JSON: those
        need nothing.
        """
        if value is None or value[:HEADER_SIZE] in self._readers:
            return None
        prefix = value[:HEADER_SIZE]
        if len(prefix) < HEADER_SIZE or prefix[0] != 0:
            return None
        refused = self._refused.get(prefix)
        if refused is not None and not again and self._clock() < refused[0]:
            return None
        return int.from_bytes(prefix[1:], "big")

    async def resolve(self, schema_ids: Iterable[int]) -> None:
        """Ask the registry for these ids, one request each, and wait as long as it cannot be reached.

        An id that is of no use is remembered, and every record with it is bad input. What ``fetch`` raises apart from
        ``BadInput`` (access refused) goes to the caller; what has been resolved until then is kept.
        """
        wanted = dict.fromkeys(schema_ids)
        for schema_id in wanted:
            prefix = header(schema_id)
            if prefix in self._readers:
                continue
            self._refused.pop(prefix, None)
            try:
                self._readers[prefix] = open_writer(await self._fetch(schema_id))
            except BadInput as bad:
                until = self._clock() + REFUSED_FOR_SECONDS
                self._refused[prefix] = (until, bad.error_class, f"schema id {schema_id}: {bad.message}")
        # The oldest first, but none of those asked for here: they are about to be decoded.
        while len(self._refused) > max(MAX_REFUSED, len(wanted)):
            del self._refused[next(iter(self._refused))]

    def decode(self, event_type: str | None, encoding: Literal["avro", "json"], value: bytes | None) -> Input:
        """Return the event in ``value``; quantities in hundredths, times in epoch milliseconds.

        ``event_type``: the one that the topic carries; None: any of Core's, as on the changes log.

        Raises ``BadInput`` for every value that is not a valid event, whatever its bytes, and ``SchemaNotResolved``
        when ``resolve`` has not been called for its schema id, or so long ago that the answer is forgotten.
        """
        if value is None:
            raise BadInput(ErrorClass.NULL_VALUE, "the record has no value")
        if encoding == "json":
            found, event = decode_envelope(value)
            if event_type is not None and found != event_type:
                raise _wrong_event_type(event_type, found)
            return event
        reader = self._readers.get(value[:HEADER_SIZE])
        if reader is None:
            raise self._why_unreadable(value)
        found = reader.event_type
        if event_type is not None and found != event_type:
            raise _wrong_event_type(event_type, found)
        record = reader.read(value)
        raw = record[QUANTITY_FIELDS[found]]
        if not raw:
            raise BadInput(ErrorClass.MALFORMED_QUANTITY, "the quantity is a decimal without bytes")
        return BUILDERS[found](record, int.from_bytes(raw, "big", signed=True))

    def _why_unreadable(self, value: bytes) -> Exception:
        prefix = value[:HEADER_SIZE]
        if len(prefix) < HEADER_SIZE or prefix[0] != 0:
            return BadInput(ErrorClass.NOT_AVRO, f"no Confluent wire format: starts with {prefix!r}")
        refused = self._refused.get(prefix)
        if refused is None:
            return SchemaNotResolved(int.from_bytes(prefix[1:], "big"))
        _, error_class, message = refused
        return BadInput(error_class, message)


def _wrong_event_type(expected: str, found: str) -> BadInput:
    return BadInput(ErrorClass.WRONG_EVENT_TYPE, f"a {found} on a topic of {expected}")
