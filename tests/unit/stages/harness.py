"""The stages without Kafka: records as consumed, a transaction that writes down what a stage does with it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from atp_stream.contracts.catalogue import OUTPUT_TOPICS
from atp_stream.contracts.inputs import InputDecoder
from atp_stream.contracts.outputs import OutputEncoder
from atp_stream.streaming.records import Partition, Record
from atp_stream.streaming.transaction import Transaction
from tests.contract.samples import decoder_of, our_texts

SCHEMA_IDS = {f"{topic}-value": number for number, (topic, _) in enumerate(OUTPUT_TOPICS.values(), 100)}


@dataclass(frozen=True)
class Consumed:
    """A record as consumed."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    topic: str = "source"
    partition: int = 0
    offset: int = 0
    timestamp: int = 0


@dataclass
class State:
    """The table of one partition."""

    entries: dict[bytes, bytes] = field(default_factory=dict)

    def get(self, key: bytes) -> bytes | None:
        return self.entries.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self.entries[key] = value


@dataclass
class Written:
    """What a stage has done with a transaction."""

    produced: list[tuple[str, bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = field(default_factory=list)
    refused: list[tuple[Record, str, str]] = field(default_factory=list)
    notes: list[Any] = field(default_factory=list)
    table: State = field(default_factory=State)

    def state(self, partition: int) -> State:
        return self.table

    def produce(self, topic: str, value: bytes | None, key: bytes | None, headers: Any = ()) -> None:
        self.produced.append((topic, value, key, list(headers)))

    def note(self, told: object) -> None:
        self.notes.append(told)

    def refuse(self, record: Record, code: str, message: str) -> None:
        self.refused.append((record, code, message))

    @property
    def kinds(self) -> list[str]:
        return [dict(headers)["event-type"].decode() for _, _, _, headers in self.produced]  # type: ignore[union-attr]

    @property
    def sequences(self) -> list[int]:
        return [int(dict(headers)["sequence"] or b"0") for _, _, _, headers in self.produced]


def decoder() -> InputDecoder:
    """A decoder that knows the ids of `tests.contract.samples`."""
    return asyncio.run(decoder_of(our_texts()))


def encoder() -> OutputEncoder:
    return OutputEncoder(SCHEMA_IDS)


def run(stage: Any, records: Sequence[Consumed], written: Written) -> Written:
    """Process the records of one partition as one batch."""
    partition = Partition(records[0].topic, records[0].partition)
    stage.process(partition, cast(Sequence[Record], records), cast(Transaction, written))
    return written
