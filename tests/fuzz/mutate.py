"""Changes to one value of an event, so that the rest of it is still looked at."""

import json
from random import Random
from typing import Any, Final

from . import plain_avro
from .take import TEXTS
from .writers import UNKNOWN_ID, WRITERS

MAX: Final = 10**18 - 1
NUMBERS: Final = (0, 1, -1, 2, 100, MAX, MAX + 1, -MAX, -MAX - 1, 2**31 - 1, 2**31, 2**63 - 1, -(2**63))
TIMES: Final = (0, -1, 1, 1767323045000, 253402300799999, 253402300800000, 2**62, -(2**63))
#: Texts of quantities: what is exact, what is not, and what only looks like a number.
QUANTITIES: Final = (
    "0", "-0", "0.00", "-0.01", "0.01", "0.001", "1.10", "1.100", "1e2", "1E-2", "1e-3", "12.5e1", "1e400", "1e-400",
    "9999999999999999.99", "10000000000000000", "-9999999999999999.99", "9999999999999999.990", "99999999999999999e-1",
    "9999999999999999.999", "0" * 40, "0" * 41, "1" * 41, "0." + "0" * 40, "0." + "0" * 41, "1e999", "1e1000", "00.5",
    "+1", " 1", "1 ", "1_0", "\u0661", "1.", ".5", "", "NaN", "Infinity", "1,5", "0x1", "1e+2", "100e-2", "5e-324",
)  # fmt: skip
MOMENTS: Final = (
    "2026-01-02T03:04:05.678Z", "2026-01-02T03:04Z", "2026-01-02", "2026-02-30T00:00:00Z", "1969-12-31T23:59:59.999Z",
    "1970-01-01T00:00:00Z", "1970-01-01T00:00:00+01:00", "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59-00:01",
    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "2026-01-02T24:00:00Z", "2026-01-02T03:04:60Z",
    "2026-01-02T03:04:05+05:60", "2026-01-02T03:04:05+0530", "2026-01-02T03:04:05+05", "2026-01-02T03:04:05,5",
    "2026-01-02 03:04:05", "2026-W01-1T03:04:05Z", "20260102T030405Z", "2026-01-02T03:04:05.1234567890Z", "", "Z",
    "2026-01-02T03:04:05+24:00", "\u0662026-01-02T03:04:05Z", "2026-01-02T03:04:05.0009999Z", "1767323045000",
)  # fmt: skip


def mutate_avro(data: bytes, random: Random) -> bytes:
    """Change a field of a frame behind one selecting byte, write it by another schema, or break it."""
    selector, frame = data[:1], data[1:]
    if random.random() < 0.1:
        selector = bytes([random.randrange(256)])
    writer = WRITERS.get(int.from_bytes(frame[1:5], "big"))
    draw = random.random()
    if writer is None or writer.refused is not None or draw < 0.1:
        schema_id = random.choice((*WRITERS, UNKNOWN_ID, UNKNOWN_ID + random.randrange(1 << 15), 0, 2**32 - 1))
        return selector + b"\x00" + schema_id.to_bytes(4, "big") + frame[5:]
    try:
        fields, length = plain_avro.read(writer.schema, frame[5:])
    except plain_avro.NotAvro:
        return selector + _bytes(frame, random)
    rest = frame[5 + length :]
    if draw < 0.15:
        rest = b"" if rest else bytes([random.randrange(256)])
    elif draw < 0.25:
        return selector + _bytes(frame, random)
    else:
        fields = _at_other_value(writer.schema, fields, random)
    try:
        return selector + frame[:5] + plain_avro.write(writer.schema, fields) + rest
    except (TypeError, AssertionError, OverflowError):
        return selector + _bytes(frame, random)


def _at_other_value(schema: Any, fields: dict[str, Any], random: Random) -> dict[str, Any]:
    field = random.choice(schema["fields"])
    name, kind = field["name"], field["type"]
    branches = kind if isinstance(kind, list) else [kind]
    branch = random.choice(branches)
    primitive = branch["type"] if isinstance(branch, dict) else branch
    value: Any = fields[name]
    if primitive == "null":
        value = None
    elif primitive == "string":
        value = random.choice((random.choice(TEXTS).encode(errors="replace"), random.randbytes(random.randrange(6))))
    elif primitive == "bytes":
        number = random.choice((*NUMBERS, random.randrange(-(2**70), 2**70), random.randrange(10**6)))
        size = number.bit_length() // 8 + 1
        value = random.choice((b"", number.to_bytes(size, "big", signed=True), number.to_bytes(20, "big", signed=True)))
    elif primitive in ("int", "long"):
        value = random.choice((*TIMES, *NUMBERS, random.randrange(-(2**40), 2**48)))
        value = max(-(2**63), min(2**63 - 1, value))
    return {**fields, name: value}


def _bytes(frame: bytes, random: Random) -> bytes:
    changed = bytearray(frame)
    at = random.randrange(len(changed) + 1)
    changed[at : at + random.randrange(3)] = random.randbytes(random.randrange(4))
    return bytes(changed)


class _Raw(str):
    """Text that goes into JSON as it is."""

    __slots__ = ()


def mutate_json(data: bytes, random: Random) -> bytes:
    """Change, drop, add or repeat a field of an envelope behind one selecting byte."""
    selector, text = data[:1], data[1:]
    if random.random() < 0.05:
        selector = bytes([random.randrange(256)])
    try:
        envelope = json.loads(text, parse_float=str, parse_int=str)
        payload = envelope["payload"]
        names = [(node, name) for node in (envelope, payload) for name in node if name != "payload"]
        node, name = random.choice(names)
    except (ValueError, LookupError, TypeError, RecursionError):
        return selector + _bytes(text, random)
    draw = random.random()
    if draw < 0.06:
        del node[name]
    elif draw < 0.1:
        document = _written(envelope)
        return selector + document.replace(f'"{name}"', f'"{name}":1,"{name}"', 1).encode(errors="replace")
    elif draw < 0.2:
        node[name] = random.choice((None, True, [], {}, [[]], 1, _Raw("1e5"), _Raw("NaN"), _Raw("[" * 1500), 1.5, "x"))
    elif name in ("quantity", "onHand"):
        number = random.choice((*QUANTITIES, f"{random.randrange(10**6)}e{random.randrange(-5, 5)}"))
        node[name] = random.choice((number, _Raw(number)))
    elif name in ("timestamp", "expiresAt"):
        node[name] = random.choice(MOMENTS)
    elif name == "priority":
        node[name] = _Raw(random.choice((*map(str, NUMBERS), "1.0", "1e2", "0x1", "-0", "9" * 30)))
    elif name == "eventType":
        node[name] = random.choice([writer.kind for writer in WRITERS.values()])
    else:
        text_of = random.choice(TEXTS)
        node[name] = random.choice((text_of, _Raw('"\\ud800"'), _Raw('"a\\udc00\\ud800"'), text_of + "b"))
    for name in ("priority", "expiresAt", "reference", "reason", "channel"):
        if random.random() < 0.05:
            payload[name] = random.choice(("x", _Raw("5"), MOMENTS[0], None))
    return selector + _written(envelope).encode(errors="replace")


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_written(item)}" for name, item in value.items()) + "}"
    if isinstance(value, _Raw):
        return value
    return json.dumps(value)
