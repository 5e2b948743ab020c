"""Writers' schemas held against ours: what Avro's resolution allows, what it would get wrong, what could hurt."""

import json
from collections.abc import Mapping
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader
from hypothesis import given
from hypothesis import strategies as st

from atp_stream.contracts.avro import MAX_DEPTH, open_writer
from atp_stream.contracts.errors import BadInput, ErrorClass
from atp_stream.contracts.schemas import schema_of
from tests.contract.samples import CREATED, RELEASED, SAMPLES, STOCK, avro, old_schema


def _with_field(event_type: str, name: str, field_type: object) -> dict[str, Any]:
    """Our schema with one field of another type, or one more field."""
    schema = schema_of(event_type)
    fields = [field for field in schema["fields"] if field["name"] != name]
    return {**schema, "fields": [*fields, {"name": name, "type": field_type}]}


def _refusal(schema: object) -> ErrorClass:
    with pytest.raises(BadInput) as caught:
        open_writer(schema if isinstance(schema, str) else json.dumps(schema))
    return caught.value.error_class


def _resolved_by_fastavro(writer: Mapping[str, Any], event_type: str, value: bytes) -> dict[str, Any]:
    return schemaless_reader(BytesIO(value[5:]), parse_schema(dict(writer)), parse_schema(schema_of(event_type)))  # type: ignore[return-value]


WRITERS: list[tuple[str, dict[str, Any]]] = [
    *[(event_type, schema_of(event_type)) for event_type in SAMPLES],
    *[(event_type, old_schema(event_type)) for event_type in SAMPLES],
    # Nullable where ours is not: readable as long as the value is there.
    (CREATED, _with_field(CREATED, "channel", ["string", "null"])),
    (CREATED, _with_field(CREATED, "timestamp", ["null", "int", "long"])),
    # Not nullable where ours is.
    (STOCK, _with_field(STOCK, "channel", "string")),
    (CREATED, _with_field(CREATED, "expiresAt", "long")),
    (RELEASED, _with_field(RELEASED, "reason", {"type": "string", "avro.java.string": "String"})),
    # More fields.
    (RELEASED, _with_field(RELEASED, "more", ["null", {"type": "array", "items": {"type": "map", "values": "bytes"}}])),
    # Another order, and another namespace: Avro compares the last part of the name.
    (STOCK, {**schema_of(STOCK), "namespace": "other", "fields": schema_of(STOCK)["fields"][::-1]}),
]


@pytest.mark.parametrize(("event_type", "writer"), WRITERS)
def test_reading_gives_what_fastavros_resolution_gives(event_type: str, writer: dict[str, Any]) -> None:
    value = avro(writer, {**SAMPLES[event_type], "more": [{"a": b"b"}]}, 1)
    record = open_writer(json.dumps(writer)).read(value)
    expected = _resolved_by_fastavro(writer, event_type, value)
    for field in schema_of(event_type)["fields"]:
        found = record.get(field["name"])
        if field["name"] in ("quantity", "onHand"):
            found = Decimal(int.from_bytes(record[field["name"]], "big", signed=True)).scaleb(-2)
        assert found == expected[field["name"]]


def test_a_null_where_ours_has_none_is_bad_whatever_the_writer_allows() -> None:
    writer = _with_field(CREATED, "channel", ["null", "string"])
    reader = open_writer(json.dumps(writer))
    with pytest.raises(BadInput) as caught:
        reader.read(avro(writer, {**SAMPLES[CREATED], "channel": None}, 1))
    assert caught.value.error_class == ErrorClass.NOT_AVRO


def _decimal(**changes: object) -> dict[str, object]:
    return {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2, **changes}


