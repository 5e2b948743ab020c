"""What a scrape takes from the parts of a worker, and that what was aborted counts as nothing else."""

import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from atp_stream.domain.decide import Outcome as Decision
from atp_stream.domain.events import StockAvailabilityChanged
from atp_stream.stages.notes import Decided
from atp_stream.streaming.dead_letters import FloodGuard
from atp_stream.streaming.engine import Engine, Source
from atp_stream.streaming.gate import Fetch, Gate
from atp_stream.streaming.health import Facts, Health, Left, State
from atp_stream.streaming.lag import Lag
from atp_stream.streaming.membership import Membership
from atp_stream.streaming.partition_state import StateSize
from atp_stream.streaming.producer import Outcome
from atp_stream.streaming.records import Partition, Record
from atp_stream.streaming.transaction import Transaction
from atp_stream.telemetry.commits import CommitCounts
from atp_stream.telemetry.metrics import Metrics
from atp_stream.telemetry.scrape import Scrape
from tests.unit.streaming.samples import Consumed, WritingProducer

STOCK = StockAvailabilityChanged("e-1", 1, "t", "i", "l", None, 1000)


class Deciding:
    """Notes a decision per record, and refuses bad ones."""

    async def prepare(self, records: Sequence[Record]) -> None:
        """Need nothing."""

    def process(self, partition: Partition, records: Sequence[Record], transaction: Transaction) -> None:
        for record in records:
            if record.value == b"bad":
                transaction.refuse(record, "NOT_AVRO", "bad")
            else:
                transaction.note(Decided(record, STOCK, Decision.CHANGED, ()))


@pytest.fixture
def engine() -> Engine:
    made = Engine(
        sources={"source": Source(Deciding(), stateful=False)},
        gate=Gate(),
        producer=WritingProducer(),
        changelog="changelog",
        dead_letters="dead-letters",
        flood=FloodGuard(10, lambda: 0.0),
        most_records=100,
    )
    made.store = SimpleNamespace(partition=None)  # type: ignore[assignment]
    return made


def worker(engine: Engine, thread: Any = None, facts: Facts | None = None) -> Any:
    facts = facts or Facts(now=0.0, moved=0.0, steps={})
    health = Health(State.RESTORING if facts.left else State.IDLE)
    states = {0: SimpleNamespace(size=lambda: StateSize(1000, 10)), 1: SimpleNamespace(size=lambda: StateSize(500, 5))}
    return SimpleNamespace(
        engine=engine,
        app=SimpleNamespace(rebalancing_count=3),
        options=SimpleNamespace(watchdog=60.0),
        watchdog=SimpleNamespace(still=2.5),
        check=SimpleNamespace(health=lambda: (health, facts), thread=thread),
        table=SimpleNamespace(store=SimpleNamespace(partitions=states)),
    )


def web(refused: int = 0, streams: int = 0) -> Any:
    return SimpleNamespace(connections_refused=refused, guard=SimpleNamespace(streams=streams))


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


async def test_given_a_transaction_that_is_aborted_when_it_commits_the_next_time_then_its_events_count_once(
    engine: Engine,
) -> None:
    metrics = Metrics()
    scrape = Scrape(metrics, worker(engine), web(), {})
    engine.observers.append(CommitCounts(metrics, frozenset({"source"})))
    assert isinstance(engine.producer, WritingProducer)
    engine.producer.outcomes = [Outcome.ABORTED]
    for _ in range(2):
        engine.gate.open(Membership(4, "me"))
        opening = engine.gate.opening
        assert opening is not None
        opening.fetched += 1
        records: list[Record] = [Consumed(), Consumed(offset=1, value=b"bad"), Consumed(offset=2)]
        await engine.process([Fetch(opening, 1, {Partition("source", 0): records})])
    scrape.render("")
    scrape.render("")  # what is counted elsewhere is not added once more
    assert value(metrics, "atp_transactions_aborted_total") == 1
    assert value(metrics, "atp_transaction_seconds_count") == 1
    assert value(metrics, "atp_events_in_total", topic="source", event="StockAvailabilityChangedEvent") == 2
    assert value(metrics, "atp_decisions_total", outcome="changed") == 2
    assert value(metrics, "atp_dead_letters_total", error="NOT_AVRO") == 1


def test_given_a_worker_that_restores_when_scraped_then_it_says_what_is_left_and_touches_no_state(
    engine: Engine,
) -> None:
    metrics = Metrics()
    restoring = worker(engine, facts=Facts(now=0.0, moved=0.0, steps={}, left=Left(2, 500, 12.5)))
    restoring.table = None  # a thread is at it
    Scrape(metrics, restoring, web(), {}).render("")
    for name, expected in {"partitions": 2, "records": 500, "left_seconds": 12.5}.items():
        assert value(metrics, f"atp_restore_{name}") == expected
    assert value(metrics, "atp_ready") == 0
    assert value(metrics, "atp_health_state", atp_health_state="restoring") == 1


def test_given_partitions_that_move_when_scraped_then_only_those_here_are_told_of(engine: Engine) -> None:
    metrics, now = Metrics(), time.time()
    thread = SimpleNamespace(
        lag={Partition("a", 0): Lag(7, now - 20), Partition("a", 1): Lag(0, now + 5)},
        counts={"a": 4},
        assignment=lambda: {TP("a", 0), TP("a", 1), TP("changelog", 0)},
    )
    running = worker(engine, thread)
    engine.gate.open(Membership(4, "me"))
    scrape = Scrape(metrics, running, web(refused=3, streams=2), {"answered": 8, "unreachable": 1})
    scrape.render("")
    assert value(metrics, "atp_lag_records", topic="a", partition="0") == 7
    assert 20 <= (value(metrics, "atp_fetch_age_seconds", topic="a", partition="0") or 0) < 60
    assert value(metrics, "atp_fetch_age_seconds", topic="a", partition="1") == 0  # a clock that was set back
    assert value(metrics, "atp_topic_partitions", topic="a") == 4
    assert value(metrics, "atp_assigned_partitions", topic="a") == 2
    assert value(metrics, "atp_state_bytes") == 1500
    assert value(metrics, "atp_state_entries") == 15
    assert value(metrics, "atp_rebalances_total") == 3
    assert value(metrics, "atp_watchdog_still_seconds") == 2.5
    assert value(metrics, "atp_http_connections_refused_total") == 3
    assert value(metrics, "atp_http_streams") == 2
    assert value(metrics, "atp_http_forwarded_total", outcome="answered") == 8
    thread.lag = {Partition("a", 1): Lag(1, now)}
    scrape.render("")
    assert value(metrics, "atp_lag_records", topic="a", partition="0") is None
    assert value(metrics, "atp_lag_records", topic="a", partition="1") == 1


def test_given_a_worker_that_only_starts_when_scraped_then_it_answers(engine: Engine) -> None:
    text, content_type = Scrape(Metrics(), worker(engine), web(), {}).render("*/*")
    assert b"atp_ready 1.0" in text
    assert content_type.startswith("text/plain")
