"""What verify finds in the rows of one item, without a cluster; the plants on real topics are integration tests."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import Message as ConsumedMessage
from fastavro import schemaless_reader
from hypothesis import given
from hypothesis import strategies as st

from atp_stream.contracts.avro import raw_schema
from atp_stream.contracts.catalogue import OUTPUT_TOPICS
from atp_stream.contracts.keys import item_key, reservation_key
from atp_stream.contracts.outputs import OutputEncoder
from atp_stream.contracts.state_codec import encode_item, encode_reservation
from atp_stream.domain.decide import decide
from atp_stream.domain.emission import emit
from atp_stream.domain.events import Input, OutputEvent, ReservationCreated, ReservationReleased
from atp_stream.domain.events import StockAvailabilityChanged as Stocked
from atp_stream.domain.ids import allocation_id
from atp_stream.domain.policy import ChannelPolicy, Policy
from atp_stream.domain.state import NEW_ITEM, ItemState, Reservation, Stock
from atp_stream.errors import UnavailableError
from atp_stream.streaming.cluster import Cluster, ShouldStop, never
from atp_stream.streaming.partition_state import WATERMARK_KEY
from atp_stream.streaming.partitioner import partition_of
from atp_stream.streaming.records import Partition
from atp_stream.tools.verify import changelog
from atp_stream.tools.verify.changelog import allocation_row
from atp_stream.tools.verify.ingest import Bits, Ingested
from atp_stream.tools.verify.judge import Totals, judge
from atp_stream.tools.verify.judge_entry import Circumstances
from atp_stream.tools.verify.packed import (
    AVAILABILITY,
    COMMITTED,
    KINDS,
    RELEASED,
    contrast,
    pack_fact,
    pack_record,
    unpack,
)
from atp_stream.tools.verify.reading import Spans, TopicReader
from atp_stream.tools.verify.replay import uses_safety_stock
from atp_stream.tools.verify.report import Findings
from atp_stream.tools.verify.scratch import (
    EXPECTED,
    ITEM,
    LATER,
    OUTPUTS,
    REPLAYED,
    SEEN,
    TABLE,
    Place,
    Scratch,
    item_of_row,
)

POLICY = Policy("1", ("ECOM",), 500, {"ECOM": ChannelPolicy(limit=8000)})
KEY = item_key("t", "i/1")
HOMES = [partition_of(KEY, count) for _, count in OUTPUT_TOPICS.values()]
ALL = Circumstances(
    policy=POLICY,
    replayed=True,
    one_policy=True,
    every_change=True,
    changelog="changelog",
    partitions=12,
    output_partitions=[count for _, count in OUTPUT_TOPICS.values()],
    gone=frozenset(),
)
HISTORY: list[Input] = [
    Stocked("e1", 1, "t", "i/1", "l", None, 10000),
    ReservationCreated("e2", 2, "t", "r/1", "i/1", "l", 3000, "ECOM"),
    ReservationCreated("e3", 3, "t", "r2", "i/1", "l", 9000, "ECOM"),
    ReservationCreated("e4", 4, "t", "r3", "i/1", "l", 1000, "ECOM"),
    ReservationReleased("e5", 5, "t", "r/1", "i/1", "l", 1000, "ECOM", "CANCELLED"),
    ReservationReleased("e6", 6, "t", "r3", "i/1", "l", 1000, "ECOM"),
    ReservationReleased("e7", 7, "t", "r4", "i/1", "l", 100, "ECOM"),
    ReservationReleased("e8", 8, "t", "r2", "i/1", "l", 9000, "ECOM"),
]
#: What becomes of it: 1, 3, 6, 8, 10 availability, 2, 5 committed, 4 denied, 7, 9 released.
LAST = 10


class Item:
    """One item as a worker leaves it, to be changed by a test, and what verify says of it then."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.state: ItemState = NEW_ITEM
        self.reservations: dict[str, Reservation] = {}
        self.outputs: list[OutputEvent] = []
        for event in HISTORY:
            name = None if isinstance(event, Stocked) else event.reservation_id
            decision = decide(self.state, self.reservations.get(name or ""), event, POLICY)
            self.state, outputs = emit(decision.item, event, decision.facts, POLICY)
            self.outputs += outputs
            if name is not None and decision.reservation is not None:
                self.reservations[name] = decision.reservation
        self.expected = list(self.outputs)
        self.replayed, self.replayed_reservations = self.state, dict(self.reservations)
        self.later = 0

    def drop(self, *numbers: int) -> None:
        """Lose outputs."""
        self.outputs = [each for each in self.outputs if each.sequence not in numbers]

    def change(self, number: int, **fields: Any) -> None:
        """Change what an output says."""
        self.outputs = [
            each._replace(fact=replace(each.fact, **fields)) if each.sequence == number else each
            for each in self.outputs
        ]

    def judged(self, **circumstances: Any) -> tuple[list[tuple[str, str, str]], Totals]:
        """What is found: what, expected, found; and the totals."""
        findings, all_ = Findings(limit=100), replace(ALL, **circumstances)
        with Scratch(self._directory) as scratch:
            self._put(scratch)
            totals = judge(scratch, all_, findings, lambda _: None)
        assert all(each.item == "t/i%2F1" for each in findings.kept)
        return [(each.what, each.expected, each.found) for each in findings.kept], totals

    def _put(self, scratch: Scratch) -> None:
        number = partition_of(KEY, 12).to_bytes(2, "big")
        head, offset = KEY + b"/", (7).to_bytes(8, "big")
        scratch.put(head + ITEM + TABLE + number, offset + len(KEY).to_bytes(4, "big") + KEY + encode_item(self.state))
        scratch.put(head + ITEM + REPLAYED, encode_item(self.replayed))
        if self.later:
            scratch.put(head + ITEM + LATER, self.later.to_bytes(8, "big"))
        for name, entry in self.reservations.items():
            key = reservation_key(KEY, name)
            row = allocation_row(KEY, allocation_id("t", "i/1", name))
            scratch.put(row + TABLE + number, offset + len(key).to_bytes(4, "big") + key + encode_reservation(entry))
        for name, entry in self.replayed_reservations.items():
            row = allocation_row(KEY, allocation_id("t", "i/1", name))
            value = len(name).to_bytes(4, "big") + name.encode() + encode_reservation(entry)
            scratch.put(row + REPLAYED, value)
        for output in self.expected:
            scratch.put(head + OUTPUTS + output.sequence.to_bytes(8, "big") + EXPECTED, packed(output))
        for at, output in enumerate(self.outputs):
            kind = KINDS.index(output.fact.kind)
            order, place = output.sequence.to_bytes(8, "big"), Place(kind, HOMES[kind], at).encoded()
            scratch.put(head + OUTPUTS + order + SEEN + place, packed(output))
            fact: Any = output.fact
            if kind != AVAILABILITY:
                named = getattr(fact, "allocation_id", None) or allocation_id("t", "i/1", fact.reservation_id)
                scratch.put(allocation_row(KEY, named) + SEEN + order + place, packed(output))


