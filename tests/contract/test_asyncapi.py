"""The AsyncAPI document: valid, the same as the committed one, and true of the bytes that go out."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import pytest
from fastavro import parse_schema, schemaless_reader
from fastavro.validation import validate
from jsonschema import Draft7Validator

from atp_stream.admin.asyncapi import asyncapi_of
from atp_stream.admin.topics import specs
from atp_stream.contracts.keys import item_key
from atp_stream.contracts.outputs import OutputEncoder
from atp_stream.domain.events import Fact
from atp_stream.settings import Settings, SourceTopic, TopicSettings, WorkerSettings
from atp_stream.streaming.dead_letter_records import REPLAYED
from atp_stream.streaming.dead_letters import dead_letter
from atp_stream.streaming.records import Record
from tests.contract.samples import SAMPLES
from tests.contract.test_outputs import GOLDEN, IDS, TRACEPARENT, output
from tests.unit.stages.harness import Consumed

COMMITTED = Path(__file__).parents[2] / "docs" / "asyncapi.json"
#: The official JSON Schema of AsyncAPI 3.0.0, as its npm package @asyncapi/specs 6.11.1 has it.
OFFICIAL = Path(__file__).with_name("asyncapi") / "3.0.0.json"

CLOUD_EVENTS = Settings(worker=WorkerSettings(cloud_events=True))
OTHER_SOURCES = Settings(
    topics=TopicSettings(
        sources={
            "stock": SourceTopic(event="StockAvailabilityChangedEvent", encoding="json"),
            "created": SourceTopic(event="ReservationCreatedEvent", keyed_by_item=True),
            "created.too": SourceTopic(event="ReservationCreatedEvent"),
            "released": SourceTopic(event="ReservationReleasedEvent", encoding="json"),
        }
    )
)


def resolved(document: dict[str, Any], pointer: str) -> Any:
    found: Any = document
    for part in pointer.removeprefix("#/").split("/"):
        found = found[part]
    return found


def message_of(document: dict[str, Any], topic: str, name: str | None = None) -> dict[str, Any]:
    """The message of a topic; `name`: which, where it has several."""
    messages = document["channels"][topic]["messages"]
    found: dict[str, Any] = resolved(document, messages[name or next(iter(messages))]["$ref"])
    return found


def errors(schema: dict[str, Any], value: Any) -> list[str]:
    return [f"{list(error.path)}: {error.message}" for error in Draft7Validator(schema).iter_errors(value)]


def undocumented(schema: dict[str, Any], headers: dict[str, str]) -> set[str]:
    return set(headers) - set(schema["properties"])


@pytest.mark.parametrize("settings", [Settings(), CLOUD_EVENTS, OTHER_SOURCES], ids=["default", "cloud", "sources"])
def test_given_settings_when_the_document_is_made_then_it_is_valid_asyncapi(settings: Settings) -> None:
    document = asyncapi_of(settings)
    assert errors(json.loads(OFFICIAL.read_text(encoding="utf-8")), document) == []
    for schema in document["components"]["schemas"].values():
        if "schema" in schema:
            parse_schema(schema["schema"])
        else:
            Draft7Validator.check_schema(schema)
    for message in document["components"]["messages"].values():
        resolved(document, message["payload"].get("$ref", "#/info"))


def test_given_the_default_settings_when_the_document_is_made_then_it_is_the_committed_one() -> None:
    committed = COMMITTED.read_text(encoding="utf-8")
    made = json.dumps(asyncapi_of(Settings()), indent=2, ensure_ascii=False) + "\n"
    assert made == committed, "run `atp-stream schemas asyncapi > docs/asyncapi.json` in a directory without settings"


@pytest.mark.parametrize("settings", [Settings(), OTHER_SOURCES], ids=["default", "sources"])
def test_given_the_catalogue_when_the_document_is_made_then_every_topic_is_in_it_as_it_has_to_be(
    settings: Settings,
) -> None:
    document = asyncapi_of(settings)
    assert list(document["channels"]) == [spec.name for spec in specs(settings)]
    for spec in specs(settings):
        binding = document["channels"][spec.name]["bindings"]["kafka"]
        assert binding["partitions"] == spec.partitions
        config = binding.get("topicConfiguration", {})
        told = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in config.items()}
        assert told == spec.config


@pytest.mark.parametrize("settings", [Settings(), CLOUD_EVENTS], ids=["default", "cloud"])
@pytest.mark.parametrize(("fact", "topic", "value"), GOLDEN)
def test_given_an_output_when_it_is_read_by_the_document_then_value_key_and_headers_are_as_it_says(
    settings: Settings, fact: Fact, topic: str, value: str
) -> None:
    message = message_of(asyncapi_of(settings), topic)
    cloud_events = settings.worker.application_id if settings.worker.cloud_events else None
    _, encoded, headers = OutputEncoder(IDS, cloud_events).encode(output(fact), TRACEPARENT)
    assert encoded == bytes.fromhex(value)
    payload = resolved(asyncapi_of(settings), message["payload"]["$ref"])
    stream = BytesIO(encoded[5:])
    schema = parse_schema(payload["schema"])
    read = schemaless_reader(stream, schema, None)
    assert stream.read() == b""
    assert validate(read, schema)
    texts = {name: content.decode() for name, content in headers}
    assert errors(message["headers"], texts) == []
    assert undocumented(message["headers"], texts) == set()
    without_trace = {name: text for name, text in texts.items() if name != "traceparent"}
    assert message["headers"]["required"] == list(message["headers"]["properties"])[: len(without_trace)]
    assert set(message["headers"]["required"]) == set(without_trace)
    assert errors(message["bindings"]["kafka"]["key"], item_key("t-1", "item-001").decode()) == []


@pytest.mark.parametrize("event", SAMPLES)
def test_given_an_input_in_json_when_it_is_held_against_the_document_then_it_fits(event: str) -> None:
    sources = {f"{kind}.topic": SourceTopic(event=kind, encoding="json") for kind in SAMPLES}  # type: ignore[arg-type]
    settings = Settings(topics=TopicSettings(sources=sources))
    document = asyncapi_of(settings)
    change = message_of(document, settings.topics.changes, f"Changes.{event}.json")
    assert change["headers"]["properties"]["encoding"]["const"] == "json"
    assert change["contentType"] == "application/json"
    schema = resolved(document, message_of(document, f"{event}.topic")["payload"]["$ref"])
    fields = {name: value for name, value in SAMPLES[event].items() if name not in ("eventId", "timestamp", "tenantId")}
    payload = {name: str(value) if name in ("onHand", "quantity") else value for name, value in fields.items()}
    if payload.get("expiresAt") is not None:
        payload["expiresAt"] = "2026-01-02T03:04:05Z"
    envelope = {
        "eventType": event,
        "eventId": "e-1",
        "timestamp": "2026-01-02T03:04:05Z",
        "aggregateId": "a",
        "tenantId": "t-1",
        "payload": payload,
    }
    assert errors(schema, envelope) == []
    assert errors(schema, {**envelope, "payload": {}})


def test_given_a_dead_letter_when_it_is_held_against_the_document_then_its_headers_are_in_it() -> None:
    document = asyncapi_of(Settings())
    _, _, headers = dead_letter(cast(Record, Consumed(b"x", key=b"k" * 100_000)), "NOT_AVRO", "no magic byte")
    schema = message_of(document, "atp.dead-letters", "DeadLetter")["headers"]
    texts = {name: (value or b"").decode() for name, value in headers}
    assert "dead-letter-cut" in texts
    assert errors(schema, texts) == []
    assert undocumented(schema, texts) == set()
    assert next(iter(message_of(document, "atp.dead-letters", "DeadLetterReplayed")["headers"]["required"])) == REPLAYED
