"""Header names that are not UTF-8 are read, and told from those that are."""

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBase, _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from confluent_kafka import Message

from atp_stream.streaming.header_names import EscapedName, headers_of, read_any_header_name
from tests.faults.unreadable import GZIP, LZ4, NONE, SNAPPY, ZSTD, Unsent, batch_of

GOOD = Unsent(b"good", b"value" * 50, [(b"own", b"1"), ("s\u00fc\u00df".encode(), None)])
BAD = Unsent(b"bad", b"value" * 50, [(b"own", b"1"), (b"tr\xe4ce\xff", b"2"), (b"last", None)])


@pytest.fixture(autouse=True)
def reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "MemoryRecords", fetcher.MemoryRecords)
    read_any_header_name()


def fetched(data: bytes, position: int = 0) -> Any:
    """What aiokafka hands out of the bytes of a partition."""
    records = fetcher.MemoryRecords(data)
    place = TopicPartition("t", 0)
    return fetcher.PartitionRecords(place, records, [], position, None, None, True, fetcher.READ_COMMITTED)


def at(offset: int, batch: bytes) -> bytes:
    """The batch with its first record at this offset."""
    return struct.pack(">q", offset) + batch[8:]


@pytest.mark.parametrize("compression", [NONE, GZIP, SNAPPY, LZ4, ZSTD])
def test_given_such_a_name_between_others_when_fetched_then_all_records_come_once_and_only_that_name_is_escaped(
    compression: int,
) -> None:
    data = batch_of([GOOD, BAD, GOOD], compression) + at(3, batch_of([BAD, BAD], compression)) + at(5, batch_of([GOOD]))
    partition = fetched(data)
    found = [*partition]
    assert [record.offset for record in found] == [0, 1, 2, 3, 4, 5]
    assert [(record.key, record.value) for record in found] == [
        (each.key, each.value) for each in (GOOD, BAD, GOOD, BAD, BAD, GOOD)
    ]
    assert {record.timestamp for record in found} == {1_700_000_000_000}
    good, bad = found[0].headers, found[1].headers
    assert good == (("own", b"1"), ("s\u00fc\u00df", None))
    assert bad == (("own", b"1"), ("tr\\xe4ce\\xff", b"2"), ("last", None))
    escaped = [name for record in found for name, _ in record.headers if isinstance(name, EscapedName)]
    assert escaped == ["tr\\xe4ce\\xff"] * 3
    assert partition.next_fetch_offset == 6


def test_given_such_a_name_behind_the_position_when_fetched_then_reading_begins_at_the_position() -> None:
    assert [record.offset for record in fetched(batch_of([GOOD, BAD, GOOD, BAD]), 2)] == [2, 3]


def test_given_records_taken_one_by_one_when_the_name_comes_then_none_is_read_twice() -> None:
    partition: Iterator[Any] = fetched(batch_of([GOOD, GOOD, BAD, GOOD]))
    assert [next(partition).offset for _ in range(4)] == [0, 1, 2, 3]
    assert next(partition, None) is None


def test_given_aiokafka_without_its_compiled_part_when_fetched_then_it_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aiokafka.record.memory_records.DefaultRecordBatch", _DefaultRecordBatchPy)
    monkeypatch.setattr("atp_stream.streaming.header_names.MemoryRecords", _MemoryRecordsPy)
    found = [*fetched(batch_of([GOOD, BAD, GOOD]))]
    assert [record.offset for record in found] == [0, 1, 2]
    assert isinstance(found[1].headers[1][0], EscapedName)


def test_given_a_batch_that_was_damaged_when_fetched_then_that_is_still_an_error() -> None:
    with pytest.raises(CorruptRecordException):
        list(fetched(batch_of([BAD])[:-1] + b"\x07"))


def test_given_a_batch_that_is_wrong_in_itself_when_fetched_then_that_is_still_an_error() -> None:
    batch = bytearray(batch_of([GOOD, BAD]))
    batch[-1] = 8  # says that the last header has a value of four bytes
    begin = DefaultRecordBase.ATTRIBUTES_OFFSET
    struct.pack_into(">I", batch, DefaultRecordBase.CRC_OFFSET, calc_crc32c(bytes(batch[begin:])))
    with pytest.raises(CorruptRecordException):
        list(fetched(bytes(batch)))


def test_given_a_fetch_that_ends_within_a_batch_when_fetched_then_what_is_whole_is_read() -> None:
    data = batch_of([BAD]) + at(1, batch_of([GOOD]))[:-3]
    assert [record.offset for record in fetched(data)] == [0]
    assert not fetcher.MemoryRecords(data[:20]).has_next()
    assert fetcher.MemoryRecords(data[:20]).size_in_bytes() == 20


def test_given_messages_that_can_be_read_when_their_headers_are_asked_for_then_these_are_as_they_are() -> None:
    assert headers_of(Message(headers=[("a", b"1"), ("a", None)])) == [("a", b"1"), ("a", None)]
    assert headers_of(Message()) == []


class Failing(Message):
    def headers(self) -> Any:
        raise SystemError("something else")


def test_given_a_client_that_fails_for_another_reason_when_headers_are_asked_for_then_it_is_not_hidden() -> None:
    with pytest.raises(SystemError, match="something else"):
        headers_of(Failing())