def packed(output: OutputEvent) -> bytes:
    return pack_fact(output.fact, output.timestamp, output.causation_id, output.rules_version)


@pytest.fixture
def item(tmp_path: Path) -> Item:
    return Item(tmp_path)


def names(found: Sequence[tuple[str, str, str]]) -> set[str]:
    return {what for what, _, _ in found}


@pytest.mark.parametrize("replayed", [True, False])
def test_given_what_a_worker_leaves_when_it_is_judged_then_nothing_differs(item: Item, replayed: bool) -> None:
    found, totals = item.judged(replayed=replayed)
    assert found == []
    assert (totals.items, totals.partial) == (1, 0)
    assert totals.reservations == Counter(committed=1, closed=3)
    assert len(item.outputs) == LAST


@pytest.mark.parametrize("number", range(1, LAST + 1))
@pytest.mark.parametrize("replayed", [True, False])
def test_given_any_lost_output_when_it_is_judged_then_its_number_is_named(
    item: Item, number: int, replayed: bool
) -> None:
    item.drop(number)
    found, _ = item.judged(replayed=replayed)
    assert f"output {number}" in names(found)


@pytest.mark.parametrize("number", range(1, LAST + 1))
def test_given_any_output_twice_when_it_is_judged_then_its_number_is_named(item: Item, number: int) -> None:
    item.outputs.append(item.outputs[number - 1])
    found, _ = item.judged(replayed=False)
    assert [(what, expected) for what, expected, _ in found] == [(f"output {number}", "once")]


