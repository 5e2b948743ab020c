"""What is told of single inputs besides metrics: the log of dead letters, and spans."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from structlog.testing import capture_logs

from atp_stream.domain.events import StockAvailabilityChanged
from atp_stream.stages.notes import Ingested
from atp_stream.streaming.committed import Committed
from atp_stream.streaming.records import PlainRecord, Record
from atp_stream.telemetry import tracing as module
from atp_stream.telemetry.dead_letter_log import DeadLetterLog, trace_id_of
from atp_stream.telemetry.tracing import Tracing

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01".encode()
STOCK = StockAvailabilityChanged("e-1", 1, "t", "i", "l", None, 1000)
WAIT_SECONDS = 30.0


def record(offset: int, traceparent: bytes | None = None) -> PlainRecord:
    headers = () if traceparent is None else (("traceparent", traceparent),)
    return PlainRecord("stock", 2, offset, 1, b"key", b"value", headers)


def refusing(*records: Record) -> Committed:
    return Committed({}, (), [(each, "NOT_AVRO") for each in records], 0, 0, 0)


def taking(*records: Record) -> Committed:
    return Committed({}, [Ingested(each, STOCK) for each in records], (), 0.001, 0.02, 0.002)


# Dead letters


def test_given_dead_letters_when_told_then_the_first_few_have_their_places_and_the_rest_a_count() -> None:
    with capture_logs() as lines:
        DeadLetterLog()(refusing(record(0, SAMPLED), *(record(offset) for offset in range(1, 9))))
    (line,) = lines
    assert (line["log_level"], line["event"], line["count"]) == ("warning", "dead letters", 9)
    assert (line["topic"], line["partition"], line["offset"], line["error"]) == ("stock", 2, 0, "NOT_AVRO")
    assert line["trace_id"] == TRACE
    assert [(each["offset"], "trace_id" in each) for each in line["more"]] == [
        (1, False),
        (2, False),
        (3, False),
        (4, False),
    ]


def test_given_many_transactions_with_dead_letters_when_told_then_one_line_a_second_counts_them_all() -> None:
    now = [100.0]
    tell = DeadLetterLog(lambda: now[0])
    with capture_logs() as lines:
        for offset in range(25):
            tell(refusing(record(offset)))
            now[0] += 0.125
    assert [line["count"] for line in lines] == [1, 8, 8, 8]
    tell(Committed({}, (), (), 0, 0, 0))
    assert len(lines) == 4


@pytest.mark.parametrize(
    "header",
    [None, b"", b"nonsense", b"00-" + b"z" * 32 + b"-1-01", b"00-0af7_51916cd43dd8448eb211c80319c-1-01", b"\xff-\xff"],
)
def test_a_header_without_a_trace_id_has_none(header: bytes | None) -> None:
    assert trace_id_of(header) is None


# Spans


class Kept(SpanExporter):
    """Keeps what it gets; may be made to wait first."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.may_go = threading.Event()
        self.may_go.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        assert self.may_go.wait(WAIT_SECONDS)
        self.spans += spans
        return SpanExportResult.SUCCESS


@contextmanager
def traced(clock: Callable[[], int] = lambda: 2_000_000_000) -> Iterator[tuple[Tracing, Kept]]:
    exporter = Kept()
    tracing = Tracing(exporter, "service", "group", clock)
    yield tracing, exporter
    exporter.may_go.set()
    tracing.close()


def test_given_headers_of_all_kinds_when_committed_then_only_sampled_ones_have_spans_of_the_transactions_time() -> None:
    odd = [
        None,
        b"",
        b"nonsense",
        SAMPLED[:-2] + b"00",
        SAMPLED[:-2] + b"zz",
        b"00-" + b"0" * 32 + SAMPLED[35:],
        b"\xff" * 55,
    ]
    with traced() as (tracing, kept):
        tracing.observe(taking(record(0, SAMPLED), *(record(1 + number, header) for number, header in enumerate(odd))))
        tracing.request(SAMPLED.decode(), "/worker", "GET", 503, 0.5)
        tracing.request(None, "/worker", "GET", 200, 0.5)
        tracing.close()
        ingest, request = kept.spans
    for span, name, start in ((ingest, "ingest", 1_977_000_000), (request, "GET /worker", 1_500_000_000)):
        assert span.name == name
        assert (span.start_time, span.end_time) == (start, 2_000_000_000)
        assert span.parent is not None
        assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
        assert span.parent.is_remote
    assert ingest.attributes is not None
    assert ingest.attributes["messaging.kafka.offset"] == 0
    assert not request.status.is_ok


def test_given_a_collector_that_does_not_answer_when_more_comes_than_is_kept_then_nobody_waits_and_it_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 5)
    held = threading.Event()

    def busy() -> list[Any]:
        assert held.wait(WAIT_SECONDS)
        return []

    with traced() as (tracing, kept):
        tracing._put(1, busy)  # its thread, from here on
        for offset in range(20):
            tracing.observe(taking(record(offset, SAMPLED)))
        assert [each.message for each in caplog.records] == ["more spans than can be made: some are left out"]
        held.set()
        tracing.close()
        assert 4 <= len(kept.spans) <= 6


def test_given_large_transactions_when_spans_are_not_made_in_time_then_what_is_kept_is_bounded_by_spans(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 10)
    held = threading.Event()

    def busy() -> list[Any]:
        assert held.wait(WAIT_SECONDS)
        return []

    with traced() as (tracing, kept):
        tracing._put(1, busy)
        for _ in range(10):
            tracing.observe(taking(*(record(offset, SAMPLED) for offset in range(4))))
        held.set()
        tracing.close()
        assert len(kept.spans) == 12


def test_given_spans_that_were_made_when_more_come_then_there_is_room_for_them_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 2)
    until = time.monotonic() + WAIT_SECONDS
    made: list[Any] = []

    def make() -> list[Any]:
        made.append(None)
        return []

    with traced() as (tracing, _):
        while len(made) < 10:
            assert time.monotonic() < until, "what is made takes room for ever"
            tracing._put(1, make)


def test_given_a_collector_that_hangs_when_the_worker_ends_then_it_does_not_wait_for_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_CLOSE_SECONDS", 0.05)
    with traced() as (tracing, kept):
        kept.may_go.clear()
        tracing.observe(taking(record(0, SAMPLED)))
        tracing.close()
        assert "the last spans were not sent" in caplog.text
        monkeypatch.setattr(module, "_CLOSE_SECONDS", WAIT_SECONDS)


def test_given_an_error_when_spans_are_made_then_it_is_logged_and_the_next_ones_are_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> list[Any]:
        raise ZeroDivisionError("a bug")

    with traced() as (tracing, kept):
        tracing._put(1, broken)
        tracing.observe(taking(record(0, SAMPLED)))
        tracing.close()
        assert len(kept.spans) == 1
    assert "spans could not be made" in caplog.text
