"""Avro in the Confluent wire format: byte 0, four bytes of schema id (big-endian), then the record (design section 2).

A record is read by its writer's schema, once that has been held against ours by the rules of Avro's schema resolution:
fields are matched by name, fields that we do not know are passed over, fields that the writer does not know take their
defaults. Stricter than Avro: a decimal must have our scale, and a time must be in milliseconds, since the bytes alone
would be taken for another number; a string is not taken for bytes nor the other way round.

Decimals stay the bytes that they are: their integer is the number of hundredths, and no ``Decimal`` is made.
"""

import json
from functools import cache
from io import BytesIO
from typing import Any, Final, TypeAlias

from fastavro import parse_schema, schemaless_reader

from atp_stream.contracts.avro_integers import has_too_long_integer, named_types
from atp_stream.contracts.errors import BadInput, ErrorClass, quoted
from atp_stream.contracts.records import QUANTITY_FIELDS
from atp_stream.contracts.schemas import schema_of

Json: TypeAlias = Any
"""A parsed JSON value; of a schema from outside nothing is certain."""

HEADER_SIZE: Final = 5
MAX_DEPTH: Final = 32
"""Deepest nesting of a writer's schema as it is written; ours has five levels."""
MAX_NODES: Final = 1_000
"""Most parts (fields, branches, elements) of a writer's schema with every type counted wherever it is used."""

_SCHEMA_KEYS: Final = frozenset(
    {"type", "name", "namespace", "fields", "items", "values", "symbols", "size", "default"}
)
PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_PROMOTED_FROM: Final = {"string": ("string",), "bytes": ("bytes",), "int": ("int",), "long": ("long", "int")}
"""Our type to those of a writer that it can read."""


def header(schema_id: int) -> bytes:
    """Return the five bytes before a record."""
    return b"\x00" + schema_id.to_bytes(4, "big")


class RecordReader:
    """Reads the records of one writer's schema."""

    __slots__ = ("_named", "_reader", "_writer", "event_type")

    def __init__(self, event_type: str, writer: Json, reader: Json) -> None:
        self.event_type: Final = event_type
        self._writer: Final = writer
        self._reader: Final = reader
        self._named: Final = named_types(writer)

    def read(self, value: bytes) -> dict[str, Any]:
        """Return the fields by name, decimals as bytes; a field with a null default may be absent.

        Raises ``BadInput`` when the bytes behind the header are not exactly one record.
        """
        stream = BytesIO(value)
        stream.seek(HEADER_SIZE)
        try:
            record: dict[str, Any] = schemaless_reader(stream, self._writer, self._reader)  # type: ignore[assignment]
        except MemoryError:
            raise
        except Exception as error:
            # fastavro has no exception of its own for bytes it cannot read: EOFError, IndexError, UnicodeDecodeError...
            raise BadInput(
                ErrorClass.NOT_AVRO, f"no {self.event_type}: {type(error).__name__}: {quoted(str(error))}"
            ) from error
        if has_too_long_integer(self._writer, self._named, value, HEADER_SIZE):
            raise BadInput(ErrorClass.NOT_AVRO, f"no {self.event_type}: an integer of more than 10 bytes")
        if stream.tell() != len(value):
            raise BadInput(
                ErrorClass.TRAILING_BYTES, f"{len(value) - stream.tell()} bytes behind the {self.event_type}"
            )
        return record


def open_writer(text: str) -> RecordReader:
    """Prepare to read what was written with the schema ``text``.

    Raises ``BadInput`` (UNUSABLE_SCHEMA, WRONG_EVENT_TYPE, INCOMPATIBLE_SCHEMA): then every such record is bad.
    """
    try:
        schema = json.loads(text)
        parsed = parse_schema(plain_schema(schema))
        check_bounded(parsed)
    except BadInput:
        raise
    except Exception as error:
        # Whatever json and fastavro find wrong with a text from outside, each with exceptions of its own.
        raise _unusable(f"not an Avro schema: {type(error).__name__}: {quoted(str(error))}") from error
    # fastavro takes a record without fields, for one.
    if not isinstance(schema, dict) or schema.get("type") != "record" or not isinstance(schema.get("fields"), list):
        raise _unusable("not the schema of a record")
    if not all(isinstance(named["name"], str) for named in (schema, *schema["fields"])):
        raise _unusable("a name that is not text")
    event_type = str(schema["name"]).rpartition(".")[2]
    if event_type not in QUANTITY_FIELDS:
        raise BadInput(ErrorClass.WRONG_EVENT_TYPE, f"not an event that is consumed: {quoted(schema['name'])}")
    exact = _check_resolves(schema["fields"], event_type)
    return RecordReader(event_type, parsed, None if exact else raw_schema(event_type))


