"""Where a list goes on: a place in its order, as text that means nothing to clients.

It names a place, not a count, so that it stays right while items come, go and change: no row before it is shown again
unless it moved, and none after it is left out unless it moved.
"""

import base64
import binascii
from typing import Final

import msgspec

from atp_stream.web.errors import ApiError
from atp_stream.web.rows import AttentionPosition, KeyPosition

_key: Final = msgspec.msgpack.Decoder(tuple[str, bytes, str])
_attention: Final = msgspec.msgpack.Decoder(tuple[str, int, int, bytes, str])


def to_cursor(position: KeyPosition | AttentionPosition) -> str:
    """Return a place as a cursor."""
    order = "key" if isinstance(position, KeyPosition) else "attention"
    return base64.urlsafe_b64encode(msgspec.msgpack.encode((order, *position))).decode().rstrip("=")


def from_cursor(cursor: str, order: str) -> KeyPosition | AttentionPosition:
    """Return the place of a cursor. Raises `ApiError` 400: it is none of ours, or of another order."""
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found: KeyPosition | AttentionPosition
        if order == "key":
            named, key, channel = _key.decode(data)
            found = KeyPosition(key, channel)
        else:
            named, rank, available, key, channel = _attention.decode(data)
            found = AttentionPosition(rank, available, key, channel)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise _bad() from None
    if named != order or to_cursor(found) != cursor:
        raise _bad()
    return found


def _bad() -> ApiError:
    message = "cursor: not the nextCursor of an answer to a list in this order"
    return ApiError(400, "BAD_PARAMETER", message, details={"parameter": "cursor"})
