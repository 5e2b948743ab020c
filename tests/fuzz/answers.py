"""Target: what a schema registry may answer, and schemas that it may hold."""

import json
from collections.abc import AsyncIterator
from io import BytesIO
from random import Random
from typing import Any, Final, cast

import fastavro
import httpx

from atp_stream.contracts.avro import RecordReader, open_writer
from atp_stream.contracts.catalogue import TopicSpec, catalogue
from atp_stream.contracts.errors import BadInput, RegistryError
from atp_stream.contracts.registry import SchemaRegistry
from atp_stream.contracts.registry_client import MAX_ANSWER_BYTES
from tests.pipeline.core import CREATED, schema_named

from .take import Take
from .target import ACCEPTED, Target, in_loop
from .writers import WRITERS

OUTPUT: Final = next(spec for spec in catalogue({}) if spec.event == "AllocationCommittedEvent")
INPUT: Final = TopicSpec("core.created", 12, "input", CREATED, "ReservationCreatedSchema.avsc")
STATUSES: Final = (200, 404, 200, 500, 401, 403, 301, 204, 201, 400, 409, 422, 429, 599, 408, 407, 503, 418, 101)
FIELDS: Final = 200
"""How many bytes of an input say how the registry answers; the rest is the schema's text."""


class Waiting(Exception):
    """The registry would be asked again after a pause."""


async def _pause(_: float) -> None:
    raise Waiting


class _Answers(httpx.AsyncBaseTransport):
    """Answers each request by the next choices."""

    def __init__(self, take: Take, text: bytes) -> None:
        self._take = take
        self._text = text
        self.read = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        take = self._take
        status = take.choose(STATUSES)
        if take.number(30) == 1:
            raise httpx.RemoteProtocolError(take.text())
        headers = {"content-type": take.choose(("application/json", "text/html; charset=utf-16", "x" * 300, ""))}
        if take.number(4) == 1:
            headers |= {"location": "http://elsewhere.test/", "content-encoding": take.choose(("gzip", "br", "x"))}
        return httpx.Response(status, headers=headers, stream=_Chunks(self, self._body(take)), request=request)

    def _body(self, take: Take) -> list[bytes]:
        shape = take.number(12)
        if shape == 9:
            return [take.some(60)]
        if shape == 10:
            part = take.choose((b"[", b'{"a":', b"9", b"\xff", b" ", b'{"schema":"'))
            return [part * take.choose((1, 5000, 1 << 19))] * 4
        text = self._text.decode("latin-1") if shape == 8 else self._text.decode(errors="replace")
        answer: Any = {"schema": text, "id": 7}
        if shape == 1:
            answer = {"error_code": take.choose((40403, 40401, 404, 0, None, "x", 50001)), "message": take.text()}
        elif shape == 2:
            answer |= {"schemaType": take.choose(("AVRO", "JSON", "PROTOBUF", None, [], 7, {"a": []}, "\x1b[31m\n"))}
        elif shape == 3:
            name = take.choose(("id", "version", "subject", "schema"))
            answer |= {name: take.choose((None, True, -1, "7", [], 1e30))}
        elif shape == 4:
            del answer[take.choose(("id", "schema"))]
        elif shape == 5:
            answer |= {"id": take.number(1 << 32), "version": 3, "subject": "s", "schemaType": "AVRO"}
        elif shape == 6:
            answer = take.choose(([], None, 7, "x", True, [answer], {"schema": answer}))
        elif shape == 7:
            answer |= {"references": [{"name": "x", "subject": "y", "version": 1}], "version": 1, "subject": "s"}
        return [json.dumps(answer).encode("utf-8", "replace")]


class _Chunks(httpx.AsyncByteStream):
    def __init__(self, answers: _Answers, chunks: list[bytes]) -> None:
        self._answers, self._chunks = answers, chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self._answers.read += len(chunk)
            yield chunk


def _check_message(message: str) -> None:
    assert message.isprintable(), f"not fit for a terminal: {message!a}"
    assert len(message) < 1000, "longer than anyone reads"


async def _ask(data: bytes) -> tuple[str, str | None]:
    take = Take(data[:FIELDS])
    answers = _Answers(take, data[FIELDS:])
    question = take.number(8)
    schema_id = take.choose((7, 1, 0, 2**31 - 1, 2**31, 2**32 - 1))
    registry = SchemaRegistry("http://registry.test/api", transport=answers, sleep=_pause)
    spec = (OUTPUT, INPUT)[question % 2]
    outcome, text = ACCEPTED, None
    try:
        if question == 5:
            await registry.check([spec])
        elif question == 6:
            await registry.ids([spec])
        elif question == 7:
            await registry.register([spec])
        else:
            text = await registry.fetch(schema_id)
    except Waiting:
        outcome = "WAITING"
        assert registry.outage is not None
        registry.outage.encode()
    except BadInput as bad:
        _check_message(bad.message)
        outcome = bad.error_class
    except RegistryError as error:
        _check_message(str(error))
        outcome = type(error).__name__
    finally:
        await registry.aclose()
    assert answers.read <= 4 * (MAX_ANSWER_BYTES + (2 << 20)), "read without bound"
    return outcome, text


