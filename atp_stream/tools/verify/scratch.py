"""The temporary RocksDB in which everything is sorted by item, and the keys of its rows.

A row's key is the item key, `/`, then a section: the item's own entries, its outputs by number, its reservations by the
id that their allocation has or would have. So one scan meets all that belongs to one item, in the order to judge it in.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import rocksdict

from atp_stream.errors import TemporaryError

ITEM, OUTPUTS, RESERVATIONS = b"\x00", b"\x01", b"\x02"
#: Kinds of rows within a section: out of the changelog, seen in it later, out of the replay; an output, one expected.
TABLE, LATER, REPLAYED, SEEN, EXPECTED = b"T", b"L", b"R", b"A", b"E"

_BATCH: Final = 5_000
_MEMTABLE_BYTES: Final = 16 << 20
_CACHE_BYTES: Final = 32 << 20


class Place(NamedTuple):
    """Where a record lies: index of its topic, partition, offset."""

    topic: int
    partition: int
    offset: int

    def encoded(self) -> bytes:
        """Return the place as 11 bytes in the order of places."""
        return self.topic.to_bytes(1, "big") + self.partition.to_bytes(2, "big") + self.offset.to_bytes(8, "big")

    @classmethod
    def decoded(cls, data: bytes) -> Self:
        """Return the place that `encoded` has written."""
        return cls(data[0], int.from_bytes(data[1:3], "big"), int.from_bytes(data[3:11], "big"))


def item_of_row(row: bytes) -> tuple[bytes, bytes]:
    """Return the item key of a row, which holds exactly one slash, and the rest of the row's key after another."""
    end = row.index(b"/", row.index(b"/") + 1)
    return row[:end], row[end + 1 :]


class Scratch:
    """Rows on disk. Leaving the `with` deletes them. What was put is found by `get` after `flush` only."""

    def __init__(self, directory: Path | None) -> None:
        """`directory`: where to make the temporary one; None: where the system has them. TemporaryError: no."""
        try:
            self._directory: Final = Path(tempfile.mkdtemp(prefix="atp-stream-verify-", dir=directory))
        except OSError as error:
            raise TemporaryError(
                "no temporary directory can be made", cause=str(error), fix="choose another one with --work-dir"
            ) from None
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(_MEMTABLE_BYTES)
        options.set_max_write_buffer_number(3)
        options.set_compression_type(rocksdict.DBCompressionType.lz4())
        options.set_max_open_files(200)
        table = rocksdict.BlockBasedOptions()
        table.set_block_cache(rocksdict.Cache(_CACHE_BYTES))
        table.set_bloom_filter(10, False)
        options.set_block_based_table_factory(table)
        self._db: Final = rocksdict.Rdict(str(self._directory), options)
        self._without_log: Final = rocksdict.WriteOptions()
        self._without_log.disable_wal = True  # type: ignore[method-assign, assignment]  # an attribute, in truth
        self._batch = rocksdict.WriteBatch(raw_mode=True)
        self._size = 0
        self.count = 0
        """How often a row was put, so at least as many as there are."""

    def put(self, row: bytes, value: bytes) -> None:
        """Write a row."""
        self._batch.put(row, value)
        self.count += 1
        self._size += 1
        if self._size >= _BATCH:
            self.flush()

    def delete(self, row: bytes) -> None:
        """Delete a row."""
        self._batch.delete(row)
        self._size += 1

    def get(self, row: bytes) -> bytes | None:
        """Return the value of a row."""
        value: bytes | None = self._db.get(row)
        return value

    def flush(self) -> None:
        """Write what was put. TemporaryError: the disk is full."""
        if self._size:
            try:
                self._db.write(self._batch, self._without_log)
            except Exception as error:  # rocksdict has none of its own
                raise TemporaryError(
                    f"{self._directory} cannot be written",
                    cause=str(error),
                    fix="choose a directory with more room with --work-dir",
                ) from None
            self._batch = rocksdict.WriteBatch(raw_mode=True)
            self._size = 0

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all rows in the order of their keys."""
        self.flush()
        rows: Any = self._db.items()
        yield from rows

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        shutil.rmtree(self._directory, ignore_errors=True)
