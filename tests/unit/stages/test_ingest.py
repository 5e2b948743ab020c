"""Design section 4, step 1: valid events go to the changes log as they came, under their item's key."""

import pytest

from atp_stream.settings import SourceTopic
from atp_stream.stages.ingest import Ingest
from atp_stream.streaming.header_names import EscapedName
from tests.contract.samples import CREATED, STOCK, UNKNOWN_ID, sample
from tests.unit.stages.harness import Consumed, Written, decoder, run


def _ingest(event: str = STOCK) -> Ingest:
    return Ingest(decoder(), SourceTopic(event=event), "changes")  # type: ignore[arg-type]


def test_given_a_valid_event_when_ingested_then_its_bytes_go_on_under_the_item_key() -> None:
    value = sample(STOCK)
    written = run(_ingest(), [Consumed(value, key=b"whatever", offset=7, partition=3)], Written())
    assert written.produced == [
        ("changes", value, b"t-1/item-001", [("encoding", b"avro"), ("source", b"source/3/7")]),
    ]


def test_given_headers_when_ingested_then_they_go_on_and_ours_cannot_be_forged() -> None:
    headers = [("traceparent", b"00-1"), ("encoding", b"json"), ("source", b"elsewhere")]
    written = run(_ingest(), [Consumed(sample(STOCK), headers=headers)], Written())
    assert written.produced[0][3] == [("encoding", b"avro"), ("source", b"source/0/0"), ("traceparent", b"00-1")]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "NULL_VALUE"),
        (b"", "NOT_AVRO"),
        (b"\x00" + UNKNOWN_ID.to_bytes(4, "big") + b"x", "UNKNOWN_SCHEMA_ID"),
        (sample(CREATED), "WRONG_EVENT_TYPE"),
        (sample(STOCK, itemId=""), "EMPTY_ID"),
        (sample(STOCK) + b"x" * (256 << 10), "TOO_LARGE"),
    ],
)
def test_given_bad_input_among_good_when_ingested_then_it_is_refused_with_its_cause_and_the_rest_goes_on(
    value: bytes | None, code: str
) -> None:
    bad, good = Consumed(value, offset=1), Consumed(sample(STOCK), offset=2)
    written = run(_ingest(), [bad, good], Written())
    assert [(record, found) for record, found, _ in written.refused] == [(bad, code)]
    assert [value for _, value, _, _ in written.produced] == [good.value]


def test_given_headers_that_could_not_be_forwarded_when_ingested_then_the_record_is_refused() -> None:
    written = run(_ingest(), [Consumed(sample(STOCK), headers=[("h", b"x" * (65 << 10))])], Written())
    assert [code for _, code, _ in written.refused] == ["TOO_LARGE"]


def test_given_a_header_name_that_was_not_utf8_when_ingested_then_the_record_is_refused_and_shows_it_on_one_line() -> (
    None
):
    headers = [("own", b"1"), (EscapedName("a\nb\\xff"), b"1")]
    bad, good = Consumed(sample(STOCK), headers=headers), Consumed(sample(STOCK), headers=[("a\nb\\xff", b"1")])
    written = run(_ingest(), [bad, good], Written())
    assert written.refused == [(bad, "HEADER_NAME_NOT_UTF8", "the name of a header is not UTF-8: a\\nb\\xff")]
    assert [headers[-1] for _, _, _, headers in written.produced] == [("a\nb\\xff", b"1")]
