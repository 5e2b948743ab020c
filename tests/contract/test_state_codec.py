"""State in store and changelog: nothing is lost, equal states are equal bytes, damage is never taken for state."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atp_stream.contracts.errors import StateFormatError
from atp_stream.contracts.state_codec import decode_item, decode_reservation, encode_item, encode_reservation
from atp_stream.domain.quantity import MAX
from atp_stream.domain.state import NEW_ITEM, Cause, ItemState, Reservation, Stock

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
quantities = st.integers(-MAX, MAX)
times = st.integers(0, 253402300799999)
items = st.builds(
    ItemState,
    st.dictionaries(
        ids, st.dictionaries(st.just("") | ids, st.builds(Stock, quantities, times), max_size=4), max_size=4
    ),
    st.dictionaries(ids, quantities, max_size=4),
    st.dictionaries(ids, st.tuples(quantities, quantities), max_size=4),
    st.integers(0, 2**62),
    st.none() | st.builds(Cause, ids, ids, times),
)
reservations = st.builds(
    Reservation,
    st.sampled_from(["committed", "denied", "closed"]),
    ids,
    quantities,
    st.none() | ids,
    st.lists(ids, max_size=3).map(tuple),
)

ITEM = ItemState(
    {"l-1": {"": Stock(15000, 5), "ECOM": Stock(-1, 6)}},
    {"ECOM": 3000},
    {"ECOM": (12000, 3000)},
    7,
    Cause("e-1", "ReservationCreatedEvent", 6),
)
RESERVATION = Reservation("committed", "ECOM", 500, "alloc-001")


def _reversed(item: ItemState) -> ItemState:
    return ItemState(
        {name: dict([*places.items()][::-1]) for name, places in [*item.on_hand.items()][::-1]},
        dict([*item.reserved.items()][::-1]),
        dict([*item.emitted.items()][::-1]),
        item.sequence,
        item.changed,
    )


@given(items)
def test_an_item_comes_back_as_it_was(item: ItemState) -> None:
    assert decode_item(encode_item(item)) == item


@given(items)
def test_equal_items_are_equal_bytes_whatever_the_order_they_grew_in(item: ItemState) -> None:
    assert encode_item(_reversed(item)) == encode_item(item)
    assert encode_item(decode_item(encode_item(item))) == encode_item(item)


@given(reservations)
def test_a_reservation_comes_back_as_it_was(reservation: Reservation) -> None:
    assert decode_reservation(encode_reservation(reservation)) == reservation


def test_stored_bytes_do_not_change_within_a_version() -> None:
    assert encode_item(NEW_ITEM).hex(" ") == "02 95 00 80 80 80 c0"
    assert encode_item(ITEM) == bytes.fromhex(
        "02 95 07 81a36c2d31 82 a0 92cd3a9805 a445434f4d 92ff06 81a445434f4dcd0bb8 81a445434f4d92cd2ee0cd0bb8"
        "93a3652d31b7" + b"ReservationCreatedEvent".hex() + "06"
    )
    assert encode_reservation(RESERVATION) == bytes.fromhex(
        "02 95 a9636f6d6d6974746564 a445434f4d cd01f4 a9616c6c6f632d303031 90"
    )


def test_state_of_version_1_is_read_and_does_not_know_what_changed_it() -> None:
    old = bytes.fromhex(
        "01 94 07 81a36c2d31 82 a0 92cd3a9805 a445434f4d 92ff06 81a445434f4dcd0bb8 81a445434f4d92cd2ee0cd0bb8"
    )
    assert decode_item(old) == replace(ITEM, changed=None)
    assert decode_reservation(b"\x01" + encode_reservation(RESERVATION)[1:]) == RESERVATION


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x03" + encode_item(ITEM)[1:], b"\xff\xff"])
def test_state_of_another_version_is_refused(data: bytes) -> None:
    for decode in (decode_item, decode_reservation):
        with pytest.raises(StateFormatError, match="version"):
            decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x01",
        b"\x02",
        b"\x01" + encode_item(ITEM)[1:],
        encode_item(ITEM)[:-1],
        encode_item(ITEM) + b"\x00",
        encode_item(ITEM).replace(b"ECOM", b"\xff\xff\xff\xff"),
        encode_reservation(RESERVATION).replace(b"committed", b"committee"),
    ],
)
def test_damaged_state_is_refused(data: bytes) -> None:
    for decode in (decode_item, decode_reservation):
        with pytest.raises(StateFormatError, match="damaged"):
            decode(data)


@given(st.binary(max_size=40))
def test_random_bytes_are_state_or_refused(data: bytes) -> None:
    for decode in (decode_item, decode_reservation):
        try:
            decode(bytes([1 + len(data) % 2]) + data)
        except StateFormatError:
            continue
