"""A dead letter's value for a person: decoded as far as it can be, and in a form that can be mended.

The form of an Avro value is a JSON document: `schema-id`, `record` (fields by name), and `trailing` (hex) if there are
bytes behind the record. Decimals are strings, any other bytes `{"bytes": "<hex>"}`, times the epoch milliseconds that
they are. It is given only where encoding it again gives the same bytes.
"""

import asyncio
import json
import re
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from atp_stream.admin import registry as registry_access
from atp_stream.contracts.avro import HEADER_SIZE, Json, check_bounded, header, plain_schema
from atp_stream.contracts.catalogue import TopicSpec
from atp_stream.contracts.errors import BadInput, quoted
from atp_stream.contracts.registry import SchemaRegistry
from atp_stream.errors import DataError, UnavailableError
from atp_stream.settings import Settings
from atp_stream.tools.dead_letters.check import registry_silent

_DECIMAL: Final = re.compile(r"(-?)(\d{1,60})(?:\.(\d{1,60}))?", re.ASCII)
_MOST_TEXT: Final = 64 << 10
LATEST: Final = "latest"


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as it is shown. kind: avro, json, text, bytes or none. why: why it is not decoded further.

    form: of avro, the form that can be mended; of json, what was parsed.
    """

    kind: str
    form: Json = None
    why: str | None = None


class Schemas:
    """Writers' schemas by id, asked of the registry once each."""

    def __init__(self, settings: Settings) -> None:
        self._settings: Final = settings
        self._known: Final[dict[int, Json]] = {}

    def get(self, schema_id: int) -> Json:
        """Return the schema with this id. BadInput: it is not known or of no use. UnavailableError: no answer."""
        if schema_id not in self._known:
            seconds = self._settings.registry.timeout_seconds

            async def fetch(registry: SchemaRegistry) -> str:
                return await asyncio.wait_for(registry.fetch(schema_id), seconds)

            try:
                self._known[schema_id] = json.loads(registry_access.run(self._settings, fetch))
            except TimeoutError:
                raise registry_silent(self._settings) from None
        return self._known[schema_id]

    def latest(self, topic: str) -> int:
        """Return the id of the latest schema of a topic's values. DataError: there is none."""
        subject = f"{topic}-value"
        spec = TopicSpec(topic, 1, "input", schema_file="")
        found = registry_access.run(self._settings, lambda registry: registry.ids([spec]))
        if subject not in found:
            raise DataError(
                f"no schema is registered for {subject}",
                cause="the value to send names no schema id, so that the latest of its topic was looked for",
                fix="give the schema id in the file, or run `atp-stream schemas register`",
            )
        return found[subject]


def decoded(value: bytes | None, schemas: Schemas) -> Shown:
    """Return a value as far as it can be decoded. UnavailableError: its schema could not be asked for."""
    if not value:
        return Shown("none" if value is None else "bytes")
    if value[:1] == b"\0" and len(value) >= HEADER_SIZE:
        try:
            return Shown("avro", _form(value, schemas))
        except BadInput as bad:
            return Shown("bytes", why=f"Avro that cannot be read: {bad.message}")
        except UnavailableError:
            raise
        except Exception as error:
            # From outside, and fastavro has no exception of its own for bytes that it cannot read.
            return Shown("bytes", why=f"Avro that cannot be read: {type(error).__name__}: {quoted(str(error))}")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return Shown("bytes")
    try:
        return Shown("json", json.loads(text))
    except (ValueError, RecursionError) as error:
        why = f"not JSON: {quoted(str(error))}"
    return Shown("text", text, why) if len(text) <= _MOST_TEXT else Shown("bytes", why=why)


def encoded(form: Json, topic: str, schemas: Schemas) -> bytes:
    """Return the Avro value that a form stands for.

    Its schema is that with the id it names; without one, or with "latest", the latest of the values of `topic`.
    DataError: it cannot be encoded, and why. UnavailableError: the registry did not answer.
    """
    unknown = form.keys() - {"schema-id", "record", "trailing"}
    schema_id = form.get("schema-id", LATEST)
    if schema_id == LATEST:
        schema_id = schemas.latest(topic)
    try:
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        if type(schema_id) is not int or not 0 <= schema_id < 1 << 32:
            raise ValueError(f"schema-id is neither a number nor {LATEST!r}")
        return _bytes_of(form, schema_id, schemas.get(schema_id))
    except UnavailableError:
        raise
    except BadInput as bad:
        cause = f"schema id {schema_id}: {bad.message}"
    except Exception as error:
        # What a person wrote does not fit the schema: fastavro has many ways to say so.
        cause = f"{type(error).__name__}: {error}"
    raise DataError(
        "the value cannot be encoded",
        cause=cause,
        fix='correct the file: {"schema-id": ..., "record": {...}}, as `atp-stream dead-letters show` writes it',
    )


