"""Dead letters: the original with its cause, always small enough, never too many."""

import pytest

from atp_stream.streaming.dead_letters import MOST_VALUE_BYTES, FloodGuard, dead_letter
from atp_stream.streaming.errors import DeadLetterFlood

from .samples import Consumed

CAUSE = [
    ("dead-letter-topic", b"source"),
    ("dead-letter-partition", b"3"),
    ("dead-letter-offset", b"17"),
    ("dead-letter-error", b"NOT_AVRO"),
    ("dead-letter-message", "kaputt: ß".encode()),
]


def letter(record: Consumed) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
    return dead_letter(record, "NOT_AVRO", "kaputt: ß")


def test_given_a_bad_record_then_its_own_parts_are_unchanged_and_the_cause_comes_first() -> None:
    own = [("traceparent", b"00-1"), ("empty", None), ("traceparent", b"again")]
    record = Consumed(partition=3, offset=17, key=b"\xff", value=b"\x00\x01", headers=own)
    assert letter(record) == (b"\x00\x01", b"\xff", CAUSE + own)


def test_given_a_record_without_key_and_value_then_the_dead_letter_has_none_either() -> None:
    assert letter(Consumed(partition=3, offset=17, key=None, value=None)) == (None, None, CAUSE)


def test_given_a_value_that_is_just_not_too_long_then_nothing_is_cut() -> None:
    value, _, headers = letter(Consumed(value=b"x" * MOST_VALUE_BYTES))
    assert value == b"x" * MOST_VALUE_BYTES
    assert "dead-letter-cut" not in dict(headers)


def test_given_parts_that_are_too_long_then_they_are_cut_and_named() -> None:
    record = Consumed(value=b"v" * (MOST_VALUE_BYTES + 1), key=b"k" * 70_000, headers=[("big", b"h" * 70_000)])
    value, key, headers = letter(record)
    assert value == b"v" * MOST_VALUE_BYTES
    assert key == b"k" * (64 << 10)
    assert dict(headers)["dead-letter-cut"] == b"value,key,headers"
    assert "big" not in dict(headers)
    assert len(headers) == len(CAUSE) + 1


def test_given_a_message_without_end_then_it_is_cut() -> None:
    _, _, headers = dead_letter(Consumed(), "CODE", "x" * 100_000)
    assert len(dict(headers)["dead-letter-message"] or b"") == 1000


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_given_as_many_as_allowed_within_a_minute_then_the_next_one_is_a_flood() -> None:
    clock = Clock()
    guard = FloodGuard(2, clock)
    guard.count(Consumed(offset=1), "CODE", "one")
    clock.now += 59.9
    guard.count(Consumed(offset=2), "CODE", "two")
    with pytest.raises(DeadLetterFlood, match="more than 2") as caught:
        guard.count(Consumed(offset=3), "CODE", "three")
    assert caught.value.cause == "the last one: source[0]@3: CODE: three"


def test_given_a_minute_has_passed_then_there_is_room_again() -> None:
    clock = Clock()
    guard = FloodGuard(1, clock)
    for _ in range(5):
        guard.count(Consumed(), "CODE", "each minute one")
        clock.now += 60


def test_given_none_are_allowed_then_the_first_is_a_flood() -> None:
    with pytest.raises(DeadLetterFlood):
        FloodGuard(0, Clock()).count(Consumed(), "CODE", "")
