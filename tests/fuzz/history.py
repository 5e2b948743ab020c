"""Target: sequences of valid events in batches of any size, against the oracle of the pipeline."""

from decimal import Decimal
from typing import Any, Final, cast

from atp_stream.contracts.inputs import InputDecoder
from atp_stream.contracts.outputs import OutputEncoder
from atp_stream.domain.policy import ChannelPolicy, Policy
from atp_stream.settings import SourceTopic
from atp_stream.stages.decide import Decide
from atp_stream.stages.ingest import Ingest
from tests.pipeline import oracle
from tests.pipeline.core import BEGAN, CREATED, RELEASED, STOCK, Event
from tests.pipeline.log import Entry
from tests.unit.stages.harness import Consumed, Written
from tests.unit.stages.harness import run as run_stage

from . import plain_avro
from .rules import QUANTITY
from .stages import CHANGES, SCHEMA_IDS
from .take import Take
from .target import ACCEPTED, Target, at_once
from .writers import WRITERS, fetch

CHANNELS: Final = ("ECOM", "POS", "WHOLESALE")
_AMOUNTS: Final = (100, 1, 99, 1000, 50000, 0, 7, 10**15)
#: Safety stock, protected and limit by channel, in hundredths.
POLICIES: Final[tuple[tuple[int, dict[str, int], dict[str, int]], ...]] = (
    (0, {}, {}),
    (500, {"POS": 2000}, {"ECOM": 900}),
    (100000, {"POS": 100, "ECOM": 100, "OTHER": 5}, {"POS": 0}),
    (1, {"WHOLESALE": 10**15}, {"ECOM": 10**15, "WHOLESALE": 99}),
)


def _event(take: Take, number: int) -> Event:
    kind = take.choose((STOCK, CREATED, RELEASED))
    repeated = take.number(8) == 0
    fields: dict[str, Any] = {
        "eventId": f"e-{number // 2 if repeated else number}",
        "timestamp": BEGAN + (take.number(4) if take.number(4) == 0 else number),
        "tenantId": "t-1",
        "itemId": take.choose(("item-1", "item-1", "item-2")),
        "locationId": take.choose(("l-1", "l-2")),
    }
    amount = take.choose(_AMOUNTS) * (1 + take.number(4)) + take.number(256)
    channel = take.choose(("ECOM", "POS", "OTHER"))
    if kind == STOCK:
        fields |= {"channel": channel if take.number(2) else None}
        fields["onHand"] = Decimal(-amount if take.number(6) == 0 else amount).scaleb(-2)
    else:
        fields |= {"reservationId": f"r-{take.number(5)}", "channel": channel}
        fields["quantity"] = Decimal(max(amount, 1)).scaleb(-2)
    if kind == RELEASED:
        fields["reason"] = take.choose((None, "CANCELLED"))
    if kind == CREATED:
        fields |= {"reference": None, "priority": take.choose((None, 1)), "expiresAt": None}
    return Event(kind, fields)


def _written(event: Event, take: Take) -> tuple[str, bytes]:
    """The event as Core might publish it: Avro by our schema or one that writes plain fields only, or JSON."""
    filled = {name: value for name, value in event.fields.items() if value is not None}
    draw = take.number(3)
    if draw == 0:
        return "json", Event(event.kind, filled).json()
    ours = Event(event.kind, filled)
    plain = draw == 1 and ours.is_plain
    schema_id = next(
        number for number, writer in WRITERS.items() if writer.kind == event.kind and number >= (4 if plain else 1)
    )
    name = QUANTITY[event.kind]
    raw = int(event.fields[name].scaleb(2)).to_bytes(8, "big", signed=True)
    value = plain_avro.write(WRITERS[schema_id].schema, {**event.fields, name: raw})
    return "avro", b"\x00" + schema_id.to_bytes(4, "big") + value


def run(data: bytes) -> str:
    """What comes out of a history is what the oracle says, however it is cut into batches."""
    take = Take(data)
    safety, protected, limit = take.choose(POLICIES)
    ours = Policy(
        "1",
        CHANNELS,
        safety,
        {code: ChannelPolicy(protected.get(code, 0), limit.get(code)) for code in {**protected, **limit}},
    )
    decoder = InputDecoder(fetch)
    at_once(decoder.resolve(number for number, writer in WRITERS.items() if writer.refused is None))
    changes = Written()
    for number in range(1, 25):
        if not take:
            break
        event = _event(take, number)
        encoding, value = _written(event, take)
        ingest = Ingest(decoder, SourceTopic(event=cast(Any, event.kind), encoding=cast(Any, encoding)), CHANGES)
        run_stage(ingest, [Consumed(value, offset=number)], changes)
    assert not changes.refused, changes.refused[0][1:]
    log = [Entry(topic, 0, at, key, value, tuple(own)) for at, (topic, value, key, own) in enumerate(changes.produced)]
    decide, decided = Decide(decoder, OutputEncoder(SCHEMA_IDS), ours, "every_change"), Written()
    left = [Consumed(entry.value, entry.key, entry.headers, CHANGES, 0, entry.offset) for entry in log]
    batch = 1 + len(data) % 7
    while left:
        run_stage(decide, left[:batch], decided)
        left = left[batch:]
    assert not decided.refused
    outputs = [
        Entry(topic, 0, at, key, value, tuple(own)) for at, (topic, value, key, own) in enumerate(decided.produced)
    ]
    theirs = oracle.Policy(
        "1",
        CHANNELS,
        Decimal(safety).scaleb(-2),
        {code: Decimal(amount).scaleb(-2) for code, amount in protected.items()},
        {code: Decimal(amount).scaleb(-2) for code, amount in limit.items()},
    )
    schemas = {number: writer.schema for number, writer in WRITERS.items()}
    oracle.check(oracle.replay(log, schemas, theirs), outputs)
    return ACCEPTED


def seeds() -> list[bytes]:
    """Histories of several lengths."""
    return [bytes((number * step + step) % 251 for number in range(length)) for step, length in ((7, 40), (13, 200))]


HISTORY: Final = Target("history", 3, seeds, run)
