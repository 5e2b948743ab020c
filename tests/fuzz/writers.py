"""The schemas that the registry of the fuzzer holds: ours, Core's own, grown ones, and some that are of no use."""

import copy
import json
from typing import Any, Final, NamedTuple

from atp_stream.contracts.errors import BadInput, ErrorClass
from tests.pipeline.core import CREATED, RELEASED, STOCK, schema_named, writer_schema

KINDS: Final = (STOCK, CREATED, RELEASED)
UNKNOWN_ID: Final = 0x7FFF0000


class Writer(NamedTuple):
    """A schema in the registry, and why nothing written with it can be taken (None: it can)."""

    kind: str
    schema: Any
    refused: str | None = None


def _grown(kind: str) -> Any:
    """Fields of every type added in front, between and behind, the known ones in another order."""
    known = copy.deepcopy(schema_named(kind)["fields"])
    for field in known:
        if field["name"] == "timestamp":
            field["type"] = {"type": "long", "logicalType": "timestamp-millis"}
    more: list[Any] = [
        {"name": "flag", "type": "boolean"},
        {"name": "tags", "type": {"type": "array", "items": ["null", "string", "long"]}},
        {"name": "more", "type": {"type": "map", "values": {"type": "array", "items": "int"}}},
        {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 4}},
        {"name": "level", "type": {"type": "enum", "name": "Level", "symbols": ["LOW", "HIGH"]}},
        {"name": "weight", "type": ["double", "float", "null"]},
        {
            "name": "inner",
            "type": {"type": "record", "name": "Inner", "fields": [{"name": "x", "type": ["null", "bytes"]}]},
        },
    ]
    return {
        "type": "record",
        "name": f"elsewhere.{kind}",
        "fields": [*more[:3], *known[::-1], *more[3:]],
    }


def _nullable(kind: str) -> Any:
    """What must not be null may be null for this writer; times are ints."""
    schema = copy.deepcopy(schema_named(kind))
    for field in schema["fields"]:
        if field["name"] == "timestamp":
            field["type"] = "int"
        elif isinstance(field["type"], str) or field["name"] in ("quantity", "onHand"):
            field["type"] = [field["type"], "null"]
    return schema


def _changed(kind: str, name: str, of: Any) -> Any:
    schema = copy.deepcopy(schema_named(kind))
    for field in schema["fields"]:
        if field["name"] == name:
            field["type"] = of
    return schema


_OTHER_SCALE: Final = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 3}
_MICROS: Final = {"type": "long", "logicalType": "timestamp-micros"}
_RECURSIVE: Final = {"type": "record", "name": STOCK, "fields": [{"name": "x", "type": ["null", STOCK]}]}

WRITERS: Final[dict[int, Writer]] = {
    **{number: Writer(kind, schema_named(kind)) for number, kind in enumerate(KINDS, 1)},
    **{number: Writer(kind, writer_schema(kind)) for number, kind in enumerate(KINDS, 4)},
    **{number: Writer(kind, _grown(kind)) for number, kind in enumerate(KINDS, 7)},
    **{number: Writer(kind, _nullable(kind)) for number, kind in enumerate(KINDS, 10)},
    20: Writer(STOCK, _changed(STOCK, "onHand", _OTHER_SCALE), "INCOMPATIBLE_SCHEMA"),
    21: Writer(CREATED, _changed(CREATED, "quantity", "double"), "INCOMPATIBLE_SCHEMA"),
    22: Writer(RELEASED, _changed(RELEASED, "timestamp", _MICROS), "INCOMPATIBLE_SCHEMA"),
    23: Writer(STOCK, _changed(STOCK, "tenantId", "bytes"), "INCOMPATIBLE_SCHEMA"),
    24: Writer(STOCK, _RECURSIVE, "UNUSABLE_SCHEMA"),
    25: Writer("AvailabilityCalculatedEvent", schema_named("AvailabilityCalculatedEvent"), "WRONG_EVENT_TYPE"),
}


async def fetch(schema_id: int) -> str:
    """Answer as the registry does."""
    if schema_id not in WRITERS:
        raise BadInput(ErrorClass.UNKNOWN_SCHEMA_ID, "the registry does not know this id")
    return json.dumps(WRITERS[schema_id].schema)