@pytest.mark.parametrize(
    ("number", "fields", "expected"),
    [
        (1, {"available": 9501}, ("available=80.00", "available=95.01")),
        (2, {"quantity": 2999}, ("quantity=30.00", "quantity=29.99")),
        (3, {"reserved": 3001}, ("reserved=30.00", "reserved=30.01")),
        (4, {"quantity": 9001}, ("quantity=90.00", "quantity=90.01")),
        (7, {"reason": None}, ("reason=CANCELLED", "reason=None")),
    ],
)
def test_given_a_wrong_field_when_it_is_judged_then_both_values_are_told(
    item: Item, number: int, fields: dict[str, Any], expected: tuple[str, str]
) -> None:
    item.change(number, **fields)
    found, _ = item.judged()
    assert (f"output {number}", *expected) in found


def test_given_a_wrong_sum_in_the_table_when_it_is_judged_then_each_way_to_know_it_says_so(item: Item) -> None:
    item.state = replace(item.state, reserved={"ECOM": 2001})
    found, _ = item.judged()
    assert found == [
        ("table: reserved ECOM", "20.00", "20.01"),
        ("table: reserved ECOM, by the outputs", "20.00", "20.01"),
        ("table: reserved ECOM, by its reservations", "20.00", "20.01"),
    ]


def test_given_a_wrong_reservation_in_the_table_when_it_is_judged_then_it_is_named(item: Item) -> None:
    item.reservations["r/1"] = replace(item.reservations["r/1"], quantity=2100)
    found, _ = item.judged()
    assert names(found) == {
        "table: reservation r/1",
        "table: reservation r/1, by its outputs",
        "table: reserved ECOM, by its reservations",
    }


@pytest.mark.parametrize("name", ["r/1", "r2", "r3", "r4"])
def test_given_a_reservation_that_the_table_lost_when_it_is_judged_then_it_is_named(item: Item, name: str) -> None:
    del item.reservations[name]
    found, _ = item.judged()
    assert f"table: reservation {name}" in names(found)


def test_given_outputs_behind_the_cut_when_it_is_judged_then_only_those_beyond_what_came_later_differ(
    item: Item,
) -> None:
    item.outputs += [item.outputs[0]._replace(sequence=LAST + 1), item.outputs[0]._replace(sequence=LAST + 2)]
    item.later = LAST + 2
    assert item.judged()[0] == []
    item.later = LAST + 1
    assert item.judged()[0] == [("output number", f"at most {LAST + 1}", str(LAST + 2))]


def test_given_expired_outputs_when_it_is_judged_then_only_a_beginning_may_be_missing(item: Item) -> None:
    gone = frozenset({(COMMITTED, HOMES[COMMITTED])})
    item.drop(2)
    found, totals = item.judged(gone=gone)
    assert (found, totals.partial) == ([], 1)
    assert item.judged(gone=gone, replayed=False)[0] == []
    assert "output 2" in names(item.judged(gone=frozenset({(RELEASED, HOMES[RELEASED])}))[0])
    item.drop(7)
    assert "output 7" in names(item.judged(gone=gone)[0])
    kept = [each for each in item.expected if each.sequence != 5]  # 2 is there, and came before it
    item.outputs = kept
    assert "output 5" in names(item.judged(gone=gone)[0])


def test_given_a_commitment_beyond_what_was_available_when_it_is_judged_then_that_is_told(item: Item) -> None:
    item.change(1, available=2999)
    found, _ = item.judged(replayed=False)
    assert ("commitment 2 beyond the available in ECOM", "at most 29.99", "30.00") in found
    assert item.judged(replayed=False, one_policy=False)[0] == []


def test_given_a_commitment_beyond_the_limit_when_it_is_judged_then_only_by_the_rules_in_force(item: Item) -> None:
    stricter = replace(POLICY, by_channel={"ECOM": ChannelPolicy(limit=2500)})
    found, _ = item.judged(policy=stricter)
    assert ("commitment 2 beyond the limit of ECOM", "at most 25.00", "30.00") in found
    assert item.judged(policy=replace(stricter, version="2"), replayed=False, one_policy=False)[0] == []


def test_given_a_release_without_a_commitment_when_it_is_judged_then_that_is_told(item: Item) -> None:
    item.drop(2)
    found, _ = item.judged(replayed=False)
    assert ("a commitment before it", "none") in {(expected, seen) for _, expected, seen in found}


