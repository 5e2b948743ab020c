"""Target: headers and keys of records, at Ingest and at Decide."""

from typing import Final

from atp_stream.contracts.keys import item_key
from atp_stream.stages.records import ENCODING, SOURCE, TRACEPARENT
from tests.unit.stages.harness import Consumed

from .events import avro_seeds, json_seeds
from .stages import Fate, Headers, Stages
from .take import Take
from .target import ACCEPTED, Target
from .writers import KINDS

NAMES: Final = (
    ENCODING, SOURCE, TRACEPARENT, "a", "", "Encoding", "encoding ", "encoding\x00", "source\x00x", "traceparent\x00",
    "\x00", "dead-letter-error", "dead-letter-cut", "causation-id", "sequence", "é", "日" * 50, "n" * 4000,
    "\U0001f4e6", "faust-reply-to", "__reply_topic",
)  # fmt: skip
VALUES: Final = (b"json", b"avro", b"JSON", b"", None, b"\xff\xfe", b"\x00", b"x" * 64, b"x" * 65, b"x" * 9000)
_LIMIT: Final = 64 << 10

_stages: list[Stages] = []
_values = [(KINDS[seed[0]], "avro", seed[1:]) for seed in avro_seeds()[::3]]
_values += [(KINDS[seed[0]], "json", seed[1:]) for seed in json_seeds()[::2]]


def _headers(take: Take) -> list[tuple[str, bytes | None]]:
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(take.number(8)):
        name = take.choose(NAMES) if take.number(4) else take.text()
        value = take.choose(VALUES) if take.number(4) else take.some(80)
        headers += [(name, value)] * take.choose((1, 1, 1, 2, 40, 3000))
    return headers


def _wire_size(headers: Headers) -> int:
    """Bytes of names and values; the few that each takes besides stand for themselves in what a record may have."""
    return sum(len(name.encode()) + len(value or b"") for name, value in headers)


def _name_as_produced(name: str) -> str:
    """As librdkafka takes it, a text of C: up to the first zero byte."""
    return name.partition("\x00")[0]


def run(data: bytes) -> str:
    """Whatever headers and key a record has: its fate is that of its value, and ours among the headers are ours."""
    if not _stages:
        _stages.append(Stages())
    stages, take = _stages[0], Take(data)
    kind, encoding, value = take.choose(_values)
    key = take.choose((None, b"", b"a/b", b"/watermark", take.some(40)))
    headers = _headers(take)
    fate = stages.ingest(kind, encoding, value, headers, key)  # type: ignore[arg-type]
    plain = stages.ingest(kind, encoding, value)  # type: ignore[arg-type]
    assert plain.forwarded is not None
    if fate.forwarded is None:
        assert fate.outcome == "TOO_LARGE"
        assert _wire_size(headers) + 16 * len(headers) > _LIMIT, "refused, though its headers are small"
        decided = _beside(stages, Consumed(value, plain.forwarded.key, headers))
        return fate.outcome if decided.outcome == ACCEPTED else decided.outcome
    sent = fate.forwarded.headers
    assert list(sent[:2]) == [(ENCODING, encoding.encode()), (SOURCE, f"core.{kind}/3/7".encode())]
    assert {_name_as_produced(name) for name, _ in sent[2:]}.isdisjoint({ENCODING, SOURCE}), "ours can be forged"
    assert list(sent[2:]) == [header for header in headers if _name_as_produced(header[0]) not in (ENCODING, SOURCE)]
    assert _wire_size(sent) <= _LIMIT + 400, "more headers than the changes log may have to take"
    produced = [(_name_as_produced(name), header) for name, header in sent]
    decided = stages.decide(Consumed(value, fate.forwarded.key, produced))
    expected = stages.decide(plain.forwarded)
    assert decided.outcome == ACCEPTED
    traces = [header for name, header in produced if name == TRACEPARENT]
    trace = traces[0] if traces and traces[0] is not None and len(traces[0]) <= 64 else None
    for one, other in zip(decided.outputs, expected.outputs, strict=True):
        assert (one.topic, one.key, one.value) == (other.topic, other.key, other.value)
        assert one.headers == other.headers + (() if trace is None else ((TRACEPARENT, trace),))
    _beside(stages, Consumed(value, key, headers))
    return ACCEPTED


def _beside(stages: Stages, record: Consumed) -> Fate:
    """A record that someone else has put into the changes log: decided by what its value says, or refused."""
    fate = stages.decide(record)
    if fate.outcome == ACCEPTED:
        assert all(entry.key == item_key("t-1", item) for entry in fate.outputs for item in [_item(entry.key)])
    return fate


def _item(key: bytes | None) -> str:
    assert key in (b"t-1/item-1", b"t-1/item%2F2")
    return "item-1" if key == b"t-1/item-1" else "item/2"


def seeds() -> list[bytes]:
    """One record of each kind with a few headers."""
    return [bytes([number, 0, 0, 3, 1, 0, 1, 1, 0, 1, 2, 1, 7, 0]) for number in range(len(_values))]


HEADERS: Final = Target("headers", 10, seeds, run)
