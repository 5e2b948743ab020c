"""The messages of the stream as they travel, and how another worker's are read."""

import pytest

from atp_stream.domain.events import AvailabilityCalculated, OutputEvent, ReservationDenied, ShortageReason
from atp_stream.web.models import encode
from atp_stream.web.relaying import Lost, Parser
from atp_stream.web.stream_messages import Message, event_told, places_of, written

_RUN, _OTHER = "0123abcd", "ffffffff"


def test_given_a_message_then_its_id_says_where_its_reader_is_with_every_worker() -> None:
    places = {_RUN: 7, _OTHER: 12}
    data = written(Message("rows", b'{"rows":[]}', _RUN, 7), places)
    assert data == b'id: 0123abcd.7,ffffffff.12\nevent: rows\ndata: {"rows":[]}\n\n'
    assert places_of("0123abcd.7,ffffffff.12") == places


@pytest.mark.parametrize(
    "ident", ["", "x", "0123abcd", "0123abcd.-1", "0123ABCD.1", "0123abcd.1" + "0" * 30, "a" * 99_999]
)
def test_given_what_is_no_id_then_it_says_nothing(ident: str) -> None:
    assert places_of(ident) == {}


def test_given_pieces_of_any_size_then_the_messages_are_whole() -> None:
    text = b"retry: 500\n\n: \n\n" + written(Message("rows", b"{}", _RUN, 7), {_RUN: 7}) * 2
    for size in range(1, len(text)):
        parser = Parser()
        found = [each for at in range(0, len(text), size) for each in parser.feed(text[at : at + size])]
        assert found == [Message("rows", b"{}", _RUN, 7)] * 2


@pytest.mark.parametrize(
    "text",
    [
        b"id: 0123abcd.7,ffffffff.12\nevent: rows\ndata: {}\n\n",
        b"event: rows\ndata: {}\n\n",
        b"id: 0123abcd.7\nevent: r\rows\ndata: {}\n\n",
        b"data: " + b"x" * (5 << 20),
    ],
    ids=["of many", "without id", "no event", "endless"],
)
def test_given_what_is_not_one_workers_stream_then_it_is_not_read(text: bytes) -> None:
    with pytest.raises(Lost):
        Parser().feed(text)


def test_given_a_denial_then_all_of_it_is_told_with_exact_numbers() -> None:
    fact = ReservationDenied("r-1", "ECOM", 1_00, 10**18 - 1, ShortageReason.SAFETY_STOCK)
    told = event_told(OutputEvent("o-1", 5, "north", "DRILL", 3, "e-1", "1", fact))
    assert encode(told) == (
        b'{"eventId":"o-1","kind":"denied","timestamp":5,"tenantId":"north","itemId":"DRILL","channel":"ECOM",'
        b'"quantity":1.00,"available":9999999999999999.99,"reason":"SAFETY_STOCK","about":"r-1","sequence":3,'
        b'"causationId":"e-1"}'
    )


def test_given_availability_then_it_is_no_event() -> None:
    with pytest.raises(ValueError, match="told as rows"):
        event_told(OutputEvent("o-1", 5, "north", "DRILL", 3, "e-1", "1", AvailabilityCalculated("ECOM", 1, 0)))