def check_schema(text: str, values: bytes) -> str:
    """A schema is refused, or records written with it are read as fastavro alone would, within bounds."""
    try:
        reader = open_writer(text)
    except BadInput as bad:
        _check_message(bad.message)
        return bad.error_class
    schema = json.loads(text)
    assert isinstance(schema, dict)
    try:
        parsed = fastavro.parse_schema(schema)
    except Exception:  # a logical type of no sense, which Avro passes over and fastavro does not
        return ACCEPTED
    try:
        record = reader.read(b"\x00" * 5 + values)
    except BadInput:
        return ACCEPTED
    _check_same(reader, record, parsed, values)
    return ACCEPTED


def _check_same(reader: RecordReader, record: dict[str, Any], parsed: Any, values: bytes) -> None:
    stream = BytesIO(values)
    try:
        plain = cast(dict[str, Any], fastavro.schemaless_reader(stream, parsed, None))
    except Exception:  # a time or a decimal that Python's own types cannot hold
        return
    assert stream.tell() == len(values)
    ours = {field["name"] for field in schema_named(reader.event_type)["fields"]}
    for name in ours & plain.keys():
        found, expected = record[name], plain[name]
        if isinstance(found, bytes) and not isinstance(expected, bytes | None):
            assert int(expected.scaleb(2)) == int.from_bytes(found, "big", signed=True)
        elif hasattr(expected, "timestamp"):
            assert round(expected.timestamp() * 1000) == found
        else:
            assert found == expected, f"{name} is {found!a}, not {expected!a}"


def run(data: bytes) -> str:
    """Whatever is answered: a schema, bad input, something to wait for, or a refusal; no more is read than fits."""
    outcome, text = in_loop(_ask(data))
    if text is None:
        return outcome
    return check_schema(text, data[:FIELDS] if data[:1] < b"\x80" else data[1:60])


_NODES: Final[tuple[Any, ...]] = (
    "null", "string", "bytes", "long", "int", "float", "boolean", "record", "enum", "", None, 5, -1, 1.5, True, [], {},
    ["null"], ["null", "null"], ["string", "string"], [[]], {"type": "string"}, {"type": {"type": {"type": "int"}}},
    {"type": "array", "items": "null"}, {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}},
    {"type": "fixed", "name": "F", "size": 1 << 40}, {"type": "fixed", "name": "F", "size": -5},
    {"type": "fixed", "name": "F", "size": "7"}, {"type": "enum", "name": "E", "symbols": []}, {"type": "map"},
    {"type": "enum", "name": "E", "symbols": "AB"}, {"type": "record", "name": "R", "fields": []}, {"type": "error"},
    {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2},
    {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2.0},
    {"type": "bytes", "logicalType": "decimal", "precision": -1, "scale": "2"},
    {"type": "long", "logicalType": "timestamp-millis"}, {"type": "string", "logicalType": "uuid"},
    {"type": "map", "values": "bytes"}, "ReservationCreatedEvent",
    "com.erp.inventory.core.events.ReservationCreatedEvent",
    "\ud800", "\x00", "x" * 2000, 10**400,
)  # fmt: skip


def mutate(data: bytes, random: Random) -> bytes:
    """Change the choices, or one node of the schema."""
    fields, text = bytearray(data[:FIELDS].ljust(FIELDS, b"\x00")), data[FIELDS:]
    if random.random() < 0.4:
        for _ in range(random.randrange(1, 4)):
            fields[random.randrange(24)] = random.choice((random.randrange(256), random.randrange(12)))
        return bytes(fields) + text
    if random.random() < 0.05:
        depth = random.choice((3, 31, 33, 200, 900, 5000))
        opened, closed = random.choice((("[", "]"), ('{"type":', "}"), ('{"type":"array","items":', "}")))
        nested = opened * depth + '"int"' + closed * depth
        return bytes(fields) + text.replace(b'"string"', nested.encode(), 1)
    try:
        schema = json.loads(text)
        nodes = list(_nodes(schema))
        node, key = random.choice(nodes)
    except (ValueError, IndexError, RecursionError):
        return bytes(fields) + bytes(random.randrange(256) if random.random() < 0.1 else byte for byte in text)
    draw = random.random()
    if draw < 0.15 and isinstance(node, dict):
        del node[key]
    elif draw < 0.3:
        other, name = random.choice(nodes)
        node[key] = json.loads(json.dumps(other[name]))
    elif draw < 0.4 and isinstance(node, list):
        node.append(json.loads(json.dumps(node[key])))
    elif draw < 0.5:
        node[key] = [node[key], "null"]
    else:
        node[key] = random.choice(_NODES)
    return bytes(fields) + json.dumps(schema).encode()[:60_000]


def _nodes(value: Any, depth: int = 0) -> Any:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        if depth < 40:
            yield from _nodes(value[key], depth + 1)


def seeds() -> list[bytes]:
    """Each of the fuzzer's schemas as an answer to each question."""
    return [
        bytes([question]).ljust(FIELDS, b"\x00") + json.dumps(writer.schema).encode()
        for writer in [*WRITERS.values()][::2]
        for question in (0, 5, 6, 7)
    ]


ANSWERS: Final = Target("registry", 6, seeds, run, mutate)
