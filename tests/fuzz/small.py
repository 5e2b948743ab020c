"""Targets: item keys, stored state, dead letters."""

from typing import Final

from atp_stream.contracts.errors import StateFormatError
from atp_stream.contracts.keys import item_key, reservation_key, split_item_key
from atp_stream.contracts.state_codec import (
    VERSION,
    decode_item,
    decode_reservation,
    encode_item,
    encode_reservation,
)
from atp_stream.domain.state import Cause, ItemState, Reservation, Stock
from atp_stream.streaming.dead_letters import dead_letter
from tests.unit.stages.harness import Consumed

from .records import NAMES, VALUES
from .take import Take
from .target import ACCEPTED, Target

# --- keys ---


def run_key(data: bytes) -> str:
    """Ids come back from their key; bytes are the key of one pair of ids or of none; keys of two kinds differ."""
    take = Take(data)
    tenant, item, reservation = take.text(), take.text(), take.text()
    key = item_key(tenant, item)
    assert split_item_key(key) == (tenant, item)
    entry = reservation_key(key, reservation)
    assert entry.count(b"/") == 2
    assert entry.rsplit(b"/", 1)[0] == key
    try:
        split_item_key(entry)
    except ValueError:
        pass
    else:
        raise AssertionError("the key of a reservation is taken for that of an item")
    given = take.rest
    try:
        ids = split_item_key(given)
    except ValueError:
        return "REFUSED"
    assert item_key(*ids) == given, "two keys for the same ids"
    return ACCEPTED


# --- state ---

_ITEM: Final = ItemState(
    {"l-1": {"": Stock(15000, 5), "ECOM": Stock(-1, 6)}, "l-2": {"POS": Stock(10**18 - 1, 1767323045000)}},
    {"ECOM": 3000},
    {"ECOM": (12000, 3000), "POS": (0, 0)},
    70000,
    Cause("e-3", "StockAvailabilityChangedEvent", 1767323045000),
)
_RESERVATION: Final = Reservation("committed", "ECOM", 500, "alloc-001", ("e-1", "e-2"))


def run_state(data: bytes) -> str:
    """Bytes are a state of the right types, which is stored again without loss, or they are refused."""
    outcome = "StateFormatError"
    try:
        item = decode_item(data)
    except StateFormatError:
        pass
    else:
        outcome = ACCEPTED
        numbers = [item.sequence, *item.reserved.values()]
        for pair in item.emitted.values():
            numbers += pair
        for places in item.on_hand.values():
            for stock in places.values():
                numbers += (stock.on_hand, stock.as_of)
        assert all(type(number) is int for number in numbers), "a number that is no integer"
        assert decode_item(encode_item(item)) == item
    try:
        entry = decode_reservation(data)
    except StateFormatError:
        return outcome
    assert entry.status in ("committed", "denied", "closed")
    assert type(entry.quantity) is int
    assert decode_reservation(encode_reservation(entry)) == entry
    return ACCEPTED


# --- dead letters ---

#: What the producer sends at most: key, value and headers with a little for each of them (librdkafka's own account).
MOST_BYTES: Final = 2_000_000
_BATCH: Final = 200
_CODES: Final = ("NOT_AVRO", "TOO_LARGE")


def _varint(number: int) -> int:
    return max(1, (number.bit_length() + 1 + 6) // 7)


def record_size(value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes | None]]) -> int:
    """Bytes of a record as it goes over the wire, without its batch."""
    size = 1 + 10 + 5
    for part in (value, key):
        size += _varint(len(part or b"")) + len(part or b"")
    size += _varint(len(headers))
    for name, content in headers:
        raw = name.encode()
        size += _varint(len(raw)) + len(raw) + _varint(len(content or b"")) + len(content or b"")
    return size + 5


def run_dead_letter(data: bytes) -> str:
    """The dead letter of any record fits into its topic, and is the record itself but for what it says was cut."""
    take = Take(data)
    value = None if take.number(8) == 0 else take.some() * take.choose((1, 1, 100, 50_000, 140_000))
    key = None if take.number(4) == 0 else take.some() * take.choose((1, 1, 1000, 3000, 100_000))
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(take.number(5)):
        name = take.choose(NAMES) if take.number(4) else take.text()
        content = take.choose(VALUES) if take.number(4) else take.some()
        headers += [(name, content)] * take.choose((1, 1, 1, 20, 2000, 40_000))
    topic = take.choose(("core.stock", "t" * 249))
    message = take.text() * take.choose((1, 1, 30, 2000))
    record = Consumed(value, key, headers, topic, take.number(1 << 31), take.number(1 << 62))
    sent_value, sent_key, sent = dead_letter(record, take.choose(_CODES), message)
    size = record_size(sent_value, sent_key, sent)
    assert size + _BATCH <= MOST_BYTES, f"{size} bytes do not fit"
    names = [name for name, _ in sent]
    assert names[:5] == [f"dead-letter-{part}" for part in ("topic", "partition", "offset", "error", "message")]
    told = (sent[4][1] or b"").decode()  # never cut within a character
    assert message.encode(errors="replace").decode().startswith(told)
    is_cut = (value, key) != (sent_value, sent_key) or len(sent) - 5 != len(headers)
    cut = (sent[5][1] or b"").decode().split(",") if is_cut else []
    whole = [("value", value, sent_value), ("key", key, sent_key)]
    for part, ours, theirs in whole:
        assert (ours == theirs) == (part not in cut)
        if part in cut:
            assert ours is not None
            assert theirs is not None
            assert ours.startswith(theirs)
    if "headers" not in cut:
        assert sent[len(sent) - len(headers) :] == headers
    return "+".join(cut) or ACCEPTED


KEYS: Final = Target("keys", 12, lambda: [b"\x01\x03abc\x01\x03d/e\x01\x02%%t-1/item-1", b"a/b"], run_key)
STATE: Final = Target("state", 12, lambda: [encode_item(_ITEM), encode_reservation(_RESERVATION), VERSION], run_state)
DEAD_LETTERS: Final = Target(
    "dead-letters",
    2,
    lambda: [bytes([1, 20, *b"x" * 20, n, 1, 3, *b"key", n, n, 0, n, n, n, 0, n]) for n in range(6)],
    run_dead_letter,
)
