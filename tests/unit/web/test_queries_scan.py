"""Lists of items, read in slices from real stores: the same as sorting all of them, at a cost that is bounded."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import rocksdict
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from atp_stream.contracts.keys import item_key, reservation_key
from atp_stream.contracts.state_codec import encode_item, encode_reservation
from atp_stream.domain.policy import ChannelPolicy, Policy
from atp_stream.domain.pools import pools
from atp_stream.domain.state import SHARED, ItemState, Reservation, Stock
from atp_stream.streaming.inspection import Moving
from atp_stream.streaming.partition_state import PartitionState
from atp_stream.web import scan as module
from atp_stream.web.listing import _merged, _Part, _position
from atp_stream.web.models import ItemStatus
from atp_stream.web.rows import AttentionPosition, Filter, KeyPosition, Row, Standing
from atp_stream.web.scan import Found, Scan, Slices, Span
from atp_stream.web.shown import shown

POLICY = Policy("1", ("A", "B"), 0, {})
ALL = Filter(None, "", None, frozenset(), 1000)
RESERVATION = encode_reservation(Reservation("denied", "A", 100, None))


def stocked(**on_hand: int) -> ItemState:
    """An item with so much dedicated to each channel; what is reserved follows from negative amounts."""
    places = {channel: Stock(max(0, amount), 1) for channel, amount in on_hand.items()}
    reserved = {channel: -amount for channel, amount in on_hand.items() if amount < 0}
    pairs = {channel: (max(0, amount), reserved.get(channel, 0)) for channel, amount in on_hand.items()}
    return ItemState({"l": places}, reserved, pairs, 1)


class CountingState(PartitionState):
    """Counts the entries that are read."""

    read = 0

    @override
    def items_from(self, first: bytes) -> Iterator[tuple[bytes, bytes]]:
        for entry in super().items_from(first):
            self.read += 1
            yield entry


@pytest.fixture
def states(tmp_path: Path) -> Iterator[dict[int, CountingState]]:
    cache = rocksdict.Cache(1 << 20)
    found = {number: CountingState(tmp_path / str(number), cache) for number in range(3)}
    yield found
    for state in found.values():
        state.close()


def scan(states: Mapping[int, PartitionState], **options: Any) -> Scan:
    inspection: Any = SimpleNamespace(partition=states.__getitem__)
    return Scan(inspection, POLICY, **options)


def fill(
    states: Mapping[int, PartitionState], items: Mapping[tuple[str, str], ItemState], reservations: int = 0
) -> None:
    for number, ((tenant, name), item) in enumerate(sorted(items.items())):
        key = item_key(tenant, name)
        entries = {key: encode_item(item)}
        entries |= {reservation_key(key, f"r{each}"): RESERVATION for each in range(reservations)}
        states[number % len(states)].write(entries, number)


async def all_by_key(reader: Scan, wanted: Filter, limit: int) -> list[Row]:
    rows: list[Row] = []
    after: Any = None
    while True:
        found = await reader.by_key([0, 1, 2], wanted, after, limit)
        assert len(found.rows) <= limit
        rows += found.rows
        if found.after is None:
            return rows
        assert after is None or found.after > after  # it gets on
        after = found.after


async def all_by_attention(reader: Scan, wanted: Filter, limit: int) -> list[Row]:
    rows: list[Row] = []
    after: Any = None
    while True:
        found = await reader.by_attention([0, 1, 2], wanted, after, limit)
        rows += found.rows
        if found.after is None:
            return rows
        assert len(found.rows) == limit
        after = found.after


NAMES = ["a", "a-b", "a/b", "a%2F", "ab", "b", "b/", "B", "ü", "a b", "a.", "a0"]
ITEMS = {
    (tenant, name): stocked(A=(index - 5) * 300, **({"B": index * 100} if index % 2 else {}))
    for tenant in ("t", "t-1", "t0", "T/x")
    for index, name in enumerate(NAMES)
}


@pytest.mark.parametrize("reservations", [0, 1, 3, 40])
@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
async def test_given_items_among_reservations_when_listed_by_key_then_each_comes_once_in_order(
    states: dict[int, CountingState], reservations: int, limit: int
) -> None:
    fill(states, ITEMS, reservations)
    expected = sorted((item_key(*names), channel) for names, item in ITEMS.items() for channel in item.emitted)
    assert [(row.key, row.channel) for row in await all_by_key(scan(states), ALL, limit)] == expected


@pytest.mark.parametrize("tenant", [None, "t", "T/x", "none"])
@pytest.mark.parametrize("prefix", ["", "a", "a/", "a%", "ü", "z", "b"])
@pytest.mark.parametrize("order", ["key", "attention"])
async def test_given_a_filter_when_listed_then_only_what_it_wants_comes(
    states: dict[int, CountingState], tenant: str | None, prefix: str, order: str
) -> None:
    fill(states, ITEMS, 2)
    wanted = Filter(tenant, prefix, "B", frozenset({ItemStatus.LOW, ItemStatus.OK}), 500)
    listed = all_by_key if order == "key" else all_by_attention
    found = [(row.key, row.status) for row in await listed(scan(states), wanted, 3)]
    expected = {
        item_key(*names): ItemStatus.LOW if item.emitted["B"][0] < 500 else ItemStatus.OK
        for names, item in ITEMS.items()
        if tenant in (None, names[0]) and names[1].startswith(prefix) and item.emitted.get("B", (0, 0))[0] > 0
    }
    assert dict(found) == expected
    assert len(found) == len(expected)


async def test_given_items_when_listed_by_urgency_then_the_worst_come_first(states: dict[int, CountingState]) -> None:
    fill(states, ITEMS, 2)
    rows = await all_by_attention(scan(states), ALL, 5)
    assert len(rows) == sum(len(item.emitted) for item in ITEMS.values())
    places = [row.by_attention for row in rows]
    assert places == sorted(places)
    assert {row.status for row in rows} == set(ItemStatus)


async def test_given_many_items_and_reservations_when_a_few_rows_are_asked_for_then_few_entries_are_read(
    states: dict[int, CountingState],
) -> None:
    fill(states, {("t", f"i{number:04}"): stocked(A=1) for number in range(1500)}, reservations=30)
    found = await scan(states).by_key([0, 1, 2], ALL, KeyPosition(b"t/i0700", "A"), 10)
    assert [row.key for row in found.rows] == [b"t/i%04d" % number for number in range(701, 711)]
    assert sum(state.read for state in states.values()) < 400


@pytest.mark.parametrize("slices", [Slices(), Slices(0.0)], ids=["usual slices", "no time in a slice"])
async def test_given_no_time_when_listed_then_pages_end_early_and_go_on_until_all_was_listed(
    states: dict[int, CountingState], slices: Slices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Slices", lambda: slices)
    fill(states, {("t", f"i{number:03}"): stocked(A=1 if number % 50 else 0) for number in range(200)}, reservations=2)
    rare = Filter(None, "", None, frozenset({ItemStatus.OUT}), 1000)
    rows = await all_by_key(scan(states, most_seconds=0.0), rare, 3)
    assert [row.key for row in rows] == [b"t/i000", b"t/i050", b"t/i100", b"t/i150"]


async def test_given_a_partition_that_moves_during_a_scan_then_it_is_not_half_told(
    states: dict[int, CountingState],
) -> None:
    fill(states, ITEMS, 0)
    looks = 0

    def partition(number: int) -> PartitionState:
        nonlocal looks
        looks += 1
        if looks > 3:
            raise Moving
        return states[number]

    inspection: Any = SimpleNamespace(partition=partition)
    for listed in (Scan(inspection, POLICY).by_key, Scan(inspection, POLICY).by_attention):
        looks = 0
        with pytest.raises(Moving):
            await listed([0, 1, 2], ALL, None, 100)


@given(st.text(min_size=1, max_size=4), st.text(max_size=3), st.none() | st.text(min_size=1, max_size=3))
@settings(max_examples=200)
def test_given_any_ids_when_a_key_is_looked_at_then_it_is_taken_or_passed_towards_what_is_wanted(
    name: str, prefix: str, tenant: str | None
) -> None:
    span = Span(tenant, prefix)
    for names in ((tenant or "t", prefix + name), (tenant or "t", name)):
        key = item_key(*names)
        target = span.look(key)
        if names[1].startswith(prefix):
            assert target == key
            assert key >= span.first
            assert span.look(reservation_key(key, "r")) not in (key, None)
        else:
            assert target is None or target > key


def oversold(item: ItemState) -> dict[str, ItemStatus]:
    inspection: Any = None
    rows = ALL.rows(b"t/i", item, Scan(inspection, POLICY).policy)
    return {row.channel: row.status for row in rows}


def test_given_shared_stock_that_all_channels_together_have_oversold_then_those_that_live_on_it_are_oversold() -> None:
    shared = {"l": {SHARED: Stock(10000, 1), "B": Stock(5000, 1)}}
    item = ItemState(shared, {"A": 12000, "B": 5000}, {"A": (0, 12000), "B": (0, 5000), "C": (0, 0)}, 3)
    assert oversold(item) == {"A": ItemStatus.OVERSOLD, "B": ItemStatus.OUT, "C": ItemStatus.OUT}
    both = ItemState(shared, {"A": 6000, "B": 11000}, {"A": (0, 6000), "B": (0, 11000)}, 3)
    assert set(oversold(both).values()) == {ItemStatus.OVERSOLD}


def test_given_the_threshold_when_a_row_is_judged_then_less_is_low_and_as_much_is_ok() -> None:
    standing = Standing(stocked(A=1000), POLICY)
    assert standing.of("A", 1000) == (1000, ItemStatus.OK)
    assert standing.of("A", 1001) == (1000, ItemStatus.LOW)


amounts = st.integers(-50, 50)


@given(
    dedicated=st.dictionaries(st.sampled_from("ABC"), amounts),
    shared=st.none() | amounts,
    reserved=st.dictionaries(st.sampled_from("ABC"), st.integers(0, 60)),
    safety_stock=st.integers(0, 30),
    protected=st.integers(0, 30),
    limit=st.none() | st.integers(0, 60),
)
@settings(max_examples=500)
def test_given_any_item_when_it_is_judged_then_that_agrees_with_its_pools(
    dedicated: dict[str, int],
    shared: int | None,
    reserved: dict[str, int],
    safety_stock: int,
    protected: int,
    limit: int | None,
) -> None:
    places = {channel: Stock(amount, 1) for channel, amount in dedicated.items()}
    places |= {} if shared is None else {SHARED: Stock(shared, 1)}
    policy = Policy("1", ("A", "B"), safety_stock, {"A": ChannelPolicy(protected, limit)})
    item = ItemState({"l": places}, reserved, {}, 1)
    for channel, pool in pools(item, policy, "ABC").items():
        available, status = Standing(item, policy).of(channel, 10)
        assert available == pool.available
        lives_on_shared = pool.reserved > max(0, pool.dedicated)
        beyond = lives_on_shared and pool.reserved + pool.held_back.reserved_by_others > pool.on_hand
        if pool.dedicated >= 0:  # else its own lack comes on top of what others use
            assert (status is ItemStatus.OVERSOLD) == (pool.is_oversold or beyond)
        if pool.is_oversold:
            assert status is ItemStatus.OVERSOLD


@pytest.mark.parametrize("order", ["key", "attention"])
async def test_given_parts_of_several_workers_when_merged_then_it_is_as_if_one_had_read_all(
    states: dict[int, CountingState], order: str
) -> None:
    fill(states, ITEMS, 1)
    reader = scan(states)
    whole = await (all_by_key if order == "key" else all_by_attention)(reader, ALL, 1000)
    merged: list[Any] = []
    after: Any = None
    while True:
        parts = []
        for number in states:
            found: Found = await (
                reader.by_key([number], ALL, after, 5)
                if order == "key"
                else reader.by_attention([number], ALL, after, 5)
            )
            rows = [(_position(shown(row, POLICY), order), shown(row, POLICY)) for row in found.rows]
            parts.append(_Part(rows, found.after))
        page, after = _merged(parts, 5)
        merged += page
        if after is None:
            break
    assert merged == [shown(row, POLICY) for row in whole]


def test_given_a_part_that_ended_early_when_merged_then_nothing_behind_its_end_is_told() -> None:
    row: Any = "row"
    ended = _Part([(KeyPosition(b"a", "c"), row)], KeyPosition(b"b", ""))
    complete = _Part([(KeyPosition(b"a", "d"), row), (KeyPosition(b"b", "c"), row)], None)
    assert _merged([ended, complete], 10) == ([row, row], KeyPosition(b"b", ""))
    assert _merged([ended, complete], 1) == ([row], KeyPosition(b"a", "c"))
    assert _merged([complete], 2) == ([row, row], None)
    assert _merged([_Part([], None)], 2) == ([], None)


def test_given_an_attention_place_then_the_row_as_shown_has_the_same() -> None:
    (row,) = ALL.rows(b"t/i", stocked(A=1234), POLICY)
    assert _position(shown(row, POLICY), "attention") == row.by_attention == AttentionPosition(3, 1234, b"t/i", "A")
