"""The table's local state as Faust knows it: a table whose partitions come and go, and that only transactions write.

A data directory belongs to one worker.
"""

import gc
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import rocksdict
from faust import Table
from faust.stores.base import SerializedStore
from faust.types import TP
from typing_extensions import override

from .partition_state import PartitionState

log = logging.getLogger(__name__)

T = TypeVar("T")

_BLOCK_CACHE_BYTES = 64 << 20


class StateStore(SerializedStore[bytes, bytes]):
    """Faust's view of the partitions: opens and closes them as they come and go, and reads them for inspection."""

    mundane_level = "debug"

    def __init__(self, *args: Any, directory: Path, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._directory = directory
        self._cache = rocksdict.Cache(_BLOCK_CACHE_BYTES)
        self.partitions: dict[int, PartitionState] = {}

    def partition(self, number: int) -> PartitionState:
        """Return the state of a changelog partition, opened if it is not yet. Raises `StateUnusable`."""
        if number not in self.partitions:
            self._directory.mkdir(parents=True, exist_ok=True)
            path = self._directory / f"{self.table_name}-{number}.rocksdb"
            self.partitions[number] = PartitionState(path, self._cache)
        return self.partitions[number]

    @override
    def persisted_offset(self, tp: TP) -> int | None:
        return self.partition(tp.partition).offset

    @override
    async def need_active_standby_for(self, tp: TP) -> bool:
        return False

    def keep(self, numbers: set[int]) -> None:
        """Close the partitions that are not among `numbers`; their files stay, for the case that they come back."""
        for number in self.partitions.keys() - numbers:
            self.partitions.pop(number).close()
        gc.collect()

    @override
    async def stop(self) -> None:
        self.keep(set())
        await super().stop()

    @override
    def _get(self, key: bytes) -> bytes | None:
        for state in self.partitions.values():
            if (value := state.get(key)) is not None:
                return value
        return None

    @override
    def _contains(self, key: bytes) -> bool:
        return self._get(key) is not None

    @override
    def _iteritems(self) -> Iterator[tuple[bytes, bytes]]:
        for number in sorted(self.partitions):
            yield from self.partitions[number].items()

    @override
    def _iterkeys(self) -> Iterator[bytes]:
        return (key for key, _ in self._iteritems())

    @override
    def _itervalues(self) -> Iterator[bytes | None]:
        return (value for _, value in self._iteritems())

    @override
    def _size(self) -> int:
        return sum(1 for _ in self._iteritems())

    @override
    def _set(self, key: bytes, value: bytes | None) -> None:
        raise TypeError("the table is written by committed transactions only")

    @override
    def _del(self, key: bytes) -> None:
        raise TypeError("the table is written by committed transactions only")

    @override
    async def backup_partition(self, tp: TP | int, flush: bool = True, purge: bool = False, keep: int = 1) -> None:
        raise TypeError("the changelog is the backup")

    @override
    def restore_backup(self, tp: TP | int, latest: bool = True, backup_id: int = 0) -> None:
        raise TypeError("the changelog is the backup")

    @override
    def _clear(self) -> None:
        raise TypeError("the table is written by committed transactions only")

    @override
    def reset_state(self) -> None:
        """Do nothing: the local state is what its changelog offset says it is, whatever Faust thinks of it."""


class StateTable(Table[bytes, bytes]):
    """A Faust table kept in a `StateStore` under the option `directory`."""

    mundane_level = "debug"

    @override
    def _new_store(self) -> "StateStore":
        directory: Path = (self.options or {})["directory"]
        return StateStore(
            "rocksdb://",
            self.app,
            self,
            table_name=self.name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            loop=self.loop,
            directory=directory,
        )

    @property
    def store(self) -> StateStore:
        """The store, with its partitions."""
        store = self.data
        assert isinstance(store, StateStore)
        return store