@pytest.mark.parametrize(
    "writer",
    [
        # The same bytes would be another number.
        _with_field(CREATED, "quantity", _decimal(scale=4)),
        _with_field(CREATED, "quantity", _decimal(scale=0)),
        _with_field(CREATED, "quantity", {"type": "bytes", "logicalType": "decimal", "precision": 18}),
        _with_field(CREATED, "quantity", "bytes"),
        _with_field(CREATED, "quantity", ["null", "bytes"]),
        _with_field(CREATED, "timestamp", {"type": "long", "logicalType": "timestamp-micros"}),
        # Not exact, or not what it is.
        _with_field(CREATED, "quantity", "double"),
        _with_field(CREATED, "quantity", "string"),
        _with_field(
            CREATED,
            "quantity",
            {"type": "fixed", "name": "Q", "size": 8, "logicalType": "decimal", "precision": 18, "scale": 2},
        ),
        _with_field(CREATED, "timestamp", "string"),
        _with_field(CREATED, "timestamp", "double"),
        _with_field(CREATED, "itemId", "bytes"),
        _with_field(CREATED, "itemId", "int"),
        _with_field(CREATED, "itemId", ["string", "int"]),
        _with_field(CREATED, "priority", ["null", "long"]),
        _with_field(CREATED, "itemId", {"type": "enum", "name": "E", "symbols": ["A"]}),
        # Missing.
        {**schema_of(CREATED), "fields": schema_of(CREATED)["fields"][1:]},
        {**schema_of(CREATED), "fields": []},
    ],
)
def test_a_writer_whose_values_would_be_misread_is_refused(writer: dict[str, Any]) -> None:
    assert _refusal(writer) == ErrorClass.INCOMPATIBLE_SCHEMA


def test_a_decimal_of_another_precision_is_the_same_number() -> None:
    writer = _with_field(CREATED, "quantity", _decimal(precision=30))
    record = open_writer(json.dumps(writer)).read(avro(writer, SAMPLES[CREATED], 1))
    assert record["quantity"] == b"\x02\x0d"


def test_a_time_declared_in_milliseconds_is_still_a_number() -> None:
    writer = _with_field(CREATED, "timestamp", {"type": "long", "logicalType": "timestamp-millis"})
    record = open_writer(json.dumps(writer)).read(avro(writer, SAMPLES[CREATED], 1))
    assert record["timestamp"] == 1767323045000


@pytest.mark.parametrize("name", ["Other", "AvailabilityCalculatedEvent"])
def test_a_record_that_is_not_consumed_is_refused(name: str) -> None:
    assert _refusal({**schema_of(STOCK), "name": name}) == ErrorClass.WRONG_EVENT_TYPE


def _nested(levels: int) -> object:
    schema: object = "string"
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def _doubling(levels: int) -> list[dict[str, object]]:
    """Fields whose value has two to the power of ``levels`` parts and not one byte."""
    fields: list[dict[str, object]] = [{"name": "f0", "type": {"type": "record", "name": "R0", "fields": []}}]
    for level in range(1, levels):
        parts = [{"name": name, "type": f"R{level - 1}"} for name in "ab"]
        fields.append({"name": f"f{level}", "type": {"type": "record", "name": f"R{level}", "fields": parts}})
    return fields


SELF = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
NOTHING = {"type": "record", "name": "Nothing", "fields": [{"name": "n", "type": "null"}]}


@pytest.mark.parametrize(
    "schema",
    [
        "",
        "not json",
        "null",
        "5",
        '"string"',
        "[]",
        '{"type": "record"}',
        '{"type": "record", "name": "ReservationCreatedEvent"}',
        '{"type": "record", "name": "ReservationCreatedEvent", "fields": [5]}',
        '{"type": "record", "name": 5, "fields": []}',
        '{"type": "array", "items": "string"}',
        "[" * 1_000_000,
        _with_field(CREATED, "more", "Unknown"),
        _with_field(CREATED, "more", _nested(MAX_DEPTH + 1)),
        _with_field(CREATED, "more", SELF),
        _with_field(CREATED, "more", {"type": "array", "items": "null"}),
        _with_field(CREATED, "more", {"type": "array", "items": NOTHING}),
        _with_field(CREATED, "more", {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}),
        {**schema_of(CREATED), "fields": [*schema_of(CREATED)["fields"], *_doubling(40)]},
        {**schema_of(CREATED), "fields": [*schema_of(CREATED)["fields"], schema_of(CREATED)["fields"][0]]},
    ],
)
def test_a_schema_that_is_none_or_could_hurt_is_refused(schema: object) -> None:
    assert _refusal(schema) == ErrorClass.UNUSABLE_SCHEMA


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["record", "string", "array", "union", "X", "fixed", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "name", "fields", "items", "values", "size", "symbols"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_schema_makes_anything_but_a_bad_input(schema: object) -> None:
    _refusal(json.dumps(schema))
    _refusal(_with_field(CREATED, "quantity", schema))
