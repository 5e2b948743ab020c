"""State to bytes and back, for the local store and the changelog: deterministic, so equal states are equal bytes.

A version byte, then MessagePack: an item as ``[sequence, {location: {channel: [on hand, as of]}}, {channel: reserved},
{channel: [available, reserved]}, [event id, kind, timestamp] of the last change or nil]`` with the keys of every map in
order; a reservation as ``[status, channel, quantity, allocation id, releases]``. Quantities are hundredths, times epoch
milliseconds. A change of either form gets a new version, and a decoder for the old one as long as such state may exist.
Version 1 had no last change.
"""

from typing import Final, TypeVar

import msgspec

from atp_stream.contracts.errors import StateFormatError
from atp_stream.domain.state import Cause, ItemState, Reservation, Status, Stock

VERSION: Final = b"\x02"
_OLD: Final = b"\x01"

_T = TypeVar("_T")

_encode = msgspec.msgpack.Encoder(order="sorted").encode
_item: Final = msgspec.msgpack.Decoder(
    tuple[
        int,
        dict[str, dict[str, tuple[int, int]]],
        dict[str, int],
        dict[str, tuple[int, int]],
        Cause | None,
    ]
)
_old_item: Final = msgspec.msgpack.Decoder(
    tuple[int, dict[str, dict[str, tuple[int, int]]], dict[str, int], dict[str, tuple[int, int]]]
)
_reservation: Final = msgspec.msgpack.Decoder(tuple[Status, str, int, str | None, tuple[str, ...]])


def encode_item(item: ItemState) -> bytes:
    """Return the bytes of an item's state; the same for equal states."""
    on_hand = {
        location: {channel: (stock.on_hand, stock.as_of) for channel, stock in places.items()}
        for location, places in item.on_hand.items()
    }
    return VERSION + _encode((item.sequence, on_hand, item.reserved, item.emitted, item.changed))


def decode_item(data: bytes) -> ItemState:
    """Return the state of an item. Raises ``StateFormatError``."""
    if data[:1] == _OLD:
        sequence, on_hand, reserved, emitted = _decode(_old_item, data)
        changed = None
    else:
        sequence, on_hand, reserved, emitted, changed = _decode(_item, data)
    return ItemState(
        {
            location: {channel: Stock(*stock) for channel, stock in places.items()}
            for location, places in on_hand.items()
        },
        reserved,
        emitted,
        sequence,
        changed,
    )


def encode_reservation(reservation: Reservation) -> bytes:
    """Return the bytes of a reservation's entry; the same for equal entries."""
    return VERSION + _encode(
        (
            reservation.status,
            reservation.channel,
            reservation.quantity,
            reservation.allocation_id,
            reservation.releases,
        )
    )


def decode_reservation(data: bytes) -> Reservation:
    """Return the entry of a reservation. Raises ``StateFormatError``."""
    return Reservation(*_decode(_reservation, data))


def _decode(decoder: "msgspec.msgpack.Decoder[_T]", data: bytes) -> _T:
    if data[:1] not in (VERSION, _OLD):
        raise StateFormatError(f"state of version {data[:1].hex() or '(nothing)'}, this program reads {VERSION.hex()}")
    try:
        return decoder.decode(memoryview(data)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateFormatError(f"damaged state: {error}") from error
