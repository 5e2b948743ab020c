"""What is counted of commits and requests, and the names it is counted under."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from atp_stream.domain.decide import Outcome
from atp_stream.domain.events import (
    AllocationCommitted,
    AvailabilityCalculated,
    Fact,
    OutputEvent,
    ReservationCreated,
    ReservationDenied,
    ShortageReason,
    StockAvailabilityChanged,
)
from atp_stream.stages.notes import Decided, Ingested
from atp_stream.streaming.committed import Committed
from atp_stream.streaming.records import Partition, PlainRecord, Record
from atp_stream.telemetry.commits import CommitCounts
from atp_stream.telemetry.metrics import Metrics
from atp_stream.telemetry.requests import RequestCounts
from atp_stream.web.guard import Answered

NOW = 1_767_323_050.0
STOCK = StockAvailabilityChanged("e-1", 1, "t", "i", "l", None, 1000)
CREATED = ReservationCreated("e-2", 2, "t", "r", "i", "l", 100, "ECOM")
AVAILABILITY = AvailabilityCalculated("ECOM", 900, 100)


def record(topic: str, offset: int = 0, age: float = 1.0) -> PlainRecord:
    return PlainRecord(topic, 0, offset, int((NOW - age) * 1000), b"key", b"value", ())


def outputs(*facts: Fact) -> tuple[OutputEvent, ...]:
    return tuple(OutputEvent("o", 1, "t", "i", number, "e", "1", fact) for number, fact in enumerate(facts, 1))


def committed(
    notes: Sequence[Decided | Ingested], records: Sequence[Record], refused: Sequence[tuple[Record, str]] = ()
) -> Committed:
    batch: dict[Partition, list[Record]] = {}
    for each in records:
        batch.setdefault(Partition(each.topic, each.partition), []).append(each)
    return Committed(batch, notes, refused, 0.001, 0.02, 0.002)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_given_a_transaction_when_it_has_committed_then_its_events_are_counted_by_what_became_of_them() -> None:
    metrics = Metrics()
    count = CommitCounts(metrics, frozenset({"changes"}), lambda: NOW)
    stock, *changes = record("stock"), *(record("changes", offset) for offset in range(3))
    denied = ReservationDenied("r", "ECOM", 100, 0, ShortageReason.SAFETY_STOCK)
    notes: list[Decided | Ingested] = [
        Ingested(stock, STOCK),
        Decided(changes[0], STOCK, Outcome.STALE, ()),
        Decided(changes[1], CREATED, Outcome.COMMITTED, outputs(AllocationCommitted("a", "ECOM", 100), AVAILABILITY)),
        Decided(changes[2], CREATED, Outcome.DENIED, outputs(denied)),
    ]
    for _ in range(2):
        count(committed(notes, [stock, *changes]))
    registry = metrics.registry
    events_in = {("stock", "StockAvailabilityChangedEvent"): 2, ("changes", "ReservationCreatedEvent"): 4}
    for (topic, event), number in events_in.items():
        assert value(registry, "atp_events_in_total", topic=topic, event=event) == number
    for outcome, number in {"stale": 2, "committed": 2, "denied": 2, "duplicate": 0}.items():
        assert value(registry, "atp_decisions_total", outcome=outcome) == number
    assert value(registry, "atp_events_out_total", event="AvailabilityCalculatedEvent") == 2
    assert value(registry, "atp_events_out_total", event="AllocationCommittedEvent") == 2
    assert value(registry, "atp_denials_total", reason="SAFETY_STOCK") == 2
    assert value(registry, "atp_denials_total", reason="CHANNEL_LIMIT") == 0
    assert value(registry, "atp_transaction_records_sum") == 8
    for name, seconds in {"processing": 0.002, "committing": 0.04, "writing": 0.004}.items():
        assert value(registry, "atp_transaction_step_seconds_sum", step=name) == seconds
    assert value(registry, "atp_transaction_seconds_sum") == pytest.approx(0.046)
    assert value(registry, "atp_last_commit_timestamp_seconds") == NOW


def test_given_refused_inputs_when_their_transaction_has_committed_then_they_are_counted_by_class_of_error() -> None:
    metrics = Metrics()
    bad = record("stock")
    CommitCounts(metrics, frozenset())(committed([], [bad, bad], [(bad, "NOT_AVRO"), (bad, "NOT_AVRO")]))
    assert value(metrics.registry, "atp_dead_letters_total", error="NOT_AVRO") == 2
    assert value(metrics.registry, "atp_dead_letters_total", error="NULL_VALUE") == 0


def test_given_records_of_both_stages_when_committed_then_the_oldest_of_each_tells_its_age() -> None:
    metrics = Metrics()
    records = [record("stock", age=3), record("created", age=8), record("changes", age=0.5), record("changes", 1, 0.25)]
    CommitCounts(metrics, frozenset({"changes"}), lambda: NOW)(committed([], records))
    assert value(metrics.registry, "atp_input_age_seconds_sum", stage="ingest") == 8
    assert value(metrics.registry, "atp_input_age_seconds_sum", stage="decide") == 0.5
    assert value(metrics.registry, "atp_input_age_seconds_count", stage="ingest") == 1


def test_given_a_record_without_timestamp_or_from_a_clock_ahead_when_committed_then_no_age_is_made_up() -> None:
    metrics = Metrics()
    count = CommitCounts(metrics, frozenset({"changes"}), lambda: NOW)
    count(committed([], [record("changes")._replace(timestamp=-1)]))
    assert value(metrics.registry, "atp_input_age_seconds_count", stage="decide") == 0
    count(committed([], [record("changes", age=-60)]))
    assert value(metrics.registry, "atp_input_age_seconds_sum", stage="decide") == 0


def test_given_requests_when_answered_then_they_are_counted_by_route_and_streams_have_no_time() -> None:
    metrics = Metrics()
    count = RequestCounts(metrics)
    count(Answered("/pools/{itemId}", "GET", 200, 0.15, None, is_stream=False))
    count(Answered("/stream", "GET", 200, 600.0, None, is_stream=True))
    count(Answered("-", "PROPFIND-" + "x" * 50, 404, 0.001, None, is_stream=False))
    registry = metrics.registry
    assert value(registry, "atp_http_requests_total", route="/pools/{itemId}", method="GET", status="200") == 1
    assert value(registry, "atp_http_requests_total", route="/stream", method="GET", status="200") == 1
    assert value(registry, "atp_http_requests_total", route="-", method="other", status="404") == 1
    assert value(registry, "atp_http_request_seconds_bucket", route="/pools/{itemId}", le="0.15") == 1
    assert value(registry, "atp_http_request_seconds_count", route="/stream") is None


def test_two_workers_in_one_process_share_no_metric() -> None:
    one, other = Metrics(), Metrics()
    CommitCounts(one, frozenset())(committed([], [record("stock")]))
    assert value(one.registry, "atp_transaction_records_count") == 1
    assert value(other.registry, "atp_transaction_records_count") == 0


def test_names_have_the_prefix_and_labels_are_of_few_values() -> None:
    families = list(Metrics().registry.collect())
    assert len(families) > 35
    assert all(family.name.startswith("atp_") for family in families)
    assert all(family.documentation.endswith(".") for family in families)
    bounded = {
        "topic",
        "partition",
        "event",
        "outcome",
        "reason",
        "error",
        "stage",
        "step",
        "route",
        "method",
        "status",
    }
    bounded |= {"status"}
    of_prometheus = {"le", "version", "python", "atp_health_state"}
    labels = {label for family in families for sample in family.samples for label in sample.labels}
    assert labels <= bounded | of_prometheus


def test_the_levels_of_service_are_bounds_of_their_histograms() -> None:
    metrics = Metrics()
    for histogram, level in ((metrics.age, 10), (metrics.step, 0.15), (metrics.request_seconds, 0.2)):
        assert level in histogram._upper_bounds


def test_every_metric_is_in_the_documentation_with_what_it_means_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    documented = dict(re.findall(r"^\| `(atp_\w+)` \|[^|]*\| (.+) \|$", page, re.MULTILINE))
    kinds = {"stateset": "state set"}
    assert documented == {
        family.name + {"counter": "_total", "info": "_info"}.get(family.type, ""): (
            f"{kinds.get(family.type, family.type)}. {family.documentation}"
        )
        for family in Metrics().registry.collect()
    }
