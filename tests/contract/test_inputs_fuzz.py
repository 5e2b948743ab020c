"""No bytes make anything but an event or a bad input."""

import json

from hypothesis import given
from hypothesis import strategies as st

from atp_stream.contracts.errors import BadInput, SchemaNotResolved
from atp_stream.contracts.inputs import InputDecoder
from atp_stream.contracts.json_envelope import decode_envelope
from tests.contract.samples import SAMPLES, SCHEMA_IDS, Registry, our_texts, sample
from tests.contract.test_json_envelope import envelope

AVRO = [sample(event_type) for event_type in SAMPLES]
JSON = [envelope(event_type) for event_type in SAMPLES]


def _decoder() -> InputDecoder:
    # Resolving waits for nothing here, so that no event loop is needed.
    decoder = InputDecoder(Registry(our_texts()).fetch)
    resolving = decoder.resolve(SCHEMA_IDS.values())
    try:
        resolving.send(None)
    except StopIteration:
        return decoder
    raise AssertionError("resolving waits")


DECODER = _decoder()


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """A good record with some bytes changed, cut out or put in."""
    value = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(value)))
        value[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=12))
    return bytes(value)


def _decode_avro(value: bytes) -> None:
    try:
        DECODER.decode(None, "avro", value)
    except BadInput as bad:
        assert bad.message  # noqa: PT017
    except SchemaNotResolved:
        assert DECODER.needs(value) is not None


def _decode_json(value: bytes) -> None:
    try:
        decode_envelope(value)
    except BadInput as bad:
        assert bad.message  # noqa: PT017


@given(st.sampled_from(list(SCHEMA_IDS.values())), st.binary(max_size=200))
def test_random_bytes_behind_a_known_id(schema_id: int, body: bytes) -> None:
    _decode_avro(b"\x00" + schema_id.to_bytes(4, "big") + body)


@given(st.binary(max_size=50))
def test_random_bytes(value: bytes) -> None:
    _decode_avro(value)
    _decode_json(value)


@given(mutated(AVRO))
def test_mutated_avro(value: bytes) -> None:
    _decode_avro(value)


@given(mutated(JSON))
def test_mutated_json(value: bytes) -> None:
    _decode_json(value)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = [
    "eventType",
    "eventId",
    "timestamp",
    "tenantId",
    "payload",
    "itemId",
    "channel",
    "quantity",
    "onHand",
    "priority",
    "expiresAt",
]


@given(st.sampled_from(list(SAMPLES)), st.sampled_from(FIELDS), ANY_JSON)
def test_json_with_values_of_any_type_in_any_place(event_type: str, name: str, value: object) -> None:
    document = json.loads(envelope(event_type))
    (document if name in document else document["payload"])[name] = value
    _decode_json(json.dumps(document).encode())
