"""What the demo's board says after what has come out."""

from decimal import Decimal

import pytest

from atp_stream.tools.demo_board import Board, Rate
from atp_stream.tools.received import Received
from tests.unit.received import AVAILABILITY, COMMITTED, DENIED, NOON, RELEASED, dead_letter, received


def board_of(*events: Received, now: int = NOON) -> Board:
    board = Board(began=NOON)
    for event in events:
        board.take(event, now)
    return board


def last_events(board: Board) -> dict[str, str]:
    (item,) = board.shown(100, NOON)
    return {channel: row.last for channel, row in item.rows.items()}


def names(board: Board, lines: int, now: int) -> list[str]:
    return [item.name for item in board.shown(lines, now)]


def test_it_counts_what_came_out() -> None:
    board = board_of(received(COMMITTED), received(AVAILABILITY), received(AVAILABILITY, "t/nut"), dead_letter())
    assert board.totals == {COMMITTED: 1, AVAILABILITY: 2, "DeadLetter": 1}
    assert board.out == 3
    assert board.size == (2, 2)
    assert [event.kind for event in board.recent] == [COMMITTED, "DeadLetter"]


def test_a_row_has_the_newest_numbers_and_their_place_in_the_order() -> None:
    board = board_of(
        received(AVAILABILITY, sequence=1),
        received(AVAILABILITY, sequence=2, available=Decimal(5), reserved=Decimal(5)),
    )
    (item,) = board.shown(10, NOON)
    row = item.rows["POS"]
    assert (row.available, row.reserved, row.sequence) == (Decimal(5), Decimal(5), 2)


def test_availability_alone_comes_from_stock() -> None:
    assert last_events(board_of(received(AVAILABILITY))) == {"POS": "stock changed"}


@pytest.mark.parametrize("turned", [False, True])
def test_an_allocation_is_what_its_availability_comes_from_whichever_arrives_first(turned: bool) -> None:
    events = [
        received(COMMITTED, channel="ECOM", sequence=1, cause="r"),
        received(AVAILABILITY, channel="ECOM", sequence=2, cause="r"),
        received(AVAILABILITY, channel="POS", sequence=3, cause="r"),
    ]
    board = board_of(*reversed(events) if turned else events)
    assert last_events(board) == {"ECOM": "committed", "POS": "other channel"}


def test_allocations_that_arrive_together_are_not_mixed_up() -> None:
    board = board_of(
        received(COMMITTED, channel="ECOM", sequence=1, cause="a"),
        received(RELEASED, channel="POS", sequence=4, cause="b"),
        received(AVAILABILITY, channel="ECOM", sequence=2, cause="a"),
        received(AVAILABILITY, channel="POS", sequence=3, cause="a"),
        received(AVAILABILITY, channel="POS", sequence=6, cause="b"),
    )
    assert last_events(board) == {"ECOM": "committed", "POS": "released"}


def test_a_denial_changes_no_number_and_is_still_the_last_event() -> None:
    board = board_of(received(AVAILABILITY, sequence=1), received(DENIED, sequence=2))
    assert last_events(board) == {"POS": "denied"}


def test_the_age_is_that_of_events_made_since_the_demo_began() -> None:
    board = Board(began=NOON)
    assert board.ages(NOON) is None
    board.take(received(COMMITTED, timestamp=NOON - 1), NOON + 50)
    assert board.ages(NOON + 50) is None
    for age in range(1, 101):
        board.take(received(COMMITTED, timestamp=NOON), NOON + age)
    assert board.ages(NOON + 100) == (51, 100)
    assert board.ages(NOON + 60_000) is None


def test_the_last_changed_items_are_shown_as_far_as_there_is_room() -> None:
    board = Board(began=NOON)
    for number in range(5):
        board.take(received(AVAILABILITY, f"t/{number}"), NOON + number)
    assert names(board, 3, NOON + 10) == ["t/4", "t/3", "t/2"]


def test_an_item_stays_where_it_is_while_it_is_fresh() -> None:
    board = board_of(received(AVAILABILITY, "t/a"), received(AVAILABILITY, "t/b"))
    before = names(board, 2, NOON)
    board.take(received(AVAILABILITY, "t/c"), NOON + 1_000)
    assert names(board, 2, NOON + 1_000) == before
    board.take(received(AVAILABILITY, before[1]), NOON + 2_000)
    board.take(received(AVAILABILITY, "t/c"), NOON + 4_000)
    assert names(board, 2, NOON + 4_000) == ["t/c", before[1]]


def test_an_item_that_needs_more_room_takes_that_of_several() -> None:
    board = board_of(*(received(AVAILABILITY, f"t/{number}") for number in range(3)))
    board.shown(3, NOON)
    for channel in ("ECOM", "POS"):
        board.take(received(AVAILABILITY, "t/wide", channel), NOON + 5_000)
    shown = board.shown(3, NOON + 5_000)
    assert sorted(len(item.rows) for item in shown) == [1, 2]
    assert shown[0].name == "t/wide"


def test_on_a_smaller_screen_the_quietest_items_go() -> None:
    board = Board(began=NOON)
    for number in range(4):
        board.take(received(AVAILABILITY, f"t/{number}"), NOON + number)
    assert names(board, 4, NOON + 5) == ["t/3", "t/2", "t/1", "t/0"]
    assert names(board, 2, NOON + 5) == ["t/3", "t/2"]


def test_an_item_that_has_got_more_channels_still_fits() -> None:
    board = board_of(received(AVAILABILITY, "t/a"), received(AVAILABILITY, "t/b"))
    assert len(board.shown(2, NOON)) == 2
    board.take(received(AVAILABILITY, "t/a", "ECOM"), NOON + 1)
    assert names(board, 2, NOON + 1) == ["t/a"]


def test_what_cannot_be_decoded_is_counted_and_listed_and_no_more() -> None:
    unreadable = received(AVAILABILITY)
    unreadable = Received(
        unreadable.topic, 0, 0, NOON, "t/bolt", AVAILABILITY, {}, {}, unreadable="ValueError: no Confluent wire format"
    )
    board = board_of(unreadable)
    assert (board.out, board.size) == (1, (0, 0))


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    assert rate.at(0, 0) == 0
    assert rate.at(1_000, 50) == 50
    assert rate.at(5_000, 250) == 50
    assert rate.at(20_000, 250) == pytest.approx(0)
    # Asked for seldom, it is the one since the time before.
    assert rate.at(40_000, 450) == 10
