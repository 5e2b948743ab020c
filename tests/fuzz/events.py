"""Targets: Avro frames and JSON envelopes, through Ingest and through Decide."""

from collections.abc import Callable, Sequence
from typing import Final

from tests.pipeline.core import CREATED, RELEASED, Core, Event
from tests.unit.stages.harness import Consumed

from . import plain_avro, rules
from .mutate import mutate_avro, mutate_json
from .stages import Encoding, Fate, Stages, check_fields, check_single
from .target import ACCEPTED, Target
from .writers import KINDS, WRITERS

_FILLED: Final = {
    "flag": True,
    "tags": ["a", None],
    "more": {"k": [1, 2]},
    "hash": b"hash",
    "level": "LOW",
    "weight": 0.5,
    "inner": {"x": b"x"},
}
"""Values of the fields that a grown schema has and we do not know."""


def _events() -> list[Event]:
    core = Core("t-1")
    made = [
        core.stock("item-1", "150.00", "ECOM"),
        core.stock("item/2", "-2.55"),
        core.created("item-1", "r-1", "5.25"),
    ]
    more = {"reference": "so-1", "priority": 1, "expiresAt": 1767326645000}
    made.append(Event(CREATED, {**made[2].fields, **more}))
    released = core.released("item-1", "r-1", "0.50")
    return [*made, released, Event(RELEASED, {**released.fields, "reason": "CANCELLED"})]


def avro_seeds() -> Sequence[bytes]:
    """Every event by every schema that can be used."""
    seeds = []
    for event in _events():
        for schema_id, writer in WRITERS.items():
            if writer.kind == event.kind and writer.refused is None:
                fields = {**{field["name"]: None for field in writer.schema["fields"]}, **_FILLED, **event.fields}
                quantity = int(fields[rules.QUANTITY[event.kind]].scaleb(2))
                fields[rules.QUANTITY[event.kind]] = quantity.to_bytes(4, "big", signed=True)
                frame = plain_avro.write(writer.schema, fields)
                seeds.append(bytes([KINDS.index(event.kind)]) + b"\x00" + schema_id.to_bytes(4, "big") + frame)
    return seeds


def json_seeds() -> Sequence[bytes]:
    """Every event as an envelope."""
    seeds = [(event.kind, event.json()) for event in _events()]
    return [
        bytes([KINDS.index(kind)]) + text.replace(b"1767326645000", b'"2026-01-02T04:04:05Z"') for kind, text in seeds
    ]


def run_event(stages: Stages, encoding: Encoding, data: bytes) -> str:
    """Hold one value against the rules, on the way through Ingest and then Decide, and at Decide alone."""
    kind = KINDS[(data[0] if data else 0) % len(KINDS)]
    value = data[1:]
    found, fields, wrong = rules.of_json(value) if encoding == "json" else rules.of_avro(value)
    of_topic = set(wrong)
    if found is not None and found != kind:
        of_topic.add("WRONG_EVENT_TYPE")
    fate = stages.ingest(kind, encoding, value)
    _agree(fate, of_topic)
    if fate.forwarded is not None:
        check_fields(stages.decoder.decode(kind, encoding, value), fields)
    alone = fate.forwarded or Consumed(value, b"any", [("encoding", encoding.encode())])
    decided = stages.decide(alone)
    _agree(decided, wrong)
    if decided.outcome == ACCEPTED and fate.forwarded is not None:
        assert found is not None
        assert alone.key is not None
        check_single(found, fields, alone.key, decided.outputs)
    elif decided.outcome != ACCEPTED:
        assert not decided.outputs
    return fate.outcome


def _agree(fate: Fate, wrong: set[str]) -> None:
    if fate.outcome == ACCEPTED:
        assert not wrong, f"accepted, though {wrong}"
    else:
        assert fate.outcome in wrong, f"refused as {fate.outcome}, though {wrong or 'nothing is wrong with it'}"


def run_of(encoding: Encoding, make: Callable[[], Stages] = Stages) -> Callable[[bytes], str]:
    """The target's function; the stages live as long as it does, as those of a worker."""
    stages: list[Stages] = []

    def run(data: bytes) -> str:
        if not stages:
            stages.append(make())
        return run_event(stages[0], encoding, data)

    return run


AVRO: Final = Target("avro", 30, avro_seeds, run_of("avro"), mutate_avro)
JSON: Final = Target("json", 22, json_seeds, run_of("json"), mutate_json)
