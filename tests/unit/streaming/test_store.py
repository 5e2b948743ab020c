"""The local state on a real RocksDB: data and its changelog offset in one write, read-only for Faust."""

import gc
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import faust
import pytest
import rocksdict
from faust.types import TP

from atp_stream.streaming.errors import StateUnusable
from atp_stream.streaming.partition_state import OFFSET_KEY, WATERMARK_KEY, PartitionState
from atp_stream.streaming.store import StateTable


@pytest.fixture
def state(tmp_path: Path) -> Iterator[PartitionState]:
    state = PartitionState(tmp_path / "state-0.rocksdb", rocksdict.Cache(1 << 20))
    yield state
    state.close()


def test_given_an_empty_state_then_it_holds_neither_data_nor_an_offset(state: PartitionState) -> None:
    assert state.offset is None
    assert state.get(b"key") is None
    assert list(state.items()) == []


def test_given_changes_when_written_then_they_are_there_with_the_offset_they_reach(state: PartitionState) -> None:
    state.write({b"a": b"1", b"b": b"2"}, 41)
    assert (state.get(b"a"), state.get(b"b"), state.offset) == (b"1", b"2", 41)
    state.write([(b"a", None), (b"b", b"3")], 57)
    assert (state.get(b"a"), state.get(b"b"), state.offset) == (None, b"3", 57)


def test_given_entries_when_asked_for_its_size_then_it_tells_of_those_that_are_not_in_a_file_yet_too(
    state: PartitionState,
) -> None:
    before = state.size()
    state.write({b"key-%d" % number: b"value" * 100 for number in range(5000)}, 7)
    size = state.size()
    assert before.entries == 0
    assert size.entries == 5001  # the offset is one too
    assert size.size_bytes - before.size_bytes > 5000 * 500


def test_given_a_key_twice_in_one_write_then_the_later_one_wins(state: PartitionState) -> None:
    state.write([(b"a", b"1"), (b"a", b"2"), (b"b", b"1"), (b"b", None)], 3)
    assert (state.get(b"a"), state.get(b"b")) == (b"2", None)


def test_given_changes_that_fail_half_way_when_written_then_nothing_is_changed(state: PartitionState) -> None:
    state.write({b"a": b"1"}, 1)

    def failing() -> Iterator[tuple[bytes, bytes]]:
        yield b"a", b"2"
        yield b"b", b"2"
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        state.write(failing(), 2)
    assert (state.get(b"a"), state.get(b"b"), state.offset) == (b"1", None, 1)


def test_given_an_offset_alone_when_written_then_the_data_stays(state: PartitionState) -> None:
    state.write({b"a": b"1"}, 1)
    state.write({}, 9)
    assert (state.get(b"a"), state.offset) == (b"1", 9)


def test_given_keys_with_a_common_prefix_then_items_gives_those_alone_in_order(state: PartitionState) -> None:
    keys = [b"t/b", b"t/a/2", b"t/a", b"t/a/1", b"t0", b"s", b"t/a\xff"]
    state.write({key: b"v" + key for key in keys}, 1)
    assert [key for key, _ in state.items(b"t/a/")] == [b"t/a/1", b"t/a/2"]
    assert [key for key, _ in state.items(b"t/a")] == [b"t/a", b"t/a/1", b"t/a/2", b"t/a\xff"]
    assert [key for key, _ in state.items()] == sorted(keys)
    assert list(state.items(b"u")) == []


def test_given_records_of_the_engine_then_items_does_not_show_them(state: PartitionState) -> None:
    state.write({WATERMARK_KEY: b"{}", b"a": b"1", b"!": b"before the slash"}, 7)
    assert state.get(OFFSET_KEY) == b"7"
    assert [key for key, _ in state.items()] == [b"!", b"a"]
    assert list(state.items(b"/")) == []


def test_given_a_state_that_was_closed_when_opened_again_then_everything_is_there(tmp_path: Path) -> None:
    cache = rocksdict.Cache(1 << 20)
    first = PartitionState(tmp_path / "p", cache)
    first.write({b"a": b"1"}, 12)
    first.close()
    again = PartitionState(tmp_path / "p", cache)
    assert (again.get(b"a"), again.offset) == (b"1", 12)
    again.close()


def test_given_a_state_in_use_when_opened_by_another_then_that_is_refused(
    tmp_path: Path, state: PartitionState
) -> None:
    with pytest.raises(StateUnusable) as refused:
        PartitionState(tmp_path / "state-0.rocksdb", rocksdict.Cache(1 << 20))
    assert "LOCK" in refused.value.cause


@pytest.fixture
async def table(tmp_path: Path) -> StateTable:
    app = faust.App("unit", broker="kafka://127.0.0.1:1", store="memory://", datadir=str(tmp_path), Table=StateTable)
    raw: faust.Schema[bytes, bytes] = faust.Schema(
        key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )
    table = app.Table("state", partitions=4, schema=raw, options={"directory": tmp_path / "here"})
    assert isinstance(table, StateTable)
    return table


