"""Dead letters as text: nothing of it obeyed by a terminal, cut only where a terminal is too narrow."""

import dataclasses
import io

import pytest

from atp_stream.contracts.errors import ErrorClass
from atp_stream.errors import UsageError
from atp_stream.streaming.dead_letter_records import Letter, Marker, Place
from atp_stream.streaming.records import Partition
from atp_stream.tools.dead_letters.causes import meaning, remedy
from atp_stream.tools.dead_letters.connection import Wanted, parse_id
from atp_stream.tools.dead_letters.value import Shown
from atp_stream.tools.dead_letters.view import as_document, as_line, in_full, print_lines

TOPIC = "inventory.core.stock-availability.changed"
LETTER = Letter(
    Place(0, 17),
    1767323045000,
    Partition(TOPIC, 3),
    12345,
    "NOT_AVRO",
    "no Confluent wire format: starts with b'nonsense', and much more is to be said of it than there is room for",
    frozenset(),
    b"\xff",
    b"nonsense",
    [("dead-letter-replay-of", b"0/3"), ("evil", b"\x1b[2J")],
)
MARKER = Marker(Place(0, 17), 1767326645000, TOPIC, True, "call")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, columns: int, *letters: Letter) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    print_lines([as_line(letter, None) for letter in letters], stream)
    return [line for line in stream.getvalue().splitlines() if line.strip()]


def test_given_a_wide_terminal_when_letters_are_listed_then_each_has_a_line_that_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = shown(monkeypatch, 170, LETTER)
    assert len(lines) == 3  # titles, a rule, the letter
    assert "…" in lines[-1]


def test_given_a_narrow_terminal_when_letters_are_listed_then_each_has_three_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, third = shown(monkeypatch, 80, LETTER)
    assert "NOT_AVRO" in first
    assert f"{TOPIC}[3]@12345" in second
    assert third.count("…") == 1


def test_given_no_terminal_when_letters_are_listed_then_nothing_is_cut() -> None:
    stream = io.StringIO()
    print_lines([as_line(LETTER, MARKER)], stream)
    titles, line = stream.getvalue().splitlines()
    assert titles.split() == ["ID", "TIME", "ERROR", "STATE", "FROM", "MESSAGE"]
    assert line.endswith(LETTER.message)
    assert "sent back 2026-01-02" in line
    assert ", sent back 1x before" in line


def test_given_control_characters_when_a_letter_is_shown_then_they_are_escaped() -> None:
    line = as_line(dataclasses.replace(LETTER, message="a\x1b[2J\nb", code="X\r"), None)
    assert (line.message, line.error) == ("a\\x1b[2J\\nb", "X\\r")


def test_given_a_letter_when_it_is_shown_in_full_then_all_that_is_known_is_there() -> None:
    facts = in_full(LETTER, None, Shown("text", "nonsense", "not JSON"), "it would be refused again")
    titles = dict(facts)
    assert titles["before"] == "sent back 1x; it was 0:3"
    assert titles["key"] == "0xff"
    assert titles["if sent back"] == "it would be refused again"
    assert titles["value"] == "text, 8 bytes; not JSON"
    assert [text for title, text in facts if title == "header"] == ["dead-letter-replay-of = 0/3", "evil = \x1b[2J"]
    sent = dict(in_full(LETTER, MARKER, Shown("text", ""), ""))
    assert sent["state"].endswith(f"to {TOPIC}, mended")
    assert "what to do" not in sent


def test_given_a_letter_then_its_document_has_its_state() -> None:
    assert as_document(LETTER, None)["state"] == "open"
    document = as_document(LETTER, MARKER)
    assert document["replayed"] == {"time": "2026-01-02T04:04:05.000Z", "to": TOPIC, "mended": True}
    assert (document["id"], document["replay_of"], document["size"]) == ("0:17", ["0:3"], 8)


@pytest.mark.parametrize("code", list(ErrorClass))
def test_every_error_has_a_meaning_and_a_remedy(code: ErrorClass) -> None:
    assert meaning(code) != meaning("unheard of")
    assert remedy(code)


@pytest.mark.parametrize(("text", "place"), [("0:17", Place(0, 17)), ("17", Place(0, 17)), ("2:0", Place(2, 0))])
def test_an_id_is_a_place(text: str, place: Place) -> None:
    assert parse_id(text) == place


@pytest.mark.parametrize("text", ["", "x", "0:", ":1", "-1", "0:-1", "1:2:3", "٣", "9" * 30])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_id(text)


@pytest.mark.parametrize(
    ("wanted", "is_included"),
    [
        (Wanted(), True),
        (Wanted(error="NOT_AVRO", topic=TOPIC, since=LETTER.time, until=LETTER.time + 1), True),
        (Wanted(error="NOT_JSON"), False),
        (Wanted(topic="elsewhere"), False),
        (Wanted(since=LETTER.time + 1), False),
        (Wanted(until=LETTER.time), False),
    ],
)
def test_filters_are_all_to_hold(wanted: Wanted, is_included: bool) -> None:
    assert wanted.includes(LETTER, None) is is_included
    assert not wanted.includes(LETTER, MARKER)
