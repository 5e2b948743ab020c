"""Fetching writers' schemas: once per id, nothing per message, and a flood of made-up ids stays cheap."""

import json

import pytest

from atp_stream.contracts import inputs
from atp_stream.contracts.errors import BadInput, ErrorClass, RegistryRefused, SchemaNotResolved
from atp_stream.contracts.inputs import InputDecoder
from tests.contract.samples import CREATED, STOCK, Registry, our_texts, sample


class Clock:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def _value(schema_id: int) -> bytes:
    return b"\x00" + schema_id.to_bytes(4, "big") + sample(STOCK)[5:]


async def test_a_known_schema_is_asked_for_once() -> None:
    registry = Registry(our_texts())
    decoder = InputDecoder(registry.fetch)
    assert decoder.needs(_value(7)) == 7
    await decoder.resolve([7, 7])
    await decoder.resolve([7])
    assert decoder.needs(_value(7)) is None
    assert registry.asked == [7]


@pytest.mark.parametrize("value", [None, b"", b"\x00\x00\x00\x07", b"\x01\x00\x00\x00\x07abc", b"{}       "])
def test_values_without_a_schema_id_need_nothing(value: bytes | None) -> None:
    assert InputDecoder(Registry().fetch).needs(value) is None


async def test_an_unknown_id_is_asked_for_again_only_after_a_while() -> None:
    # given an id that the registry does not know
    registry, clock = Registry(), Clock()
    decoder = InputDecoder(registry.fetch, clock)
    await decoder.resolve([7])
    with pytest.raises(BadInput, match="UNKNOWN_SCHEMA_ID: schema id 7"):
        decoder.decode(STOCK, "avro", _value(7))
    assert decoder.needs(_value(7)) is None
    # when someone registers it and the time is over
    registry.texts = our_texts()
    clock.seconds = inputs.REFUSED_FOR_SECONDS
    # then it is asked for again, and until it has been, the old answer holds
    assert decoder.needs(_value(7)) == 7
    with pytest.raises(BadInput, match="UNKNOWN_SCHEMA_ID"):
        decoder.decode(STOCK, "avro", _value(7))
    await decoder.resolve([7])
    assert decoder.decode(STOCK, "avro", _value(7)).event_id == "e-1"
    assert registry.asked == [7, 7]


async def test_an_unknown_id_is_asked_for_again_at_once_where_that_is_asked_for() -> None:
    registry = Registry()
    decoder = InputDecoder(registry.fetch, Clock())
    await decoder.resolve([7])
    assert decoder.refuses_any
    registry.texts = our_texts()
    assert (decoder.needs(_value(7)), decoder.needs(_value(7), again=True)) == (None, 7)
    await decoder.resolve([7])
    assert decoder.needs(_value(7), again=True) is None
    assert decoder.decode(STOCK, "avro", _value(7)).event_id == "e-1"


async def test_the_schema_of_something_else_is_remembered_too() -> None:
    registry = Registry({7: json.dumps({"type": "record", "name": "Other", "fields": []}), 8: "no schema"})
    decoder = InputDecoder(registry.fetch, Clock())
    await decoder.resolve([7, 8])
    for schema_id, error_class in ((7, ErrorClass.WRONG_EVENT_TYPE), (8, ErrorClass.UNUSABLE_SCHEMA)):
        assert decoder.needs(_value(schema_id)) is None
        with pytest.raises(BadInput) as caught:
            decoder.decode(STOCK, "avro", _value(schema_id))
        assert caught.value.error_class == error_class


async def test_a_flood_of_unknown_ids_is_forgotten_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MAX_REFUSED", 3)
    decoder = InputDecoder(Registry().fetch, Clock())
    await decoder.resolve([1, 2])
    await decoder.resolve([3, 4])
    assert [decoder.needs(_value(schema_id)) for schema_id in (1, 2, 3, 4)] == [1, None, None, None]
    with pytest.raises(SchemaNotResolved):
        decoder.decode(STOCK, "avro", _value(1))


async def test_all_ids_asked_for_together_can_be_decoded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MAX_REFUSED", 3)
    decoder = InputDecoder(Registry().fetch, Clock())
    await decoder.resolve(range(10, 20))
    for schema_id in range(10, 20):
        with pytest.raises(BadInput):
            decoder.decode(STOCK, "avro", _value(schema_id))


async def test_refused_access_is_not_taken_for_an_unknown_id() -> None:
    # given a registry that refuses access after the first answer
    registry = Registry(our_texts())

    async def fetch(schema_id: int) -> str:
        if schema_id == 8:
            raise RegistryRefused("401")
        return await registry.fetch(schema_id)

    decoder = InputDecoder(fetch)
    # when several ids are resolved, then the refusal comes through, and what was known stays known
    with pytest.raises(RegistryRefused):
        await decoder.resolve([7, 8, 9])
    assert [decoder.needs(_value(schema_id)) for schema_id in (7, 8, 9)] == [None, 8, 9]
    with pytest.raises(SchemaNotResolved):
        decoder.decode(CREATED, "avro", _value(8))
