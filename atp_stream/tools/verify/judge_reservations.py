"""The reservations of an item: table, replay and outputs of each, and what they sum up to."""

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Final

from atp_stream.contracts.errors import StateFormatError
from atp_stream.contracts.keys import split_item_key
from atp_stream.contracts.state_codec import decode_reservation
from atp_stream.domain.quantity import format_quantity
from atp_stream.domain.state import Reservation
from atp_stream.streaming.partitioner import partition_of
from atp_stream.tools.verify.changelog import entry_of
from atp_stream.tools.verify.judge_entry import Circumstances, ItemEntry
from atp_stream.tools.verify.packed import COMMITTED, DENIED, RELEASED, TOPICS, Packed, unpack
from atp_stream.tools.verify.report import Findings, place
from atp_stream.tools.verify.scratch import EXPECTED, SEEN, TABLE, Place

_ALLOCATION: Final = slice(1, 37)


class ReservationsOfItem:
    """Takes the reservations of one item. `gone`: kinds of outputs that have expired in part."""

    def __init__(
        self, key: bytes, entry: ItemEntry, gone: frozenset[int], all_: Circumstances, findings: Findings
    ) -> None:
        self._key: Final = key
        self._entry: Final = entry
        self._gone: Final = gone
        self._all: Final = all_
        self._findings: Final = findings
        self._home: Final = partition_of(key, all_.partitions)
        self._committed: Final[Counter[str]] = Counter()
        self.by_status: Final[Counter[str]] = Counter()
        """How many reservations the table has in each status."""

    def judge(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the rows of the section."""
        for allocation, of_allocation in itertools.groupby(rows, key=lambda row: row[0][_ALLOCATION]):
            self._one(allocation.decode(), of_allocation)

    def end(self) -> None:
        """Hold the sum of the committed ones against what the item has reserved."""
        if self._entry.state is None:
            return
        reserved = self._entry.state.reserved
        for channel in sorted(reserved.keys() | self._committed.keys()):
            ours, theirs = self._committed[channel], reserved.get(channel, 0)
            if ours != theirs:
                what = f"table: reserved {channel}, by its reservations"
                self._add(what, format_quantity(ours), format_quantity(theirs), self._entry.where)

    def _one(self, allocation: str, rows: Iterable[tuple[bytes, bytes]]) -> None:
        table: tuple[str, bytes, str] | None = None
        replayed: tuple[str, bytes] | None = None
        expected: list[Packed] = []
        seen: dict[int, tuple[Packed, str]] = {}
        for rest, value in rows:
            kind = rest[37:38]
            if kind == TABLE:
                number = int.from_bytes(rest[38:40], "big")
                offset, key, data = entry_of(value)
                where = place(self._all.changelog, number, offset)
                name = split_item_key(b"/" + key.rpartition(b"/")[2])[1]
                if number == self._home:
                    table = (name, data, where)
                else:
                    self._add(f"partition of reservation {name}", self._home, number, where)
            elif kind == SEEN:
                sequence = int.from_bytes(rest[38:46], "big")
                if sequence <= self._entry.sequence and sequence not in seen:  # one that comes twice is told elsewhere
                    at = Place.decoded(rest[46:57])
                    seen[sequence] = (unpack(value), place(TOPICS[at.topic], at.partition, at.offset))
            elif kind == EXPECTED:
                expected.append(unpack(value))
            else:
                size = 4 + int.from_bytes(value[:4], "big")
                replayed = (value[4:size].decode(), value[size:])
        if self._all.replayed:
            self._compare(table, replayed)
            if not self._all.every_change:
                self._compare_outputs(allocation, expected, [output for output, _ in seen.values()])
        self._fold(allocation, table, list(seen.values()))

    def _compare(self, table: tuple[str, bytes, str] | None, replayed: tuple[str, bytes] | None) -> None:
        ours, theirs = replayed and replayed[1], table and table[1]
        if ours == theirs:
            return
        name = table[0] if table else replayed[0] if replayed else ""
        self._add(f"table: reservation {name}", _shown(ours), _shown(theirs), table[2] if table else "")

    def _compare_outputs(self, allocation: str, expected: list[Packed], seen: list[Packed]) -> None:
        if expected == seen or self._gone & {COMMITTED, RELEASED, DENIED}:
            return
        ours, theirs = ("; ".join(map(str, each)) or "none" for each in (expected, seen))
        self._add(f"outputs of allocation {allocation}", ours, theirs, "")

    def _fold(self, allocation: str, table: tuple[str, bytes, str] | None, seen: list[tuple[Packed, str]]) -> None:
        """Hold the entry against what its outputs say has become of it."""
        committed: Packed | None = None
        denied: Packed | None = None
        left = 0
        for output, where in seen:
            if output.kind == COMMITTED:
                if committed is not None:
                    self._add(f"commitment of {allocation}", "once", "again", where)
                committed, left = output, left + output.quantity
            elif output.kind == RELEASED:
                if committed is None and COMMITTED not in self._gone:
                    self._add(f"release of {allocation}", "a commitment before it", "none", where)
                left -= output.quantity
            elif output.kind == DENIED:
                denied = output
        if table is None:
            if seen:
                what = f"table: reservation of allocation {allocation}"
                self._add(what, "one", "none", seen[-1][1])
            return
        name, data, where = table
        try:
            entry = decode_reservation(data)
        except StateFormatError as damaged:
            self._add(f"table: reservation {name}", "the state of a reservation", damaged, where)
            return
        self.by_status[entry.status] += 1
        if entry.status == "committed":
            self._committed[entry.channel] += entry.quantity
        wrong = None if self._gone else _contradiction(entry, allocation, committed, denied, left)
        if wrong is not None:
            self._add(f"table: reservation {name}, by its outputs", wrong, _shown(data), where)

    def _add(self, what: str, expected: object, found: object, where: str) -> None:
        self._findings.add(self._key, what, expected, found, where)


def _contradiction(
    entry: Reservation, allocation: str, committed: Packed | None, denied: Packed | None, left: int
) -> str | None:
    """Return what the outputs say of a reservation, if that is not what its entry says; all outputs are there."""
    if committed is not None:
        status, quantity, channel = "committed" if left else "closed", left, committed.channel
    elif denied is not None:
        status, quantity, channel = "denied", denied.quantity, denied.channel
    else:
        status, quantity, channel = "closed", 0, entry.channel  # released before it was created
    found = (entry.status, entry.quantity, entry.channel)
    if denied is not None and committed is None and entry.status == "closed":
        status = "closed"  # a denied one is closed by its release, without an output
    named = allocation if committed is not None else None
    if found == (status, quantity, channel) and entry.allocation_id == named:
        return None
    return f"{status} {format_quantity(quantity)} in {channel}{f', allocation {named}' if named else ''}"


def _shown(data: bytes | None) -> str:
    if data is None:
        return "none"
    try:
        entry = decode_reservation(data)
    except StateFormatError as damaged:
        return str(damaged)
    text = f"{entry.status} {format_quantity(entry.quantity)} in {entry.channel}"
    return text + (f", allocation {entry.allocation_id}" if entry.allocation_id else "")
