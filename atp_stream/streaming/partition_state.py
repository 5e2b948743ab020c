"""The local state of one changelog partition: a RocksDB, written only after a commit.

Everything in it can be rebuilt from the changelog; how far it reaches is written into the same RocksDB write as the
data (design section 5).
"""

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import rocksdict

from .errors import StateUnusable

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Keys that begin with a slash are the engine's own; the application's keys must not.
OWN_PREFIX = b"/"
#: Offset of the last changelog record that the local state holds. Lies in the local state only.
OFFSET_KEY = b"/offset"
#: The watermark record: the source offsets that the last transaction of this changelog partition committed.
WATERMARK_KEY = b"/watermark"

_MEMTABLE_BYTES = 8 << 20
_ENTRIES = "rocksdb.estimate-num-keys"
_BYTES = ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables")


def _options(cache: rocksdict.Cache) -> rocksdict.Options:
    """Small memtables and one shared cache: a worker may hold dozens of partitions."""
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(_MEMTABLE_BYTES)
    options.set_max_write_buffer_number(2)
    options.set_keep_log_file_num(2)
    options.set_max_open_files(200)
    table = rocksdict.BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_bloom_filter(10, False)
    options.set_block_based_table_factory(table)
    return options


class StateSize(NamedTuple):
    """size_bytes: in files, and not flushed to one yet. entries: an estimate, the engine's own among them."""

    size_bytes: int
    entries: int


class PartitionState:
    """The local state of one changelog partition: keys and values as the bytes of the changelog.

    Files found damaged are never read past: they are marked, thrown away at the next start, and rebuilt from the
    changelog. Everything here raises `StateUnusable` for that, and for a disk that is full or fails.
    """

    def __init__(self, path: Path, cache: rocksdict.Cache) -> None:
        self._path = path
        self._damaged = path.with_suffix(".damaged")
        if self._damaged.exists():
            log.warning("%s was found damaged: it is rebuilt from the changelog", path.name)
            shutil.rmtree(path, ignore_errors=True)
            self._damaged.unlink()
        self._db = self._try(lambda: rocksdict.Rdict(str(path), _options(cache)))

    def get(self, key: bytes) -> bytes | None:
        """Return the committed value of `key`."""
        try:  # not by `_try`: this is the hot path
            value: bytes | None = self._db.get(key)
        except Exception as error:
            raise self._unusable(error) from error
        return value

    @property
    def offset(self) -> int | None:
        """Offset of the last changelog record held here, None where there is none."""
        found = self.get(OFFSET_KEY)
        return None if found is None else int(found)

    def write(self, changes: Mapping[bytes, bytes] | Iterable[tuple[bytes, bytes | None]], offset: int) -> None:
        """Write `changes` (None deletes) and the changelog offset they reach, all or nothing."""
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in changes.items() if isinstance(changes, Mapping) else changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(OFFSET_KEY, b"%d" % offset)
        self._try(lambda: self._db.write(batch))

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Iterate over the application's entries whose key begins with `prefix`, in the order of the keys."""
        for key, value in self.items_from(prefix):
            if not key.startswith(prefix):
                return
            yield key, value

    def items_from(self, first: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over the application's entries from the key `first` on, in the order of the keys."""
        entries: Any = self._db.iter()
        entries.seek(first)
        while entries.valid():
            key = entries.key()
            if not key.startswith(OWN_PREFIX):
                yield key, entries.value()
            entries.next()
        self._try(entries.status)  # at a damaged block it ends as it does at the last entry

    def size(self) -> StateSize:
        """Return how much is held here, from what RocksDB keeps count of anyway; takes some ten microseconds."""
        db = self._db
        return StateSize(sum(db.property_int_value(name) or 0 for name in _BYTES), db.property_int_value(_ENTRIES) or 0)

    def close(self) -> None:
        """Close the files; nothing may be read or written afterwards."""
        try:
            self._db.close()
        except Exception as error:  # what a failing disk did not take is restored from the changelog
            log.warning("closing %s: %s", self._path.name, error)

    def _try(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except Exception as error:  # RocksDB's errors have no class of their own
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> Exception:
        """Return what an error of RocksDB means; one of neither disk nor files is a bug, and stays."""
        if not str(error).startswith(("IO error", "Corruption")):
            return error
        if str(error).startswith("Corruption"):
            self._damaged.touch()
            return StateUnusable(
                f"the local state in {self._path.name} is damaged",
                cause=str(error),
                fix="start the worker again: what is damaged is then thrown away and rebuilt from the changelog; if it "
                "happens again, check the disk",
            )
        return StateUnusable(
            f"the local state in {self._path.name} cannot be read or written",
            cause=str(error),
            fix="free space on the disk of the data directory, or check the disk, and start the worker again; if it "
            f"happens again, delete {self._path} while the worker is stopped. Nothing is lost: what is missing is "
            "restored from the changelog",
        )
