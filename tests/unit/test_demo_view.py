"""The demo's board as it is drawn, and as plain lines."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from atp_stream.tools.demo_board import Board
from atp_stream.tools.demo_view import Status, drawn, plain
from tests.unit.received import AVAILABILITY, COMMITTED, DENIED, NOON, RELEASED, dead_letter, received

STATUS = Status(
    kafka="127.0.0.1:9092 (ends with the demo)",
    worker="process 42",
    now=NOON + 2_000,
    seconds=75.0,
    sent=1_234,
    broken=12,
    in_rate=50.0,
    out_rate=123.4,
    foot="Ctrl-C ends the demo",
)


def busy() -> Board:
    board = Board(began=NOON)
    for number in range(60):
        item, at = f"tenant/item-{number}", NOON + number
        board.take(received(COMMITTED, item, "MARKETPLACE", cause=f"c{number}"), at)
        board.take(received(AVAILABILITY, item, "MARKETPLACE", sequence=2, cause=f"c{number}"), at)
    board.take(received(DENIED, "tenant/item-1"), NOON + 100)
    board.take(received(RELEASED, "tenant/item-2"), NOON + 100)
    board.take(dead_letter(), NOON + 100)
    return board


def screen(board: Board, width: int, height: int) -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=width, height=height, force_terminal=False)
    console.print(drawn(board, STATUS, width, height))
    return stream.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(140, 40), (120, 30), (100, 24), (80, 24), (40, 10), (10, 3), (1, 1)])
@pytest.mark.parametrize("board", [busy(), Board(began=NOON)], ids=["busy", "empty"])
def test_it_fits_every_terminal(board: Board, width: int, height: int) -> None:
    lines = screen(board, width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize(("width", "height"), [(140, 40), (80, 24)])
def test_it_shows_totals_numbers_and_the_last_events(width: int, height: int) -> None:
    lines = screen(busy(), width, height)
    text = "\n".join(lines)
    assert "01:15" in lines[0]
    assert "in 1,234 (50/s, 12 broken on purpose)   out 122 (123/s)   latency" in lines[1]
    assert "availability 60   committed 60   released 1   denied 1   dead letters 1" in lines[2]
    assert "tenant/item-59" in text
    assert "MARKETPLACE" in text
    assert "7.00      3.00     2 committed" in text
    assert "denied         9.00 tenant/item-1 POS has 7.00" in text
    assert "dead letter NOT_AVRO in released[4]@12" in text
    assert "Ctrl-C ends the demo" in lines[-1]


def test_where_nothing_can_be_drawn_it_is_plain_lines() -> None:
    lines = plain(busy(), STATUS)
    assert "\x1b" not in "".join(lines)
    assert lines[2].startswith("in 1,234 (50/s, 12 broken on purpose)   out 122 (123/s)   latency ")
    assert lines[5].split() == ["tenant/item", "channel", "available", "reserved", "seq", "last", "event", "age"]
    assert lines[6].split() == ["tenant/item-2", "MARKETPLACE", "7.00", "3.00", "2", "committed", "2", "s"]
    assert lines[-1].endswith("dead letter NOT_AVRO in released[4]@12")


def test_ids_cannot_speak_to_the_terminal() -> None:
    board = Board(began=NOON)
    board.take(received(AVAILABILITY, "tenant/\x1b[2J", "P\x07S"), NOON)
    board.take(received(COMMITTED, "tenant/\x1b[2J[red]"), NOON)
    board.take(dead_letter(error="\x1b]0;title\x07"), NOON)
    for text in ("\n".join(screen(board, 140, 40)), "\n".join(plain(board, STATUS))):
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "[red]" in text


def test_backorders_are_named_once_there_are_some() -> None:
    assert "backordered" not in "\n".join(plain(busy(), STATUS))
    board = busy()
    board.take(replace(received(DENIED), kind="AllocationBackorderedEvent"), NOON)
    assert "backordered 1" in "\n".join(plain(board, STATUS))
