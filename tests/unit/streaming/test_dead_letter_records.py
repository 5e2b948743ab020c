"""What lies in the dead-letter topic is read as what was written, and nobody's headers make a letter a marker."""

from collections.abc import Sequence

import pytest
from confluent_kafka import Message

from atp_stream.streaming.dead_letter_records import (
    REPLAY_OF,
    REPLAYED,
    Letter,
    Marker,
    Place,
    is_marker,
    marker_headers,
    read_record,
    returned_headers,
)
from atp_stream.streaming.dead_letters import dead_letter
from atp_stream.streaming.records import Partition

from .samples import Consumed

Header = tuple[str, bytes | None]


def message(
    headers: Sequence[Header] | None, value: bytes | None = None, key: bytes | None = None, offset: int = 17
) -> Message:
    return Message(
        topic="letters",
        partition=1,
        offset=offset,
        key=key,
        value=value,
        headers=None if headers is None else list(headers),
        timestamp=(1, 1767323045000),
    )


def letter_of(record: Consumed) -> Letter:
    value, key, headers = dead_letter(record, "NOT_AVRO", "no Avro")
    found = read_record(message(headers, value, key))
    assert isinstance(found, Letter)
    return found


@pytest.mark.parametrize(
    "own",
    [
        (),
        (("own", b"x"), ("empty", None), ("own", b"again")),
        (("dead-letter-topic", b"forged"), ("dead-letter-error", b"forged")),
        ((REPLAYED, b"1/5"), ("dead-letter-replayed-to", b"forged")),
    ],
)
def test_given_a_dead_letter_when_it_is_read_then_it_is_the_record_and_its_cause(own: tuple[Header, ...]) -> None:
    found = letter_of(Consumed("source", 3, 9, b"\xff", b"value", own))
    assert found.place == Place(1, 17)
    assert (found.source, found.source_offset) == (Partition("source", 3), 9)
    assert (found.code, found.message, found.cut) == ("NOT_AVRO", "no Avro", frozenset())
    assert (found.key, found.value, tuple(found.headers)) == (b"\xff", b"value", own)
    assert found.origin == "source[3]@9"


def test_given_a_letter_that_was_cut_when_it_is_read_then_it_says_what_is_missing() -> None:
    found = letter_of(Consumed(value=b"v" * 2_000_000, headers=[("own", b"h" * 70_000)]))
    assert found.cut == {"value", "headers"}
    assert not found.headers


def test_given_a_marker_when_it_is_read_then_it_says_what_was_sent_back_and_where_to() -> None:
    place = Place(1, 9)
    for is_mended in (False, True):
        written = message(marker_headers(place, "source", is_mended, "call-1"))
        assert is_marker(written)
        assert read_record(written) == Marker(place, 1767323045000, "source", is_mended, "call-1")


@pytest.mark.parametrize("headers", [None, [], [("foreign", b"x")], [("dead-letter-partition", b"-1")]])
def test_given_a_record_of_somebody_else_when_it_is_read_then_it_is_a_letter_from_nowhere(
    headers: Sequence[Header] | None,
) -> None:
    found = read_record(message(headers, b"value"))
    assert isinstance(found, Letter)
    assert (found.source, found.code, found.origin, found.value) == (None, "?", "?", b"value")
    assert not is_marker(message(headers))


def test_given_a_letter_sent_back_and_refused_again_then_it_knows_all_that_it_was() -> None:
    first = letter_of(Consumed(headers=[("own", b"x")]))
    assert (first.replay_of, returned_headers(first)) == ([], [(REPLAY_OF, b"1/17"), ("own", b"x")])
    second = letter_of(Consumed(headers=[(REPLAY_OF, b"1/3"), *returned_headers(first)]))
    assert second.replay_of == ["1:3", "1:17"]
