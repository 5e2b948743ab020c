"""What comes out, decoded and written as a line or as JSON."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from atp_stream.contracts.catalogue import OUTPUT_TOPICS
from atp_stream.contracts.outputs import OutputEncoder
from atp_stream.contracts.schemas import schema_of
from atp_stream.domain.events import (
    AllocationBackordered,
    AllocationCommitted,
    AllocationReleased,
    AvailabilityCalculated,
    Fact,
    OutputEvent,
    ReservationDenied,
    ShortageReason,
)
from atp_stream.settings import Settings
from atp_stream.tools.event_line import as_line, clock
from atp_stream.tools.received import DEAD_LETTER, Reader, Received, printable
from atp_stream.tools.tail import topic_names
from tests.unit.received import DENIED, NOON, dead_letter, received

IDS = {f"{topic}-value": number for number, (topic, _) in enumerate(OUTPUT_TOPICS.values(), start=5)}
EVENTS = dict(enumerate(OUTPUT_TOPICS, start=5))
FACTS: list[tuple[Fact, dict[str, Any], str]] = [
    (AvailabilityCalculated("POS", 12_050, 1), {"available": "120.50", "reserved": "0.01"}, "120.50 available"),
    (AllocationCommitted("a-1", "POS", 500), {"allocationId": "a-1", "quantity": "5.00"}, "5.00"),
    (AllocationReleased("a-1", "POS", 500, None), {"quantity": "5.00", "reason": None}, "5.00"),
    (AllocationReleased("a-1", "POS", 500, "CANCELLED"), {"reason": "CANCELLED"}, "5.00 CANCELLED"),
    (
        ReservationDenied("r-1", "POS", 500, 0, ShortageReason.SAFETY_STOCK),
        {"reservationId": "r-1", "available": "0.00", "reason": "SAFETY_STOCK"},
        "5.00 of 0.00 available, SAFETY_STOCK",
    ),
    (AllocationBackordered("r-1", "POS", 500, 100), {"available": "1.00"}, "5.00 of 1.00 available"),
]


class Message:
    """As much of a consumed message as is looked at."""

    def __init__(self, topic: str, value: bytes | None, key: bytes | None = b"t/i", headers: Any = None) -> None:
        self.topic = lambda: topic
        self.value = lambda: value
        self.key = lambda: key
        self.headers = lambda: headers
        self.partition: Callable[[], int] = lambda: 3
        self.offset: Callable[[], int] = lambda: 17
        self.timestamp = lambda: (1, NOON)


def read(message: Any) -> Received:
    topics = {topic: event for event, (topic, _) in OUTPUT_TOPICS.items()}
    return Reader(topics, lambda schema_id: schema_of(EVENTS[schema_id])).read(message)


def encoded(fact: Fact) -> Message:
    output = OutputEvent("e-1", 1_000, "t", "i", 42, "c-1", "1", fact)
    topic, value, headers = OutputEncoder(IDS).encode(output, b"00-ab-cd-01")
    return Message(topic, value, b"t/i", headers)


@pytest.mark.parametrize(("fact", "fields", "_"), FACTS)
def test_an_event_as_json_has_all_that_it_says(fact: Fact, fields: dict[str, Any], _: str) -> None:
    document = json.loads(json.dumps(read(encoded(fact)).document()))
    topic = OUTPUT_TOPICS[fact.kind][0]
    assert (
        document.pop("fields").items()
        >= {**fields, "eventId": "e-1", "timestamp": 1_000, "tenantId": "t", "itemId": "i", "channel": "POS"}.items()
    )
    assert document == {
        "topic": topic,
        "partition": 3,
        "offset": 17,
        "time": "2023-11-15T12:00:00.000Z",
        "key": "t/i",
        "event": fact.kind,
        "headers": {
            "event-type": fact.kind,
            "causation-id": "c-1",
            "sequence": "42",
            "rules-version": "1",
            "traceparent": "00-ab-cd-01",
        },
    }


@pytest.mark.parametrize(("fact", "_", "numbers"), FACTS)
def test_an_event_is_a_line(fact: Fact, _: dict[str, Any], numbers: str) -> None:
    line, _color = as_line(read(encoded(fact)))
    assert line.startswith(clock(NOON))
    words = " ".join(line.split())
    assert f" t/i POS {numbers}" in words
    assert words.endswith(" #42 caused by c-1")


def test_a_dead_letter_says_what_is_wrong_and_where_it_came_from() -> None:
    headers = [
        ("dead-letter-topic", b"core.created"),
        ("dead-letter-partition", b"2"),
        ("dead-letter-offset", b"9"),
        ("dead-letter-error", b"NOT_AVRO"),
        ("dead-letter-message", b"cut off"),
        # What the record itself had cannot hide it.
        ("dead-letter-error", b"NONE"),
        ("own", b"\xff"),
        ("empty", None),
    ]
    letter = read(Message("atp.dead-letters", b"\x00\xff", b"res\xff", headers))
    assert as_line(letter) == (f"{clock(NOON)}  dead letter   core.created[2]@9  NOT_AVRO: cut off", "red")
    document = letter.document()
    assert document["event"] == DEAD_LETTER
    assert base64.b64decode(document["value"]) == b"\x00\xff"
    assert document["key"] == "res\\xff"
    assert document["headers"]["dead-letter-error"] == "NOT_AVRO"
    assert document["headers"]["own"] == "\\xff"
    assert document["headers"]["empty"] == ""


def test_a_dead_letter_without_value_or_key_or_headers_is_shown_too() -> None:
    letter = read(Message("atp.dead-letters", None, None))
    assert letter.document()["value"] is None
    assert as_line(letter)[0].endswith("?[?]@?  ?: ?")


@pytest.mark.parametrize("value", [None, b"", b"text", b"\x00\x00\x00\x00\x05", b"\x00\x00\x00\x00\x63rest"])
def test_what_cannot_be_decoded_is_shown_with_its_place(value: bytes | None) -> None:
    found = read(Message(OUTPUT_TOPICS[DENIED][0], value))
    assert found.unreadable
    assert found.document()["unreadable"] == found.unreadable
    assert "inventory.atp.reservation.denied[3]@17" in as_line(found)[0]


def test_a_line_holds_no_escape_byte_whatever_the_ids_hold() -> None:
    assert printable("a\x1b[31m\u202eb\nGröße") == "a\\x1b[31m\\u202eb\\nGröße"
    assert as_line(received(DENIED, "t/\x1b[2J"))[0].isprintable()
    assert as_line(dead_letter(message="\x1b]0;x\x07\n"))[0].isprintable()


def test_a_sequence_that_is_none_is_no_error() -> None:
    assert Received("t", 0, 0, 0, "", DENIED, {}, {"sequence": "x²"}).sequence == 0
    assert dead_letter().sequence == 0


@pytest.mark.parametrize(
    ("words", "topics"),
    [
        (("availability",), ["inventory.atp.availability.calculated"]),
        (("allocations",), ["inventory.atp.allocation.committed", "inventory.atp.allocation.released"]),
        (("denials",), ["inventory.atp.reservation.denied", "inventory.atp.allocation.backordered"]),
        (("dead-letters", "dead-letters"), ["atp.dead-letters"]),
        (("denials", "all"), [*(topic for topic, _ in OUTPUT_TOPICS.values()), "atp.dead-letters"]),
    ],
)
def test_the_words_of_the_command_line_stand_for_topics(words: tuple[str, ...], topics: list[str]) -> None:
    assert sorted(topic_names(Settings(), words)) == sorted(topics)
