"""The two stages without Kafka, as the fuzzer drives them: one record in, what has become of it out."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple, cast

from atp_stream.contracts.catalogue import OUTPUT_TOPICS
from atp_stream.contracts.inputs import MAX_REFUSED, InputDecoder
from atp_stream.contracts.keys import split_item_key
from atp_stream.contracts.outputs import OutputEncoder
from atp_stream.domain.policy import Policy
from atp_stream.settings import SourceTopic
from atp_stream.stages.decide import Decide
from atp_stream.stages.ingest import Ingest
from atp_stream.streaming.dead_letters import dead_letter
from atp_stream.streaming.records import Record
from tests.pipeline import oracle
from tests.pipeline.log import Entry
from tests.unit.stages.harness import Consumed, Written
from tests.unit.stages.harness import run as run_stage

from .rules import Fields
from .target import ACCEPTED, at_once
from .writers import KINDS, fetch

Encoding = Literal["avro", "json"]
Headers = Sequence[tuple[str, bytes | None]]

CHANGES = "changes"
CHANNELS = ("ECOM", "POS")
SCHEMA_IDS = {f"{topic}-value": number for number, (topic, _) in enumerate(OUTPUT_TOPICS.values(), 100)}


class Fate(NamedTuple):
    """What has become of one record."""

    outcome: str
    """`ACCEPTED`, or the class of the refusal."""
    forwarded: Consumed | None
    outputs: list[Entry]


class Stages:
    """Ingest of each of Core's topics and Decide, over one decoder that lives as long as the fuzzer does."""

    def __init__(self, replace: Callable[[InputDecoder], None] = lambda _: None) -> None:
        """`replace`: what a test that plants a bug does to the decoder."""
        self.decoder = InputDecoder(fetch)
        replace(self.decoder)
        self._ingest = {
            (kind, encoding): Ingest(self.decoder, SourceTopic(event=kind, encoding=encoding), CHANGES)  # type: ignore[arg-type]
            for kind in KINDS
            for encoding in ("avro", "json")
        }
        self._decide = Decide(self.decoder, OutputEncoder(SCHEMA_IDS), Policy("1", CHANNELS, 0, {}), "every_change")

    def ingest(
        self, kind: str, encoding: Encoding, value: bytes | None, headers: Headers = (), key: bytes | None = None
    ) -> Fate:
        """Send a record through Ingest; it is forwarded or refused, never both and never neither."""
        record = Consumed(value, key, headers, topic=f"core.{kind}", partition=3, offset=7)
        written = self._run(self._ingest[kind, encoding], [record])
        assert len(written.produced) + len(written.refused) == 1
        if written.refused:
            return Fate(_refusal(written), None, [])
        topic, forwarded, item, own = written.produced[0]
        assert topic == CHANGES
        assert forwarded == value, "the bytes have changed on the way"
        assert item is not None
        return Fate(ACCEPTED, Consumed(forwarded, item, own, topic=CHANGES), [])

    def decide(self, *records: Consumed) -> Fate:
        """Send records of the changes log through Decide, on an empty table."""
        written = self._run(self._decide, records)
        outputs = [
            Entry(topic, 0, place, key, value, tuple(headers))
            for place, (topic, value, key, headers) in enumerate(written.produced)
        ]
        if written.refused:
            assert len(written.refused) <= len(records)
            return Fate(_refusal(written), None, outputs)
        return Fate(ACCEPTED, None, outputs)

    def _run(self, stage: Any, records: Sequence[Consumed]) -> Written:
        at_once(stage.prepare(cast(Sequence[Record], records)))
        written = run_stage(stage, records, Written())
        assert len(self.decoder._refused) <= MAX_REFUSED, "unknown ids take memory without bound"
        return written


def _refusal(written: Written) -> str:
    record, code, message = written.refused[0]
    assert message.isprintable(), f"a message that is not fit for a terminal: {message!a}"
    assert len(message) <= 500
    value, key, headers = dead_letter(record, code, message)
    assert (value, key) == (record.value, record.key)
    assert headers[3:5] == [("dead-letter-error", code.encode()), ("dead-letter-message", message.encode())]
    return str(code)


def check_single(kind: str, fields: Fields, key: bytes, outputs: list[Entry]) -> None:
    """Compare what one event brought about on an empty table with what the oracle of the pipeline expects."""
    assert split_item_key(key) == (fields["tenantId"], fields["itemId"])
    item = oracle.Item(oracle.Policy("1", CHANNELS))
    item.apply(kind, fields)
    found = [oracle.decode_output(entry) for entry in outputs]
    assert all(entry.key == key for entry in outputs)
    for one, other in zip(found, item.expected, strict=True):
        one.pop("traceparent", None)
        for name in ("eventId", "allocationId"):
            if name not in other:
                one.pop(name, None)
        assert one == other, f"{one} is not {other}"


def check_fields(event: object, fields: Fields) -> None:
    """Compare a decoded event with what was read in another way: every field, quantities as exact hundredths."""
    for name in type(event).__slots__:  # type: ignore[attr-defined]
        found = getattr(event, name)
        head, *rest = name.split("_")
        expected = fields.get(head + "".join(part.title() for part in rest))
        if isinstance(expected, Decimal):
            assert type(found) is int
            assert expected == Decimal(found).scaleb(-2), f"{name} is {found} hundredths, not {expected}"
        else:
            assert (found, type(found)) == (expected, type(expected)), f"{name} is {found!a}, not {expected!a}"
