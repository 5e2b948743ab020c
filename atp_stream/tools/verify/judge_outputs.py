"""The outputs of an item in the order of their numbers: gapless, once each, as expected, summing up to the table."""

import itertools
from collections.abc import Iterable
from typing import Final

from atp_stream.domain.quantity import format_quantity
from atp_stream.tools.verify.judge_entry import Circumstances, ItemEntry, shown
from atp_stream.tools.verify.packed import AVAILABILITY, COMMITTED, RELEASED, TOPICS, Packed, contrast, unpack
from atp_stream.tools.verify.report import Findings, place
from atp_stream.tools.verify.scratch import EXPECTED, Place


class OutputsOfItem:
    """Takes the outputs of one item. `homes`: its partition in each topic; `gone`: kinds that have expired in part.

    What has expired is a beginning: of each kind, outputs may be missing before the first that is there, and not after.
    """

    def __init__(
        self,
        key: bytes,
        entry: ItemEntry,
        homes: list[int],
        gone: frozenset[int],
        all_: Circumstances,
        findings: Findings,
    ) -> None:
        self._key: Final = key
        self._entry: Final = entry
        self._homes: Final = homes
        self._gone: Final = gone
        self._all: Final = all_
        self._findings: Final = findings
        self._next = 1
        self._kinds: Final[set[int]] = set()
        self._reserved: Final[dict[str, int]] = {}
        self._last: Final[dict[str, tuple[int, int]]] = {}
        self._beyond = False

    def judge(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the rows of the section."""
        for number, of_number in itertools.groupby(rows, key=lambda row: row[0][1:9]):
            seen: list[tuple[Place, bytes]] = []
            expected: bytes | None = None
            for rest, value in of_number:
                if rest[9:10] == EXPECTED:
                    expected = value if self._all.replayed else None
                else:
                    seen.append((Place.decoded(rest[10:21]), value))
            if seen or expected is not None:  # else it was left by a replay that turned out to be of no use
                self._number(int.from_bytes(number, "big"), seen, expected)

    def end(self) -> None:
        """Hold what they sum up to against the table."""
        entry = self._entry
        self._gap(self._next, entry.sequence)
        if entry.state is None:
            return
        emitted = entry.state.emitted
        for channel in sorted(emitted.keys() | self._last.keys()):
            ours, theirs = self._last.get(channel), emitted.get(channel)
            if ours != theirs and not (ours is None and AVAILABILITY in self._gone):
                self._add(f"table: last emitted {channel}", shown(ours), shown(theirs), entry.where)
        if self._is_whole:
            reserved = entry.state.reserved
            for channel in sorted(reserved.keys() | self._reserved.keys()):
                ours_, theirs_ = self._reserved.get(channel, 0), reserved.get(channel, 0)
                if ours_ != theirs_:
                    what = f"table: reserved {channel}, by the outputs"
                    self._add(what, format_quantity(ours_), format_quantity(theirs_), entry.where)

    @property
    def _is_whole(self) -> bool:
        return not self._gone & {COMMITTED, RELEASED}

    def _number(self, sequence: int, seen: list[tuple[Place, bytes]], expected: bytes | None) -> None:
        entry = self._entry
        if sequence > entry.sequence:
            if seen and sequence > entry.later and not self._beyond:
                self._beyond = True  # told once: all behind it are beyond as well
                what = "output number" if entry.state is not None or entry.later else "output of an unknown item"
                self._add(what, f"at most {entry.later}", sequence, _where(seen[0][0]))
            return
        self._gap(self._next, sequence - 1)
        self._next = sequence + 1
        if not seen:
            assert expected is not None
            output = unpack(expected)
            if not (output.kind in self._gone and output.kind not in self._kinds):
                self._add(f"output {sequence}", output, "none", TOPICS[output.kind])
            return
        for at, _ in seen[1:]:
            self._add(f"output {sequence}", "once", f"again, first at {_where(seen[0][0])}", _where(at))
        for at, _ in seen:
            if at.partition != self._homes[at.topic]:
                self._add("partition of the output", self._homes[at.topic], at.partition, _where(at))
        found = unpack(seen[0][1])
        if expected is not None and all(value != expected for _, value in seen):
            self._add(f"output {sequence}", *contrast(unpack(expected), found), _where(seen[0][0]))
        self._kinds.add(found.kind)
        self._fold(sequence, found, seen[0][0])

    def _gap(self, first: int, last: int) -> None:
        if first > last or self._gone - self._kinds:
            return
        numbers = f"output {first}" if first == last else f"outputs {first} to {last}"
        self._add(numbers, "one of each number", "none", "")

    def _fold(self, sequence: int, output: Packed, at: Place) -> None:
        channel, policy = output.channel, self._all.policy
        before = self._reserved.get(channel, 0)
        if output.kind == COMMITTED:
            self._reserved[channel] = before + output.quantity
            pool = policy.by_channel.get(channel)
            if self._is_whole and pool and pool.limit is not None and output.version == policy.version:
                self._at_most(pool.limit, before + output.quantity, f"limit of {channel}", sequence, at)
            if self._all.every_change and self._all.one_policy and channel in self._last:
                self._at_most(self._last[channel][0], output.quantity, f"available in {channel}", sequence, at)
        elif output.kind == RELEASED:
            self._reserved[channel] = before - output.quantity
        elif output.kind == AVAILABILITY:
            available, reserved = output.fields[1], output.fields[2]
            self._last[channel] = (available, reserved)
            if self._is_whole and reserved != before:
                what = f"reserved in output {sequence}, {channel}"
                self._add(what, format_quantity(before), format_quantity(reserved), _where(at))
                self._reserved[channel] = reserved  # so that one mistake is not told again and again

    def _at_most(self, most: int, quantity: int, what: str, sequence: int, at: Place) -> None:
        if quantity > most:
            told = f"commitment {sequence} beyond the {what}"
            self._add(told, f"at most {format_quantity(most)}", format_quantity(quantity), _where(at))

    def _add(self, what: str, expected: object, found: object, where: str) -> None:
        self._findings.add(self._key, what, expected, found, where)


def _where(at: Place) -> str:
    return place(TOPICS[at.topic], at.partition, at.offset)