async def test_given_committed_state_when_read_through_faust_then_it_shows_all_open_partitions(
    table: StateTable,
) -> None:
    table.store.partition(1).write({b"b": b"2", WATERMARK_KEY: b"{}"}, 5)
    table.store.partition(0).write({b"a": b"1"}, 6)
    assert table[b"a"] == b"1"
    assert table[b"b"] == b"2"
    assert b"b" in table
    assert b"c" not in table
    assert len(table) == 2
    assert dict(table.items()) == {b"a": b"1", b"b": b"2"}
    assert list(table.keys()) == [b"a", b"b"]
    assert list(table.values()) == [b"1", b"2"]
    await table.store.stop()


async def test_given_a_table_when_written_through_faust_then_that_is_refused(table: StateTable) -> None:
    table.store.partition(0).write({b"a": b"1"}, 6)
    with pytest.raises(TypeError, match="committed transactions only"):
        table.store[b"a"] = b"2"
    with pytest.raises(TypeError, match="committed transactions only"):
        del table.store[b"a"]
    with pytest.raises(TypeError, match="committed transactions only"):
        table.store.clear()
    with pytest.raises((TypeError, RuntimeError)):
        table[b"a"] = b"2"
    table.reset_state()
    assert table.store.partition(0).get(b"a") == b"1"
    await table.store.stop()


async def test_given_partitions_that_go_then_their_files_close_and_what_comes_back_is_as_it_was(
    table: StateTable,
) -> None:
    store = table.store
    store.partition(0).write({b"a": b"1"}, 6)
    store.partition(1).write({b"b": b"2"}, 8)
    gone = store.partition(1)
    store.keep({0})
    with pytest.raises(Exception, match="closed"):
        gone.get(b"b")
    assert set(store.partitions) == {0}
    assert b"b" not in table
    assert store.partition(1).offset == 8
    assert store.persisted_offset(TP("changelog", 0)) == 6
    await store.stop()
    assert store.partitions == {}


def with_an_sst_file(path: Path) -> Path:
    """A state whose data lies in an SST file, not only in the log that RocksDB replays."""
    state = PartitionState(path, rocksdict.Cache(1 << 20))
    for number in range(2000):
        state.write({b"key-%d" % number: b"x" * 100}, number)
    state._db.flush()
    state.close()
    gc.collect()
    (file,) = path.glob("*.sst")
    return file


def test_given_a_flipped_bit_in_the_data_when_read_then_it_is_found_and_the_next_start_begins_anew(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state-0.rocksdb"
    file = with_an_sst_file(path)
    content = bytearray(file.read_bytes())
    content[2000] ^= 1
    file.write_bytes(content)
    state = PartitionState(path, rocksdict.Cache(1 << 20))
    with pytest.raises(StateUnusable, match="damaged"):
        [state.get(b"key-%d" % number) for number in range(2000)]
    with pytest.raises(StateUnusable, match="damaged"):
        list(state.items())
    state.close()
    del state
    gc.collect()
    rebuilt = PartitionState(path, rocksdict.Cache(1 << 20))
    assert rebuilt.offset is None  # so that all of it is restored from the changelog
    assert list(rebuilt.items()) == []
    rebuilt.close()


@pytest.mark.parametrize("part", range(20))
def test_given_a_bit_flipped_anywhere_in_a_file_then_no_entry_is_missing_without_a_word(
    tmp_path: Path, part: int
) -> None:
    path = tmp_path / "state-0.rocksdb"
    file = with_an_sst_file(path)
    content = bytearray(file.read_bytes())
    content[len(content) * part // 20] ^= 1
    file.write_bytes(content)
    with suppress(StateUnusable):  # which is the word
        state = PartitionState(path, rocksdict.Cache(1 << 20))
        assert all(state.get(b"key-%d" % number) == b"x" * 100 for number in range(2000))
        assert len(list(state.items())) == 2000


def test_given_files_that_do_not_open_then_the_next_start_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "state-0.rocksdb"
    file = with_an_sst_file(path)
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(StateUnusable, match="damaged"):
        PartitionState(path, rocksdict.Cache(1 << 20))
    gc.collect()
    rebuilt = PartitionState(path, rocksdict.Cache(1 << 20))
    assert rebuilt.offset is None
    rebuilt.close()


def test_given_files_that_cannot_be_read_then_they_stay_and_it_is_said_that_they_may_be_deleted(tmp_path: Path) -> None:
    path = tmp_path / "state-0.rocksdb"
    file = with_an_sst_file(path)
    file.unlink()
    file.mkdir()  # opens, and cannot be read: as with a bad sector, at every start
    for _ in range(2):
        with pytest.raises(StateUnusable, match="cannot be read or written") as caught:
            PartitionState(path, rocksdict.Cache(1 << 20))
        assert f"if it happens again, delete {path} while the worker is stopped" in caught.value.fix
        gc.collect()


def test_given_a_disk_that_takes_no_more_when_written_then_that_is_said_and_nothing_is_thrown_away(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state-0.rocksdb"
    state = PartitionState(path, rocksdict.Cache(1 << 20))
    state.write({b"a": b"1"}, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    try:
        with pytest.raises(StateUnusable, match="cannot be read or written"):
            [state.write({b"b": bytes(1000)}, 2 + number) for number in range(200)]  # type: ignore[func-returns-value]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    state.close()
    del state
    gc.collect()
    again = PartitionState(path, rocksdict.Cache(1 << 20))
    assert again.get(b"a") == b"1"
    assert (again.offset or 0) >= 1
    again.close()
