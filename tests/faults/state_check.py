"""The table: changelog folded, watermark records, and the workers' local state."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping

from tests.pipeline.log import Entry

from .difference import Difference
from .forms import WATERMARK, murmur2, shown, watermark_value
from .ingest_check import Report, place
from .observation import Names, Place, Stored

#: The kind of a difference that a flipped bit on disk brings about until somebody reads it.
DAMAGED = "damaged local state"


class Partition:
    """All that was ever written to a partition of the changelog, so that it can be folded up to any offset."""

    def __init__(self) -> None:
        self._versions: dict[bytes, tuple[list[int], list[bytes | None]]] = {}
        #: Offset of its last record.
        self.last = -1

    def add(self, key: bytes, offset: int, value: bytes | None) -> None:
        offsets, values = self._versions.setdefault(key, ([], []))
        offsets.append(offset)
        values.append(value)
        self.last = offset

    def get(self, key: bytes, up_to: int | None = None) -> bytes | None:
        offsets, values = self._versions.get(key, ([], []))
        index = len(offsets) if up_to is None else bisect_right(offsets, up_to)
        return values[index - 1] if index else None

    def folded(self, up_to: int) -> Iterator[tuple[bytes, bytes]]:
        for key in self._versions:
            value = self.get(key, up_to)
            if value is not None:
                yield key, value


class StateCheck:
    """Holds the changelog against the oracle's table, and the local state against the changelog."""

    def __init__(self, names: Names, report: Report) -> None:
        self._names, self._report = names, report
        self._partitions = [Partition() for _ in range(names.partitions)]
        self._new: set[tuple[int, bytes]] = set()

    def record(self, entry: Entry) -> None:
        """Take a record of the changelog."""
        if entry.key is None or entry.value is None:
            self._report(Difference("changelog record without key or value", place(entry), "both", entry))
            return
        self._partitions[entry.partition].add(entry.key, entry.offset, entry.value)
        if entry.key != WATERMARK:
            self._new.add((entry.partition, entry.key))

    def compare(self, table: Mapping[bytes, bytes], touched: Iterable[tuple[bytes, bytes]]) -> None:
        """Compare every entry that was written, or that an input was about, since the last time."""
        for item, key in touched:
            self._new.add((murmur2(item) % self._names.partitions, key))
        for number, key in self._new:
            found, expected = self._partitions[number].get(key), table.get(key)
            home = murmur2(b"/".join(key.split(b"/")[:2])) % self._names.partitions
            if number != home:
                expected = None
            if found != expected:
                where = f"{key.decode(errors='replace')} in {self._names.changelog}/{number}"
                self._report(Difference("wrong changelog", where, shown(key, expected), shown(key, found)))
        self._new.clear()

    def check_watermarks(self, committed: Mapping[Place, int | None]) -> None:
        """Compare the watermark records with the group's offsets of the topics that change the table."""
        names = self._names
        stateful = [names.changes, *(topic for topic, source in names.sources.items() if source.keyed_by_item)]
        for number, partition in enumerate(self._partitions):
            offsets = {topic: committed.get((topic, number)) for topic in stateful}
            # A topic that no transaction has touched yet is not named.
            expected = watermark_value({topic: at for topic, at in offsets.items() if at})
            found = partition.get(WATERMARK)
            if (found or b"{}") != expected:
                self._report(Difference("wrong watermark", f"{names.changelog}/{number}", expected, found))

    def check_store(self, stored: Stored, ends: Mapping[int, int]) -> None:
        """Compare local state with the changelog up to where it says that it reaches, which is before its end."""
        where = f"{stored.worker}, partition {stored.partition}"
        if stored.is_damaged:
            self._report(Difference(DAMAGED, where, "files that can be read", None))
            return
        if stored.reaches is None:
            if stored.entries:
                self._report(Difference("wrong local state", where, "a note of how far it reaches", None))
            return
        partition = self._partitions[stored.partition]
        if stored.reaches >= ends[stored.partition]:
            self._report(Difference("local state ahead", where, f"below {ends[stored.partition]}", stored.reaches))
        expected = dict(partition.folded(stored.reaches))
        if expected == stored.entries:
            return
        for key in sorted(expected.keys() | stored.entries.keys()):
            ours, theirs = stored.entries.get(key), expected.get(key)
            if ours != theirs:
                at = f"{where}, {key.decode(errors='replace')}, up to {stored.reaches}"
                self._report(Difference("wrong local state", at, shown(key, theirs), shown(key, ours)))

    def check_owned(self, stores: Iterable[Stored]) -> None:
        """Some worker owns each partition, and the owner's local state reaches the end when all is quiet."""
        reached: dict[int, int] = {}
        for stored in stores:
            if stored.is_damaged:  # it may be the owner's
                at = self._partitions[stored.partition].last
            else:
                at = -1 if stored.reaches is None else stored.reaches
            reached[stored.partition] = max(reached.get(stored.partition, -1), at)
        for number, partition in enumerate(self._partitions):
            if reached.get(number, -1) < partition.last:
                where = f"partition {number}"
                self._report(Difference("no local state is up to date", where, partition.last, reached.get(number)))