@cache
def raw_schema(event_type: str) -> Json:
    """Return our schema of an event, parsed, with decimals and times as the plain bytes and longs that they are."""
    return parse_schema(plain_schema(schema_of(event_type)))


def plain_schema(schema: Json, depth: int = 0) -> Json:
    """Return a schema without logical types, comments and anything else that does not change how bytes are read."""
    if depth > MAX_DEPTH:
        raise _unusable(f"the schema is nested more than {MAX_DEPTH} deep")
    if isinstance(schema, list):
        return [plain_schema(branch, depth + 1) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: value for key, value in schema.items() if key in _SCHEMA_KEYS}
    for key in ("type", "items", "values"):
        if key in plain:
            plain[key] = plain_schema(plain[key], depth + 1)
    if "fields" in plain:
        plain["fields"] = [plain_schema(field, depth + 1) for field in plain["fields"]]
    return plain


def check_bounded(parsed: Json) -> None:
    """Refuse a schema by which a few bytes could take for ever to read, or overrun the stack.

    That is one that contains itself, lists of elements without bytes, and types nested in types many times over.
    Raises ``BadInput`` (UNUSABLE_SCHEMA).
    """
    if _weigh(parsed, {})[1] > MAX_NODES:
        raise _unusable(f"a record has more than {MAX_NODES} parts")


def _weigh(schema: Json, named: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """Return the least number of bytes of a value, and the number of its parts with those of all types in it."""
    if isinstance(schema, list):
        return 1, 1 + sum(_weigh(branch, named)[1] for branch in schema)
    if isinstance(schema, str):
        if schema in PRIMITIVES:
            return (0 if schema == "null" else 1), 1
        if schema not in named:
            raise _unusable(f"{quoted(schema)} contains itself")
        return named[schema]
    kind = schema["type"]
    if kind in ("record", "error"):
        weights = [_weigh(field["type"], named) for field in schema["fields"]]
        named[schema["name"]] = sum(weight[0] for weight in weights), 1 + sum(weight[1] for weight in weights)
        return named[schema["name"]]
    if kind in ("fixed", "enum"):
        named[schema["name"]] = (schema["size"] if kind == "fixed" else 1), 1
        return named[schema["name"]]
    if kind in ("array", "map"):
        size, parts = _weigh(schema["items" if kind == "array" else "values"], named)
        if kind == "array" and size == 0:
            raise _unusable("an array of elements without bytes")
        return 1, 1 + parts
    return _weigh(kind, named)


def _check_resolves(fields: Json, event_type: str) -> bool:
    """Hold a writer's fields against ours. Raises ``BadInput`` (INCOMPATIBLE_SCHEMA).

    Returns True where the writer's schema alone reads what resolution against ours would give (nulls for fields that
    are missing), False where a value may be null that must not be: fastavro's resolution, which is slower, finds out.
    """
    written = {field["name"]: field["type"] for field in fields}
    if len(written) != len(fields):
        raise _unusable("two fields have the same name")
    exact = True
    for ours in schema_of(event_type)["fields"]:
        name = ours["name"]
        if name not in written:
            if "default" not in ours:
                raise BadInput(ErrorClass.INCOMPATIBLE_SCHEMA, f"the schema of {event_type} has no field {name}")
            continue
        our_type, we_take_null = _without_null(ours["type"])
        their_types, they_write_null = _without_null(written[name])
        exact = exact and (we_take_null or not they_write_null)
        if not all(_is_readable_as(their_type, our_type[0]) for their_type in their_types) or (
            not their_types and not we_take_null
        ):
            raise BadInput(
                ErrorClass.INCOMPATIBLE_SCHEMA,
                f"field {name} of {event_type} is {quoted(written[name])}, not {quoted(ours['type'])}",
            )
    return exact


def _without_null(schema: Json) -> tuple[list[Json], bool]:
    branches = schema if isinstance(schema, list) else [schema]
    others = [branch for branch in branches if branch != "null"]
    return others, len(others) < len(branches)


def _is_readable_as(theirs: Json, ours: Json) -> bool:
    their_type, their_logical = _primitive(theirs)
    our_type, our_logical = _primitive(ours)
    if their_type not in _PROMOTED_FROM[our_type]:
        return False
    if our_logical == "decimal":
        return their_logical == "decimal" and theirs.get("scale", 0) == ours["scale"]
    if our_type == "long":
        return their_logical in (None, "timestamp-millis")
    return True


def _primitive(schema: Json) -> tuple[str, str | None]:
    return (schema["type"], schema.get("logicalType")) if isinstance(schema, dict) else (schema, None)


def _unusable(message: str) -> BadInput:
    return BadInput(ErrorClass.UNUSABLE_SCHEMA, message)