def test_given_an_output_when_it_is_read_back_then_it_is_packed_as_it_was_decided(item: Item) -> None:
    encoder = OutputEncoder({f"{topic}-value": 7 for topic, _ in OUTPUT_TOPICS.values()})
    for output in item.outputs:
        _, value, _ = encoder.encode(output)
        record: Any = schemaless_reader(BytesIO(value[5:]), raw_schema(output.fact.kind), None)
        again = pack_record(KINDS.index(output.fact.kind), record, output.causation_id, output.rules_version)
        assert again == packed(output)
        assert contrast(unpack(again), unpack(packed(output))) == ("", "")


@pytest.mark.parametrize(
    ("shared", "own", "quantity", "expected"), [(1000, 0, 500, False), (1000, 0, 501, True), (0, 900, 900, False)]
)
def test_given_a_commitment_when_safety_stock_is_looked_at_then_only_shared_stock_counts(
    shared: int, own: int, quantity: int, expected: bool
) -> None:
    before = ItemState({"l": {"": Stock(shared, 1), "ECOM": Stock(own, 1)}}, {}, {}, 0)
    event = ReservationCreated("e", 1, "t", "r", "i", "l", quantity, "ECOM")
    assert uses_safety_stock(before, replace(before, reserved={"ECOM": quantity}), event, POLICY) is expected


@given(start=st.integers(0, 100), offsets=st.lists(st.integers(0, 300)), end=st.integers(0, 500))
def test_given_offsets_when_the_missing_ones_are_asked_for_then_they_are_those_of_a_set(
    start: int, offsets: list[int], end: int
) -> None:
    bits, held = Bits(start), set[int]()
    for offset in (start + each for each in offsets):
        assert bits.add(offset) is (offset not in held)
        held.add(offset)
    assert list(bits.missing(end)) == [each for each in range(start, end) if each not in held]
    assert all((each in bits) is (each in held) for each in range(start, start + 400))
    assert bits.end == max(held, default=start - 1) + 1


@given(tenant=st.text(min_size=1), name=st.text(min_size=1), rest=st.binary(min_size=1))
def test_given_any_ids_when_a_row_is_parted_then_its_item_is_found(tenant: str, name: str, rest: bytes) -> None:
    key = item_key(tenant, name)
    assert item_of_row(key + b"/" + rest) == (key, rest)


def test_given_more_differences_than_are_shown_when_they_are_added_then_all_are_counted() -> None:
    findings = Findings(limit=7)
    for number in range(9):
        findings.add(b"t/a", "what", number, "none")
    findings.add(b"t/b", "what", 0, "none")
    findings.add(None, "what", 0, "none")
    findings.add(None, "what", 1, "none")
    assert [each.item for each in findings.kept] == [*["t/a"] * 5, "t/b", "-"]
    assert findings.total == 12


class Message:
    """A record as consumed, as far as verify looks at it."""

    def __init__(self, offset: int, *headers: tuple[str, bytes | None], key: bytes | None = KEY) -> None:
        self._offset, self._headers, self._key = offset, list(headers), key

    def topic(self) -> str:
        return "log"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return self._key

    def headers(self) -> list[tuple[str, bytes | None]]:
        return self._headers


def letter(offset: int, topic: bytes, of: bytes) -> Any:
    place = ("dead-letter-topic", topic), ("dead-letter-partition", b"1"), ("dead-letter-offset", of)
    return Message(offset, *place, ("source", b"made/up/1"))


