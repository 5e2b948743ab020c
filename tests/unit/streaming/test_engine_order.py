"""The order in which a batch is processed: each partition's own, and among stateless sources that of time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from atp_stream.streaming.dead_letters import FloodGuard
from atp_stream.streaming.engine import Engine, Source
from atp_stream.streaming.gate import Gate
from atp_stream.streaming.records import Partition, Record
from atp_stream.streaming.transaction import Transaction

from .samples import Consumed, WritingProducer


@dataclass
class Listing:
    """Writes down what it is given."""

    seen: list[tuple[str, int]] = field(default_factory=list)

    async def prepare(self, records: Sequence[Record]) -> None:
        """Nothing is needed."""

    def process(self, partition: Partition, records: Sequence[Record], transaction: Transaction) -> None:
        assert {(record.topic, record.partition) for record in records} == {partition}
        self.seen += [(record.topic, record.timestamp) for record in records]


def _order(batch: dict[str, list[int]], stateful: tuple[str, ...] = ()) -> list[tuple[str, int]]:
    """Return the order in which the records of these topics, given as timestamps, are processed."""
    stage = Listing()
    engine = Engine(
        sources={topic: Source(stage, topic in stateful) for topic in batch},
        gate=Gate(),
        producer=WritingProducer(),
        changelog="changelog",
        dead_letters="dead-letters",
        flood=FloodGuard(10, lambda: 0.0),
        most_records=100,
    )
    records: dict[Partition, list[Record]] = {
        Partition(topic, 0): [Consumed(topic, 0, n, timestamp=time) for n, time in enumerate(times)]
        for topic, times in batch.items()
    }
    for partition, run in engine._in_order(records):
        stage.process(partition, run, None)  # type: ignore[arg-type]
    return stage.seen


def test_given_topics_that_waited_when_they_are_ingested_together_then_the_oldest_records_come_first() -> None:
    order = _order({"created": [2, 5], "stock": [1, 4], "released": [3]})
    assert order == [("stock", 1), ("created", 2), ("released", 3), ("stock", 4), ("created", 5)]


def test_given_timestamps_that_go_back_when_ingested_then_the_order_within_a_partition_holds() -> None:
    order = _order({"created": [9, 1], "stock": [5]})
    assert [time for topic, time in order if topic == "created"] == [9, 1]


def test_given_a_stateful_source_when_processed_then_it_is_one_run_behind_what_is_ingested() -> None:
    order = _order({"changes": [1, 3], "stock": [2, 4]}, stateful=("changes",))
    assert order == [("stock", 2), ("stock", 4), ("changes", 1), ("changes", 3)]