def is_form(document: Json) -> bool:
    """Return whether a JSON document is the form of an Avro value."""
    return isinstance(document, dict) and "record" in document


def hex_dump(value: bytes, most_lines: int = 16) -> list[str]:
    """Return bytes in lines of 16, as hex and as characters; a last line says how many are not shown."""
    shown = value[: 16 * most_lines]
    lines = []
    for start in range(0, len(shown), 16):
        part = shown[start : start + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{start:06x}  {part[:8].hex(' '):23}  {part[8:].hex(' '):23}  {text}")
    if len(value) > len(shown):
        lines.append(f"... {len(value) - len(shown):,} bytes more")
    return lines


def _form(value: bytes, schemas: Schemas) -> Json:
    schema_id = int.from_bytes(value[1:HEADER_SIZE], "big")
    schema = schemas.get(schema_id)
    stream = BytesIO(value)
    stream.seek(HEADER_SIZE)
    record: Any = schemaless_reader(stream, _parsed(schema), None)
    form = {"schema-id": schema_id, "record": _readable(record, schema)}
    if rest := value[stream.tell() :]:
        form["trailing"] = rest.hex()
    if _bytes_of(json.loads(json.dumps(form)), schema_id, schema) != value:
        raise ValueError("its bytes are not those that Avro writes for it")
    return form


def _bytes_of(form: Json, schema_id: int, schema: Json) -> bytes:
    stream = BytesIO()
    stream.write(header(schema_id))
    record = _plain(form["record"], schema)
    schemaless_writer(stream, _parsed(schema), record, strict_allow_default=True)
    return stream.getvalue() + bytes.fromhex(form.get("trailing", ""))


def _parsed(schema: Json) -> Json:
    parsed = parse_schema(plain_schema(schema))
    check_bounded(parsed)
    return parsed


def _scales(schema: Json) -> dict[str, int]:
    """Return the scales of the decimals among the fields of a record's schema."""
    found = {}
    for field in schema["fields"] if isinstance(schema, dict) and schema.get("type") == "record" else ():
        branches = field["type"] if isinstance(field["type"], list) else [field["type"]]
        for branch in branches:
            if isinstance(branch, dict) and branch.get("logicalType") == "decimal" and branch.get("type") == "bytes":
                found[field["name"]] = int(branch.get("scale", 0))
    return found


def _readable(record: Json, schema: Json) -> Json:
    scales = _scales(schema)
    if not scales or not isinstance(record, dict):
        return _without_bytes(record)
    return {
        name: _decimal(value, scales[name])
        if name in scales and isinstance(value, bytes) and _shortest(int.from_bytes(value, "big", signed=True)) == value
        else _without_bytes(value)
        for name, value in record.items()
    }


def _plain(record: Json, schema: Json) -> Json:
    scales = _scales(schema)
    if not isinstance(record, dict):
        return _with_bytes(record)
    return {
        name: _unscaled(name, value, scales[name]) if name in scales and isinstance(value, str) else _with_bytes(value)
        for name, value in record.items()
    }


def _without_bytes(value: Json) -> Json:
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, dict):
        return {name: _without_bytes(part) for name, part in value.items()}
    return [_without_bytes(part) for part in value] if isinstance(value, list) else value


def _with_bytes(value: Json) -> Json:
    if isinstance(value, dict):
        if value.keys() == {"bytes"} and isinstance(value["bytes"], str):
            return bytes.fromhex(value["bytes"])
        return {name: _with_bytes(part) for name, part in value.items()}
    return [_with_bytes(part) for part in value] if isinstance(value, list) else value


def _decimal(value: bytes, scale: int) -> str:
    number = int.from_bytes(value, "big", signed=True)
    digits = str(abs(number)).rjust(scale + 1, "0")
    whole, fraction = digits[: len(digits) - scale], digits[len(digits) - scale :]
    return f"{'-' if number < 0 else ''}{whole}{'.' if scale else ''}{fraction}"


def _unscaled(name: str, text: str, scale: int) -> bytes:
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"{name} is not a decimal number: {quoted(text)}")
    sign, whole, fraction = match[1], match[2], (match[3] or "").rstrip("0")
    if len(fraction) > scale:
        raise ValueError(f"{name} has more than {scale} decimals: {quoted(text)}")
    number = int(whole + fraction.ljust(scale, "0"))
    return _shortest(-number if sign else number)


def _shortest(number: int) -> bytes:
    """Return an integer as Java's BigInteger writes it: the fewest bytes of two's complement."""
    return number.to_bytes((number if number >= 0 else ~number).bit_length() // 8 + 1, "big", signed=True)
