"""What fuzzing has found, one test for each: these inputs made a worker or a command end, or were taken wrongly."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from atp_stream.contracts.avro import open_writer
from atp_stream.contracts.catalogue import catalogue
from atp_stream.contracts.errors import BadInput, ErrorClass, RegistryUnreachable
from atp_stream.contracts.registry import SchemaRegistry
from atp_stream.contracts.schema_diff import differences
from atp_stream.contracts.schemas import schema_of
from atp_stream.errors import AppError, SettingsError
from atp_stream.settings.load import load_settings
from atp_stream.settings.names import lines_of_keys, name_of, path_of
from atp_stream.streaming.dead_letters import dead_letter
from tests.contract.test_json_envelope import envelope
from tests.contract.test_registry import Transport
from tests.pipeline.core import STOCK, schema_named
from tests.unit.stages.harness import Consumed

from .plain_avro import write
from .rules import moment_of, of_avro
from .small import MOST_BYTES, record_size
from .stages import Stages
from .target import ACCEPTED
from .writers import WRITERS

COMMITTED = next(spec for spec in catalogue({}) if spec.event == "AllocationCommittedEvent")


def _stock(**changes: Any) -> bytes:
    """A stock event by our schema."""
    fields = {
        "eventId": "e-1",
        "timestamp": 5,
        "tenantId": "t-1",
        "itemId": "i-1",
        "locationId": "l-1",
        "channel": None,
        "onHand": b"\x01",
        **changes,
    }
    return b"\x00\x00\x00\x00\x01" + write(WRITERS[1].schema, fields)


# --- events ---


@pytest.mark.parametrize("length", [11, 20, 70])
def test_given_an_integer_longer_than_avros_when_decoded_then_it_is_refused_as_its_value_depends_on_the_processor(
    length: int,
) -> None:
    head, rest = (
        b"\x00\x00\x00\x00\x01\x06e-1",
        write("string", "t-1") + write("string", "i-1") + b"\x06l-1\x00\x02\x01",
    )
    value = head + b"\x8a" + b"\x80" * (length - 2) + b"\x00" + rest
    assert Stages().ingest(STOCK, "avro", value).outcome == "NOT_AVRO"
    assert of_avro(value)[2] == {"NOT_AVRO"}
    # then the longest that there are is still taken, and so is text that looks alike
    ten = head + b"\x8a" + b"\x80" * 8 + b"\x00" + rest
    assert Stages().ingest(STOCK, "avro", ten).outcome == ACCEPTED
    assert Stages().ingest(STOCK, "avro", _stock(itemId="日本語" * 9)).outcome == ACCEPTED


def test_given_a_grown_schema_with_named_types_when_text_looks_like_a_long_integer_then_it_is_passed_over() -> None:
    schema = schema_named(STOCK)
    pair = {
        "type": "record",
        "name": "Pair",
        "fields": [{"name": "x", "type": "float"}, {"name": "y", "type": "boolean"}],
    }
    text = {
        "type": "map",
        "values": {"type": "array", "items": ["null", "com.erp.inventory.core.events.Pair", "string"]},
    }
    schema["fields"] += [{"name": "pair", "type": pair}, {"name": "more", "type": text}]
    reader = open_writer(json.dumps(schema))
    head = _stock(itemId="日本語" * 9)
    # A pair; a map of one array, of three elements: a pair, a text and a null.
    more = b"\x00\x00\x80?\x01" + b"\x02\x06\xe6\x97\xa5" + b"\x06"
    more += b"\x02\x00\x00\x80?\x00" + b"\x04\x06\xe6\x97\xa5" + b"\x00" + b"\x00" + b"\x00"
    assert reader.read(head + more)["more"] == {"日": [{"x": 1.0, "y": False}, "日", None]}
    with pytest.raises(BadInput, match="more than 10 bytes"):
        reader.read(head + more[:-1] + b"\x80" * 12 + b"\x00")


@pytest.mark.parametrize("zone", ["+05:60", "-00:99", "+0560"])
def test_given_a_zone_of_minutes_that_there_are_not_when_read_then_it_is_refused_and_no_time_is_made_up(
    zone: str,
) -> None:
    value = envelope(STOCK).decode()
    text = json.loads(value)["timestamp"]
    changed = value.replace(text, f"2026-01-02T03:04:05{zone}").encode()
    assert Stages().ingest(STOCK, "json", changed).outcome == "MALFORMED_TIMESTAMP"
    assert moment_of(f"2026-01-02T03:04:05{zone}") is None


def test_given_a_header_that_the_client_would_cut_to_one_of_ours_when_ingested_then_it_does_not_go_on() -> None:
    # A producer's C client takes a name up to its first zero byte, and whoever reads the log would believe it.
    forged = [("encoding\x00", b"json"), ("source\x00x", b"elsewhere"), ("own", b"1")]
    fate = Stages().ingest(STOCK, "avro", _stock(), forged)
    assert fate.forwarded is not None
    assert [name for name, _ in fate.forwarded.headers] == ["encoding", "source", "own"]


@pytest.mark.parametrize("headers", [[("", None)] * 20_000, [("日" * 1000, b"")] * 60])
def test_given_headers_that_are_large_by_number_or_beyond_ascii_when_ingested_then_the_record_is_too_large(
    headers: list[tuple[str, bytes | None]],
) -> None:
    assert Stages().ingest(STOCK, "avro", _stock(), headers).outcome == "TOO_LARGE"


@pytest.mark.parametrize("headers", [[("", None)] * 300_000, [("日" * 10_000, b"")] * 20])
def test_given_such_headers_and_a_large_value_when_set_aside_then_the_dead_letter_fits_into_its_topic(
    headers: list[tuple[str, bytes | None]],
) -> None:
    value, key, sent = dead_letter(Consumed(b"x" * 1_500_000, b"k", headers), "TOO_LARGE", "too large")
    assert record_size(value, key, sent) < MOST_BYTES
    assert sent[5] == ("dead-letter-cut", b"headers")


def test_given_a_long_cause_when_set_aside_then_it_is_not_cut_within_a_character() -> None:
    _, _, headers = dead_letter(Consumed(b"x"), "NOT_AVRO", "日" * 600)
    assert (headers[4][1] or b"").decode() == "日" * 333


# --- the registry ---


def test_given_a_schema_whose_field_has_no_text_for_a_name_when_opened_then_it_is_of_no_use() -> None:
    schema = schema_of(STOCK)
    schema["fields"][0]["name"] = {"a": 1}
    with pytest.raises(BadInput) as bad:
        open_writer(json.dumps(schema))
    assert bad.value.error_class == ErrorClass.UNUSABLE_SCHEMA


@pytest.mark.parametrize("name", [{}, [], None, "\x1b[31m", 7])
def test_given_a_registered_schema_with_a_field_that_has_no_name_when_compared_then_it_is_no_record(
    name: object,
) -> None:
    registered = json.dumps({"type": "record", "name": "x", "fields": [{"name": name, "type": "int"}]})
    assert differences(schema_of(STOCK), registered) == ("registered is not an Avro record",)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"fields":' * 5000, '{"fields": [7]}', "7", '{"fields": 7}'])
def test_given_a_registered_text_nested_beyond_the_stack_when_compared_then_it_is_no_record(text: str) -> None:
    assert differences(schema_of(STOCK), text) == ("registered is not an Avro record",)


async def test_given_a_schema_of_a_kind_that_is_no_text_when_fetched_then_the_cause_can_be_shown() -> None:
    answer = httpx.Response(200, json={"schema": "x", "schemaType": "\x1b[31m\n"})
    async with SchemaRegistry("http://registry.test", transport=Transport(lambda _: answer)) as registry:
        with pytest.raises(BadInput) as bad:
            await registry.fetch(7)
    assert bad.value.message.isprintable()


@pytest.mark.parametrize("answer", [{}, [], {"id": None}, 7, {"schema": "x", "id": [], "version": 1, "subject": "s"}])
@pytest.mark.parametrize("question", ["register", "ids"])
async def test_given_an_answer_of_no_registry_where_an_id_is_expected_then_it_is_said_and_nothing_breaks(
    question: str, answer: object
) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"schema": "{}", "id": 1})
        if question == "register" and not request.url.path.endswith("/versions"):
            return httpx.Response(404, json={"error_code": 40403})
        return httpx.Response(200, json=answer)

    async with SchemaRegistry("http://registry.test", transport=Transport(handler)) as registry:
        with pytest.raises(RegistryUnreachable, match="not the answer of a schema registry"):
            await getattr(registry, question)([COMMITTED])


async def test_given_an_error_with_control_characters_when_told_then_it_can_be_shown() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("\x00\x1b[31m")

    async with SchemaRegistry("http://registry.test", transport=Transport(handler)) as registry:
        with pytest.raises(RegistryUnreachable) as away:
            await registry.ids([COMMITTED])
    assert str(away.value).isprintable()


# --- settings ---


def _problems(tmp_path: Path, file: str, **environment: str) -> list[AppError]:
    path = tmp_path / "settings.toml"
    path.write_text(file, encoding="utf-8")
    with pytest.raises(AppError) as wrong:
        load_settings(path, environment=environment)
    error = wrong.value
    return list(error.problems) if isinstance(error, SettingsError) else [error]


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("web.port = 1e9999999999999999999", "a number in it is too large"),
        # Would be made an integer of, digit by digit.
        ("topics.replication_factor = 1e999999999999999999", "a number in it is too large"),
        (f"web.port = {'9' * 5000}", "Exceeds the limit"),
        (f"channels = {'[' * 3000}{']' * 3000}", "it is nested too deep"),
    ],
    ids=["exponent", "for-ever", "digits", "nesting"],
)
def test_given_a_file_that_the_parser_gives_up_on_when_loaded_then_it_is_said_to_be_no_toml(
    line: str, cause: str, tmp_path: Path
) -> None:
    (problem,) = _problems(tmp_path, line)
    assert "is not valid TOML" in problem.message
    assert cause in problem.cause


@pytest.mark.parametrize("value", ["[" * 100_000, '{"ECOM": {"limit": 1e99999999999999999999}}', '{"a":' * 5000])
def test_given_a_variable_that_the_parser_gives_up_on_when_loaded_then_it_is_said_to_be_no_json(
    value: str, tmp_path: Path
) -> None:
    (problem,) = _problems(tmp_path, "", ATP_POLICY__CHANNELS=value)
    assert problem.message == "policy.channels is not valid JSON"


@pytest.mark.parametrize("name", ["policy.safety_stock", "registry.url", "web.port", "worker.dead_letters_per_minute"])
def test_given_a_number_too_large_to_be_written_when_loaded_then_its_setting_is_named(
    name: str, tmp_path: Path
) -> None:
    (problem,) = _problems(tmp_path, f"{name} = 0x{'f' * 4000}")
    assert problem.message == f"{name} is too large to be shown, which is not allowed"


def test_given_a_long_line_without_a_key_when_looked_for_keys_then_it_takes_no_time() -> None:
    text = f'a = """\n{"2" * 5000}"""\n[b]\nc . \'d.e\' = 1\n'
    assert list(lines_of_keys(text)) == [(("a",), 1), (("b",), 3), (("b", "c", "d.e"), 4)]


def test_given_a_long_value_when_it_is_wrong_then_the_message_stays_short(tmp_path: Path) -> None:
    (problem,) = _problems(tmp_path, "", ATP_TOPICS__STATE_PARTITIONS="9" * 5000)
    assert len(problem.message) < 300


def test_given_the_home_directory_of_nobody_when_loaded_then_the_setting_is_named(tmp_path: Path) -> None:
    (problem,) = _problems(tmp_path, 'kafka.ssl_ca_location = "~nobody-of-this-name/ca.pem"')
    assert problem.message.startswith("kafka.ssl_ca_location is ")
    assert "home directory" in problem.cause


def test_given_a_channel_beyond_the_basic_plane_when_its_rules_are_wrong_then_it_is_named(tmp_path: Path) -> None:
    (problem,) = _problems(tmp_path, '[policy.channels."\U0001f4e6"]\nlimit = 5')
    assert problem.message == 'policy.channels."\U0001f4e6" has rules for a channel that is not configured'


@pytest.mark.parametrize("part", ["\U0001f4e6", "a.b", '"', "\\", "\x7f", "\x1b", "é", "\u202e", "", " "])
def test_given_any_key_when_it_is_named_then_the_name_is_a_toml_key_that_can_be_shown(part: str) -> None:
    name = name_of(("policy", part))
    assert path_of(name) == ("policy", part)
    assert name.isprintable()


@pytest.mark.parametrize(
    "name", ["worker.dead_letters_per_minute", "registry.timeout_seconds", "topics.state_partitions"]
)
def test_given_true_for_a_number_when_loaded_then_it_is_not_taken_for_a_one(name: str, tmp_path: Path) -> None:
    (problem,) = _problems(tmp_path, f"{name} = true")
    assert problem.message == f"{name} is True, which is not allowed"
    assert problem.cause == "it must be a number"


@pytest.mark.parametrize("name", ["ATP_WORKER__DATA_DIR", "ATP_KAFKA__SASL_USERNAME", "ATP_POLICY__VERSION"])
def test_given_a_variable_that_is_not_utf8_when_loaded_then_it_is_said(name: str, tmp_path: Path) -> None:
    (problem,) = _problems(tmp_path, "", **{name: "a\udcff"})
    assert problem.message.endswith("is not text in UTF-8")
    assert name in problem.cause


def test_given_a_wrong_key_within_a_variables_json_when_loaded_then_the_key_is_named(tmp_path: Path) -> None:
    (problem,) = _problems(tmp_path, "", ATP_POLICY__CHANNELS='{"ECOM": {"limits": 5}}')
    assert problem.message == "unknown setting policy.channels.ECOM.limits"
    assert "ATP_POLICY__CHANNELS in the environment" in problem.cause
    assert problem.fix == "did you mean policy.channels.ECOM.limit or policy.channels.ECOM.protected?"
