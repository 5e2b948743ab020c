"""A value in a form that can be mended: the same bytes again, decimals as a person writes them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atp_stream.contracts.errors import BadInput, ErrorClass
from atp_stream.contracts.schemas import schema_of
from atp_stream.errors import DataError
from atp_stream.tools.dead_letters.value import Schemas, decoded, encoded, hex_dump, is_form
from tests.contract.samples import CREATED, SAMPLES, SCHEMA_IDS, STOCK, avro, sample

ODD = {
    "type": "record",
    "name": "Odd",
    "fields": [
        {"name": "amount", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}]},
        {"name": "raw", "type": "bytes"},
        {"name": "parts", "type": {"type": "array", "items": {"type": "map", "values": "double"}}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
        {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 2}},
    ],
}


class Known(Schemas):
    """Schemas by id; the latest of any topic is that of a stock event."""

    def __init__(self) -> None:
        self.texts: dict[int, Any] = {number: schema_of(event) for event, number in SCHEMA_IDS.items()} | {50: ODD}

    def get(self, schema_id: int) -> Any:
        if schema_id not in self.texts:
            raise BadInput(ErrorClass.UNKNOWN_SCHEMA_ID, "the registry does not know this id")
        return self.texts[schema_id]

    def latest(self, topic: str) -> int:
        return SCHEMA_IDS[STOCK]


def through_a_file(form: Any) -> Any:
    return json.loads(json.dumps(form, indent=2, ensure_ascii=False))


def test_given_an_event_when_it_is_decoded_then_a_person_can_read_and_mend_it() -> None:
    shown = decoded(sample(STOCK), Known())
    assert (shown.kind, shown.form["record"]["onHand"], shown.form["schema-id"]) == ("avro", "150.00", 7)
    mended = through_a_file(shown.form)
    mended["record"]["onHand"] = "-0.5"
    del mended["schema-id"]
    changed = {**SAMPLES[STOCK], "onHand": -SAMPLES[STOCK]["onHand"] / 300}
    assert encoded(mended, "stock", Known()) == avro(schema_of(STOCK), changed, 7)


@given(
    units=st.integers(-(10**18), 10**18),
    text=st.text(max_size=5),
    trailing=st.binary(max_size=3),
    time=st.integers(-(2**63), 2**63 - 1),
)
def test_given_any_event_when_it_goes_through_a_file_then_it_has_the_same_bytes(
    units: int, text: str, trailing: bytes, time: int
) -> None:
    size = (units if units >= 0 else ~units).bit_length() // 8 + 1
    fields = {**SAMPLES[CREATED], "quantity": units.to_bytes(size, "big", signed=True), "expiresAt": time}
    value = avro(schema_of(CREATED), {**fields, "reference": text}, SCHEMA_IDS[CREATED]) + trailing
    shown = decoded(value, Known())
    assert isinstance(shown.form["record"]["quantity"], str)
    assert encoded(through_a_file(shown.form), "created", Known()) == value


def test_given_fields_of_every_kind_when_they_go_through_a_file_then_they_have_the_same_bytes() -> None:
    record = {
        "amount": b"\x00\x85",
        "raw": b"\xff",
        "parts": [{"x": 0.1, "y": float("inf")}],
        "kind": "B",
        "hash": b"ab",
    }
    value = avro(ODD, record, 50)
    form = decoded(value, Known()).form
    assert form["record"]["amount"] == "0.133"
    assert form["record"]["raw"] == {"bytes": "ff"}
    assert encoded(through_a_file(form), "", Known()) == value


def test_given_a_decimal_with_bytes_to_spare_when_it_is_decoded_then_they_are_kept() -> None:
    value = avro(schema_of(STOCK), {**SAMPLES[STOCK], "onHand": b"\x00\x00\x01"}, 7)
    form = decoded(value, Known()).form
    assert form["record"]["onHand"] == {"bytes": "000001"}
    assert encoded(through_a_file(form), "", Known()) == value


@pytest.mark.parametrize(
    ("value", "kind", "why"),
    [
        (None, "none", None),
        (b"", "bytes", None),
        (b'{"a": 1}', "json", None),
        (b"hello", "text", "not JSON"),
        (b"\xff\xfe", "bytes", None),
        (b"\0\0\0\0\x63abc", "bytes", "does not know this id"),
        (sample(STOCK)[:20], "bytes", "EOFError"),
    ],
)
def test_given_what_is_no_avro_when_it_is_decoded_then_it_says_what_it_is(
    value: bytes | None, kind: str, why: str | None
) -> None:
    shown = decoded(value, Known())
    assert shown.kind == kind
    assert (why or "") in (shown.why or "")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"schema-id": 99}, "schema id 99: the registry does not know this id"),
        ({"schema-id": "seven"}, "schema-id is neither a number nor 'latest'"),
        ({"shema-id": 7}, "unknown: shema-id"),
        ({"trailing": "xyz"}, "ValueError"),
        ({"record": {"onHand": "1.234"}}, "onHand has more than 2 decimals: '1.234'"),
        ({"record": {"onHand": "much"}}, "onHand is not a decimal number: 'much'"),
        ({"record": {"eventId": 5}}, "eventId"),
        ({"record": {"more": "x"}}, "more"),
        ({"record": "all"}, ""),
    ],
)
def test_given_a_form_that_does_not_fit_when_it_is_encoded_then_it_says_why(change: dict[str, Any], cause: str) -> None:
    form = through_a_file(decoded(sample(STOCK), Known()).form)
    record = change.get("record")
    change = {**change, "record": {**form["record"], **record}} if isinstance(record, dict) else change
    with pytest.raises(DataError) as refused:
        encoded({**form, **change}, "stock", Known())
    assert cause in refused.value.cause


def test_a_form_is_told_from_core_s_envelope() -> None:
    assert is_form({"record": {}})
    others: list[Any] = [{"eventId": "e"}, [], None, "record"]
    assert not any(is_form(other) for other in others)


def test_bytes_are_shown_as_hex_and_characters() -> None:
    assert hex_dump(b"\0abcdefgh\xff") == ["000000  00 61 62 63 64 65 66 67  68 ff                    .abcdefgh."]
    assert hex_dump(bytes(100), 1)[1:] == ["... 84 bytes more"]
    assert hex_dump(b"") == []
