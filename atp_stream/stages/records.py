"""What both stages do with raw records."""

from collections.abc import Sequence
from typing import Final, Literal

from atp_stream.contracts.errors import BadInput, ErrorClass, printable
from atp_stream.contracts.inputs import InputDecoder
from atp_stream.domain.events import Input
from atp_stream.settings import SourceTopic
from atp_stream.streaming.dead_letter_records import REPLAY_OF
from atp_stream.streaming.header_names import EscapedName
from atp_stream.streaming.records import Headers, Record

#: Header of the changes log: how the value is encoded, `avro` or `json`.
ENCODING: Final = "encoding"
#: Header of the changes log: where the record came from, topic/partition/offset.
SOURCE: Final = "source"
#: W3C trace context, handed on to whatever the record brings about.
TRACEPARENT: Final = "traceparent"

#: Largest event. An event takes a few hundred bytes; what is far above is not one, and could not be forwarded.
MOST_VALUE_BYTES: Final = 256 << 10
_MOST_TRACEPARENT_BYTES: Final = 64  # W3C's has 55; it is copied to everything that follows
_MOST_HEADER_BYTES: Final = 64 << 10
_MOST_NAME_SHOWN: Final = 60
_BYTES_PER_HEADER: Final = 8  # besides name and value: a million empty headers are not nothing


def check_size(record: Record) -> None:
    """Raise `BadInput` for a record that is too large to be forwarded whole."""
    if record.value is not None and len(record.value) > MOST_VALUE_BYTES:
        raise BadInput(ErrorClass.TOO_LARGE, f"the value has {len(record.value)} bytes, at most {MOST_VALUE_BYTES} do")
    if record.headers:
        size = sum(len(name.encode()) + len(value or b"") + _BYTES_PER_HEADER for name, value in record.headers)
        if size > _MOST_HEADER_BYTES:
            raise BadInput(ErrorClass.TOO_LARGE, f"the headers have {size} bytes, at most {_MOST_HEADER_BYTES} do")


def check_header_names(headers: Headers) -> None:
    """Raise `BadInput` for a header name that is not UTF-8: no client could read what is forwarded with it."""
    for name, _ in headers:
        if isinstance(name, EscapedName):
            shown = printable(name[:_MOST_NAME_SHOWN])
            raise BadInput(ErrorClass.HEADER_NAME_NOT_UTF8, f"the name of a header is not UTF-8: {shown}")


async def resolve_schemas(decoder: InputDecoder, records: Sequence[Record]) -> None:
    """Fetch the schemas that these records need and that are not known: one request per id, none per record.

    A dead letter that was sent back is one that somebody may just have registered the schema for.
    """
    unknown = {schema_id for record in records if (schema_id := decoder.needs(record.value)) is not None}
    if decoder.refuses_any:
        replayed = (record for record in records if any(name == REPLAY_OF for name, _ in record.headers))
        unknown |= {
            schema_id for record in replayed if (schema_id := decoder.needs(record.value, again=True)) is not None
        }
    if unknown:
        await decoder.resolve(sorted(unknown))


def encoding_of(record: Record) -> Literal["avro", "json"]:
    """Return how a record of the changes log is encoded, by its header."""
    return "json" if (ENCODING, b"json") in record.headers else "avro"


def event_to_decide(record: Record, decoder: InputDecoder, claim: SourceTopic | None) -> Input:
    """Return the event of a record that is decided. `claim`: its topic is keyed by item; None: it is the changes log.

    Raises `BadInput`: it is refused. The schemas it needs must be known, see `resolve_schemas`.
    """
    check_header_names(record.headers)
    if claim is None:
        return decoder.decode(None, encoding_of(record), record.value)
    check_size(record)
    return decoder.decode(claim.event, claim.encoding, record.value)


def traceparent_of(record: Record) -> bytes | None:
    """Return the trace context of a record, if it has one."""
    for name, value in record.headers:
        if name == TRACEPARENT:
            return value if value is not None and len(value) <= _MOST_TRACEPARENT_BYTES else None
    return None
