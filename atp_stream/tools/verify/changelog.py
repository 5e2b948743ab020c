"""The table as the changelog has it, at a cut that no transaction crosses.

Outputs, changelog and watermark of a transaction become visible partition by partition. So the cut of each changelog
partition lies behind a watermark record, the last of its transaction there: the entries before it are exactly what
the inputs before that watermark have led to. Everything else is read up to ends that are asked for after the cut, and
so has all that belongs to it.
"""

import math
import time
from collections.abc import Callable, Iterable
from typing import Final

from confluent_kafka import Message

from atp_stream.contracts.errors import StateFormatError
from atp_stream.contracts.keys import split_item_key
from atp_stream.contracts.state_codec import decode_item
from atp_stream.domain.ids import allocation_id
from atp_stream.errors import UnavailableError
from atp_stream.streaming.cluster import Cluster
from atp_stream.streaming.partition_state import OWN_PREFIX, WATERMARK_KEY
from atp_stream.streaming.records import Partition
from atp_stream.streaming.watermark import decode_watermark
from atp_stream.tools.verify.reading import TopicReader, offset_of
from atp_stream.tools.verify.report import Findings, place
from atp_stream.tools.verify.scratch import ITEM, LATER, RESERVATIONS, TABLE, Scratch

#: A pass as short as this cannot have lost an entry to compaction that a later one, not read yet, has replaced.
_LEVEL_SECONDS: Final = 2.0

Wanted = Callable[[bytes], bool]
"""Whether an item, by its key, is looked at."""


def allocation_row(item_key: bytes, allocation: str) -> bytes:
    """Return how the keys of a reservation's rows begin, given the id that its allocation has or would have."""
    return item_key + b"/" + RESERVATIONS + allocation.encode()


class Table:
    """Folds the changelog into rows, and knows how far the table reaches."""

    def __init__(self, scratch: Scratch, wanted: Wanted, findings: Findings) -> None:
        self._scratch: Final = scratch
        self._wanted: Final = wanted
        self._findings: Final = findings
        self._at_boundary: Final[dict[int, bool]] = {}
        self.cut: Final[dict[Partition, int]] = {}
        """Where the cut lies in each changelog partition: the next offset."""
        self.watermarks: Final[dict[int, dict[str, int]]] = {}
        """By partition: the watermark of the cut; once `read_later` was called, the last there is."""

    def read_cut(self, reader: TopicReader, cluster: Cluster, first: dict[Partition, int], patience: float) -> None:
        """Read up to a cut. `first`: the first offsets.

        UnavailableError: an open transaction keeps it from coming for `patience` seconds, or the changelog grows as
        fast as it is read. Patience begins anew with each pass that took less than half the time: it catches up.
        """
        self.cut.update(first)
        shortest = until = math.inf
        while True:
            ends = reader.stable_ends(self.cut)
            began = time.monotonic()
            reader.read({p: (start, ends[p]) for p, start in self.cut.items()}, self._take)
            ended = time.monotonic()
            self.cut.update({p: max(start, ends[p]) for p, start in self.cut.items()})
            took = ended - began
            if shortest >= _LEVEL_SECONDS and took < shortest / 2:
                shortest, until = took, ended + patience
            cut_through = [p for p in self.cut if not self._at_boundary.get(p.number, True)]
            # Where nothing follows, nothing was cut through: the last record is one that no transaction of ours wrote.
            written = cluster.ends(cut_through)
            cut_through = [p for p in cut_through if written[p][1] > self.cut[p]]
            if not cut_through and took < _LEVEL_SECONDS:
                return
            if time.monotonic() > until:
                raise _no_cut(patience, [place(*p, self.cut[p]) for p in cut_through], took)

    def read_later(self, reader: TopicReader, ends: Iterable[tuple[Partition, int]]) -> None:
        """Read what has followed up to these ends, for the numbers that the items have come to since."""
        reader.read({p: (self.cut[p], end) for p, end in ends}, self._take_later)

    def _take(self, partition: Partition, messages: list[Message]) -> None:
        number = partition.number
        for message in messages:
            key, value = message.key(), message.value()
            if not isinstance(key, bytes) or key.startswith(OWN_PREFIX):
                if key == WATERMARK_KEY and isinstance(value, bytes):
                    self.watermarks[number] = decode_watermark(value)
                elif key is None:
                    self._foreign(partition, message)
                continue
            row = self._row(key, number)
            if row is None:
                self._foreign(partition, message)
            elif row:
                if isinstance(value, bytes):
                    self._scratch.put(row, offset_of(message).to_bytes(8, "big") + _with_key(key, value))
                else:
                    self._scratch.delete(row)
        self._at_boundary[number] = messages[-1].key() == WATERMARK_KEY

    def _row(self, key: bytes, number: int) -> bytes | None:
        """Return the key of the row of a table entry; empty: it is not wanted; None: it is no key of ours."""
        item_key, slash, reservation = key.rpartition(b"/") if key.count(b"/") == 2 else (key, b"", b"")
        if not self._wanted(item_key):
            return b""
        try:
            tenant, item = split_item_key(item_key)
            if not slash:
                return item_key + b"/" + ITEM + TABLE + number.to_bytes(2, "big")
            allocation = allocation_id(tenant, item, split_item_key(b"/" + reservation)[1])
        except ValueError:
            return None
        return allocation_row(item_key, allocation) + TABLE + number.to_bytes(2, "big")

    def _foreign(self, partition: Partition, message: Message) -> None:
        where = place(*partition, message.offset())
        self._findings.add(None, "key of a table entry", "tenant/item or tenant/item/reservation", message.key(), where)

    def _take_later(self, partition: Partition, messages: list[Message]) -> None:
        for message in messages:
            key, value = message.key(), message.value()
            if not isinstance(key, bytes) or not isinstance(value, bytes):
                continue
            if key == WATERMARK_KEY:
                self.watermarks[partition.number] = decode_watermark(value)
            elif key.count(b"/") == 1 and not key.startswith(OWN_PREFIX) and self._wanted(key):
                try:
                    sequence = decode_item(value).sequence
                except StateFormatError:
                    continue  # not part of the cut; the next run will meet it
                self._scratch.put(key + b"/" + ITEM + LATER, sequence.to_bytes(8, "big"))


def _no_cut(patience: float, cut_through: list[str], took: float) -> UnavailableError:
    if cut_through:
        return UnavailableError(
            f"no cut between two transactions was found in {patience:.0f} s",
            cause="; ".join(f"{where} is followed by an open one" for where in cut_through),
            fix='run it again; for a transaction that hangs see docs/operations.md, "a hanging transaction"',
        )
    return UnavailableError(
        f"the end of the changelog was not reached in {patience:.0f} s",
        cause=f"it grows as fast as it is read: the last part alone took {took:.0f} s",
        fix="run it again when less is written, or nearer to the brokers; or wait for longer with --wait",
    )


def _with_key(key: bytes, value: bytes) -> bytes:
    return len(key).to_bytes(4, "big") + key + value


def entry_of(data: bytes) -> tuple[int, bytes, bytes]:
    """Return offset, key and value of the table entry in a row's value."""
    size = int.from_bytes(data[8:12], "big")
    return int.from_bytes(data[:8], "big"), data[12 : 12 + size], data[12 + size :]