def test_given_forwarded_records_and_dead_letters_when_they_are_counted_then_each_offset_has_to_be_there_once() -> None:
    source, log = Partition("source", 1), Partition("log", 0)
    findings = Findings(limit=100)
    ingested = Ingested({source: 10}, {Partition("log", 1): 3}, findings)
    ingested.ends = {source: 14, Partition("log", 1): 6}
    forwarded: list[Any] = [
        Message(0, ("encoding", b"avro"), ("source", b"source/1/10")),
        Message(1, ("encoding", b"avro"), ("source", b"source/1/12")),
        # Sent back by a person, and so with the header of its first time: not a second one of ingest's.
        Message(2, ("dead-letter-replay-of", b"0/0"), ("encoding", b"avro"), ("source", b"source/1/12")),
        Message(3, ("encoding", b"avro")),
    ]
    ingested.take_changes(log, forwarded)
    marker: Any = Message(3, ("dead-letter-replayed", b"0/0"), ("dead-letter-replayed-to", b"source"))
    ingested.take_letters(log, [letter(0, b"source", b"11"), letter(1, b"log", b"5"), marker])
    assert list(ingested.seen[source].missing(14)) == [13]
    assert ingested.unknown == 2
    assert 5 in ingested.refused[Partition("log", 1)]
    assert findings.total == 0
    ingested.judge({source: 13}, {source: 12})
    ingested.take_changes(log, forwarded[:1])
    ingested.take_letters(log, [letter(4, b"source", b"12"), letter(5, b"log", b"5"), letter(6, b"source", b"9")])
    assert [(each.what, each.expected) for each in findings.kept] == [
        ("group offset, behind what was forwarded", "13 or later"),
        ("forwarded from source[1]@10", "once"),
        ("forwarded from source[1]@12", "once"),
        ("dead letter of log[1]@5", "once"),
        ("forwarded from source[1]@9", "10 or later"),
    ]


def test_given_offsets_that_no_record_can_have_when_they_are_counted_then_they_are_told_and_take_no_memory() -> None:
    source, decided, far = Partition("source", 1), Partition("log", 1), b"9" * 17
    findings = Findings(limit=100)
    ingested = Ingested({source: 10**12}, {decided: 10**12}, findings)
    ingested.ends = {source: 10**12 + 1, decided: 10**12 + 1}
    ingested.take_letters(decided, [letter(0, b"log", b"%d" % 10**12), letter(1, b"log", far), letter(2, b"gone", far)])
    changes: list[Any] = [
        Message(0, ("source", b"source/1/" + far)),
        Message(1, ("source", b"source/1/" + b"9" * 5000)),
    ]
    ingested.take_changes(decided, changes)
    assert [(each.what, each.expected) for each in findings.kept] == [
        (f"dead letter of log[1]@{far.decode()}", f"before the end, {10**12 + 1}"),
        (f"forwarded from source[1]@{far.decode()}", f"before the end, {10**12 + 1}"),
    ]
    assert 10**12 in ingested.refused[decided]
    assert (ingested.unknown, ingested.unknown_letters) == (1, 1)


class Changelog(TopicReader):
    """A changelog of one partition; reading it takes seconds, and more is written meanwhile, as often as it is said."""

    def __init__(self, *seconds: float, cut_through: bool = False) -> None:
        self.now, self.end, self.seconds = 0.0, 0, list(seconds)
        self.key = b"t/i" if cut_through else WATERMARK_KEY

    def monotonic(self) -> float:
        return self.now

    def stable_ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        self.now += 1.5  # connecting is no reading
        self.end += 1
        return dict.fromkeys(partitions, self.end)

    def read(self, spans: Spans, take: Callable[[Partition, list[Any]], None]) -> None:
        self.now += self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]
        ((partition, (_, end)),) = spans.items()
        take(partition, [ConsumedMessage(topic="log", partition=0, offset=end - 1, key=self.key, value=None)])

    def ends(
        self, partitions: Iterable[Partition], should_stop: ShouldStop = never
    ) -> dict[Partition, tuple[int, int]]:
        return dict.fromkeys(partitions, (0, self.end + 1))


def read_cut(monkeypatch: pytest.MonkeyPatch, log: Changelog) -> None:
    monkeypatch.setattr(changelog, "time", log)
    table = changelog.Table(cast(Scratch, None), lambda _: False, Findings(limit=1))
    table.read_cut(log, cast(Cluster, log), {Partition("log", 0): 0}, 10.0)


def test_given_a_long_changelog_when_it_is_caught_up_with_then_its_length_takes_no_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Changelog(3600.0, 400.0, 50.0, 6.0, 0.5)
    read_cut(monkeypatch, log)
    assert log.end == 5


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (Changelog(3600.0, 5.0), "the end of the changelog was not reached"),
        (Changelog(3600.0, 0.1, cut_through=True), "no cut between two transactions"),
    ],
)
def test_given_no_end_of_the_writing_when_a_cut_is_looked_for_then_patience_ends(
    monkeypatch: pytest.MonkeyPatch, log: Changelog, message: str
) -> None:
    with pytest.raises(UnavailableError, match=message):
        read_cut(monkeypatch, log)
    assert log.now < 3650
