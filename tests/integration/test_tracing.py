"""Traces from the header of an input to that of the outputs, at a collector that takes OTLP."""

import json
import time

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from atp_stream.local.ports import free_port
from tests.pipeline.collector import collector
from tests.pipeline.core import STOCK
from tests.pipeline.health import until_it_is
from tests.pipeline.scraping import get
from tests.pipeline.waiting import until

from .conftest import Deploy

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
NOT_SAMPLED = f"00-{TRACE[::-1]}-{PARENT}-00"
WITH_TRACES = "ATP_TELEMETRY__OTLP_ENDPOINT"
#: More than a worker takes to end in order when nothing holds it up.
SOON_SECONDS = 10.0


def test_given_an_input_with_a_sampled_header_when_decided_then_one_trace_leads_from_it_to_the_outputs(
    deploy: Deploy,
) -> None:
    with collector() as spans:
        deployment = deploy(settings={WITH_TRACES: spans.url})
        core = deployment.core
        worker = deployment.worker().start().ready()
        deployment.publish(core.stock("item-1", "150.00", "ECOM"))
        deployment.publish(core.stock("item-2", "1.00", "ECOM"), headers={"traceparent": NOT_SAMPLED.encode()})
        deployment.publish(core.stock("item-3", "1.00", "ECOM"), headers={"traceparent": b"nonsense"})
        deployment.settled()
        deployment.publish(core.created("item-1", "r-1", "30.00"), headers={"traceparent": SAMPLED.encode()})
        deployment.verify()
        until("both spans have come", lambda: spans.named("ingest") and spans.named("decide"), worker.shown)
        status, _, _ = get(worker, "/health/ready", traceparent=SAMPLED)
        assert status == 200
        get(worker, "/health/ready")
        until("the request's span has come", lambda: spans.named("GET /health/ready"), worker.shown)
        assert worker.stop() == 0
        assert sorted(each.span.name for each in spans.spans) == ["GET /health/ready", "decide", "ingest"]

    for each in spans.spans:
        assert (each.trace_id, each.parent_id, each.service) == (TRACE, PARENT, "atp-stream")
        assert each.span.start_time_unix_nano <= each.span.end_time_unix_nano <= time.time_ns()
    (ingest,), (decide,), (request,) = (spans.named(name) for name in ("ingest", "decide", "GET /health/ready"))
    (source,) = deployment.log(f"{deployment.name}.created")
    (change,) = [
        each for each in deployment.log(deployment.changes) if ("traceparent", SAMPLED.encode()) in each.headers
    ]
    for span, entry in ((ingest, source), (decide, change)):
        assert span.span.kind == Span.SPAN_KIND_CONSUMER
        found = span.attributes
        assert found["messaging.system"] == "kafka"
        assert found["messaging.destination.name"] == entry.topic
        assert found["messaging.destination.partition.id"] == str(entry.partition)
        assert found["messaging.kafka.offset"] == entry.offset
        assert found["messaging.consumer.group.name"] == deployment.name
        assert (found["atp.tenant"], found["atp.item"]) == (core.tenant, "item-1")
        assert found["atp.event.type"] == "ReservationCreatedEvent"
    assert ingest.span.end_time_unix_nano <= decide.span.start_time_unix_nano
    assert (decide.attributes["atp.outcome"], decide.attributes["atp.outputs"]) == ("committed", 2)
    assert request.span.kind == Span.SPAN_KIND_SERVER
    assert request.attributes["http.response.status_code"] == 200
    caused = [each for each in deployment.outputs() if each.header("causation-id") == b"e-4"]
    assert [each.header("traceparent") for each in caused] == 2 * [SAMPLED.encode()]


def test_given_a_collector_that_is_away_when_inputs_are_traced_then_they_are_processed_and_the_worker_ends_soon(
    deploy: Deploy,
) -> None:
    deployment = deploy(settings={WITH_TRACES: f"http://127.0.0.1:{free_port()}"})
    core = deployment.core
    worker = deployment.worker().start().ready()
    for number in range(300):
        deployment.send(core.stock(f"item-{number}", "1.00", "ECOM"), headers={"traceparent": SAMPLED.encode()})
    deployment.flush()
    deployment.verify()
    until_it_is(worker, "idle")
    worker.says("opentelemetry.exporter")
    began = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - began < SOON_SECONDS
    warnings = [line for line in worker.log().splitlines() if "opentelemetry" in line]
    assert len(warnings) < 10
    assert "Traceback" not in worker.log()


def test_given_an_installation_without_the_extra_when_traces_are_asked_for_then_it_says_what_to_install(
    deploy: Deploy,
) -> None:
    deployment = deploy(settings={WITH_TRACES: "http://127.0.0.1:4318"})
    without = "import sys; sys.modules['opentelemetry'] = None; from atp_stream.cli import main; sys.exit(main())"
    worker = deployment.worker("w1", ("-c", without, "worker")).start()
    assert worker.ends() == 78
    assert "pip install 'atp-stream[otel]'" in worker.log()


def test_given_refused_inputs_when_committed_then_the_log_names_their_places_and_traces(deploy: Deploy) -> None:
    deployment = deploy(settings={"ATP_WORKER__LOG_FORMAT": "json"})
    topic = deployment.source(STOCK)
    worker = deployment.worker().start().ready()
    worker.pause()  # so that they come in one batch
    for number in range(8):
        headers = {"traceparent": SAMPLED.encode()} if number == 0 else {}
        deployment.raw(topic, b"nonsense", b"key", 0, headers=headers)
    deployment.flush()
    worker.resume()
    worker.says("dead letters")
    lines = [json.loads(line) for line in worker.log().splitlines() if line.startswith("{")]
    (line,) = [each for each in lines if each["event"] == "dead letters"]
    assert line["level"] == "warning"
    place = {"topic": topic, "partition": 0, "offset": 0, "error": "NOT_AVRO", "trace_id": TRACE}
    assert {name: line[name] for name in place} == place
    assert [each["offset"] for each in line["more"]] == [1, 2, 3, 4]
    assert line["count"] == 8
    assert worker.stop() == 0
